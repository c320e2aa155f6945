"""How create_connection() and its kin are called: arguments, faces, calls that nobody awaits."""

from __future__ import annotations

import asyncio
import inspect
import socket
import sys
from typing import Any

import pytest
from batuta import _batuta

from contract.connecting import descriptors, refusing, resolving_to
from contract.support import Recorder
from loops import Run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "host and port was not specified and no sock specified"),
        ({"host": "h", "port": 1, "sock": "one"}, "host/port and sock can not be specified"),
        ({"sock": "datagram"}, "A Stream Socket was expected"),
        ({"host": "h", "port": 1, "server_hostname": "x"}, "only meaningful with ssl"),
        ({"host": "h", "port": 1, "ssl_handshake_timeout": 1}, "only meaningful with ssl"),
        ({"host": "h", "port": 1, "ssl_shutdown_timeout": 1}, "only meaningful with ssl"),
    ],
)
def test_arguments_that_make_no_sense(run: Run, arguments: dict[str, Any], message: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        kind = socket.SOCK_DGRAM if arguments.get("sock") == "datagram" else socket.SOCK_STREAM
        with socket.socket(type=kind) as sock:
            given = {**arguments, **({"sock": sock} if "sock" in arguments else {})}
            coroutine = loop.create_connection(Recorder, **given)
            with pytest.raises(ValueError, match=message):
                await coroutine

    run(main)


def test_arguments_that_do_not_fit(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for name, call in (
            ("create_connection", lambda: loop.create_connection(Recorder, "h", 1, None)),
            ("create_connection", lambda: loop.create_connection(Recorder, "h", 1, colour=1)),
            ("create_connection", lambda: loop.create_connection()),
            ("create_unix_connection", lambda: loop.create_unix_connection(Recorder, "p", 1)),
            ("create_unix_connection", lambda: loop.create_unix_connection(Recorder, x=1)),
        ):
            with pytest.raises(TypeError, match=f"{name}\\(\\) (takes|got|missing)"):
                call()
        if sys.version_info < (3, 12):
            with pytest.raises(TypeError, match="all_errors"):
                loop.create_connection(Recorder, "h", 1, all_errors=False)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="all_errors is new in Python 3.12")
def test_all_errors(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        resolving_to(loop, refusing(), refusing())
        try:
            await loop.create_connection(Recorder, "somewhere", 1, all_errors=True)
        except* ConnectionRefusedError as group:
            assert len(group.exceptions) == 2
        else:
            pytest.fail("there is a connection")

    run(main)


def test_what_the_methods_look_like(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for name, parameter in (
            ("create_connection", "happy_eyeballs_delay"),
            ("create_unix_connection", "path"),
            ("sock_connect", "address"),
        ):
            method = getattr(loop, name)
            assert inspect.iscoroutinefunction(method)
            assert parameter in inspect.signature(method).parameters
            assert method.__name__ == name
        coroutine: Any = loop.create_connection(Recorder, "127.0.0.1", 9)
        assert asyncio.iscoroutine(coroutine)
        assert coroutine.__qualname__ == "BaseEventLoop.create_connection"
        assert coroutine.cr_code.co_name == "create_connection"
        coroutine.close()
        coroutine = loop.create_unix_connection(Recorder, "p")
        assert coroutine.__qualname__ == "_UnixSelectorEventLoop.create_unix_connection"
        assert coroutine.cr_code.co_name == "create_unix_connection"
        coroutine.close()

    run(main)


def test_the_usual_calls_are_native_on_a_native_loop(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        with socket.socket() as sock:
            calls = [
                loop.create_connection(Recorder, "127.0.0.1", 9, ssl=None, local_addr=None),
                loop.create_connection(Recorder, "localhost", 9, family=0, interleave=None),
                loop.create_connection(protocol_factory=Recorder, host="h", port=None),
                loop.create_connection(Recorder, sock=sock, server_hostname=None),
                loop.create_unix_connection(Recorder, "path"),
            ]
            for coroutine in calls:
                native = inspect.iscoroutine(coroutine) is False
                assert native is isinstance(loop, _batuta.NativeLoop)
                coroutine.close()

    run(main)


def test_a_connection_that_nobody_awaits_is_warned_about(run: Run) -> None:
    async def main() -> None:
        before = descriptors()
        with pytest.warns(RuntimeWarning, match="create_connection' was never awaited"):
            asyncio.get_running_loop().create_connection(Recorder, "127.0.0.1", 9)
        assert descriptors() == before

    run(main)
