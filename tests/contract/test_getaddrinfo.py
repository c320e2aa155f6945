"""loop.getaddrinfo(): numeric addresses, names, errors, replaced resolvers."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
from typing import Any

import pytest

from loops import Child, Run

ADDRESSES: list[tuple[Any, Any, dict[str, int]]] = [
    ("127.0.0.1", 80, {}),
    ("127.0.0.1", "80", {}),
    ("127.0.0.1", None, {}),
    ("127.0.0.1", 80, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 80, {"family": socket.AF_INET, "proto": socket.IPPROTO_UDP}),
    ("::1", 80, {"type": socket.SOCK_DGRAM}),
    ("::ffff:127.0.0.1", 1, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 80, {"flags": socket.AI_CANONNAME | socket.AI_NUMERICHOST}),
    ("127.0.0.1", 80, {"type": socket.SOCK_DGRAM, "proto": socket.IPPROTO_UDP}),
    ("127.0.0.1", 0, {"type": 1, "family": 2, "proto": 6}),
    ("127.0.0.1", 65535, {"type": socket.SOCK_STREAM}),
    ("127.0.0.1", 65536, {"type": socket.SOCK_STREAM}),
    ("0.0.0.0", 80, {"type": socket.SOCK_STREAM}),
    ("127.1", 80, {"type": socket.SOCK_STREAM}),
    ("0001:0::0:A", 80, {"type": socket.SOCK_STREAM, "family": socket.AF_INET6}),
    ("::127.0.0.1", 80, {"type": socket.SOCK_STREAM}),
    ("::1", 80, {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}),
    ("fe80::1", None, {"type": socket.SOCK_DGRAM}),
    (b"127.0.0.1", 80, {}),
    (None, 80, {"flags": socket.AI_PASSIVE}),
    ("localhost", 80, {"type": socket.SOCK_STREAM}),
]


def complaint(host: Any, port: Any, options: dict[str, int]) -> Exception:
    """What the socket module raises."""
    try:
        socket.getaddrinfo(host, port, **options)
    except (OSError, OverflowError, TypeError, ValueError) as error:
        return error
    pytest.fail("the socket module raises nothing")


@pytest.mark.parametrize(("host", "port", "options"), ADDRESSES)
def test_the_answer_is_that_of_the_socket_module(
    run: Run, host: Any, port: Any, options: dict[str, int]
) -> None:
    async def main() -> None:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, **options)
        expected = socket.getaddrinfo(host, port, **options)
        assert found == expected
        assert repr(found) == repr(expected)

    run(main)


@pytest.mark.parametrize(
    ("host", "port", "options"),
    [
        ("127.0.0.1", 80, {"family": socket.AF_INET6}),
        ("127.0.0.1", 80, {"type": 12345}),
        ("127.0.0.1", 80, {"type": socket.SOCK_STREAM, "proto": socket.IPPROTO_UDP}),
        ("127.0.0.1", 80, {"type": socket.SOCK_RAW}),
        ("127.0.0.1", True, {"type": socket.SOCK_STREAM}),
        ("127.0.0.1", 1.5, {}),
        ("127.0.0.1", -1, {"type": socket.SOCK_STREAM}),
        ("127.0.0.1", 80, {"type": "stream"}),
        ("127.0.0.1", 80, {"flags": 1 << 70}),
        ("::1%", 80, {"flags": socket.AI_NUMERICHOST}),
        (7, 80, {}),
    ],
)
def test_what_cannot_be_raises_as_in_the_socket_module(
    run: Run, host: Any, port: Any, options: dict[str, int]
) -> None:
    async def main() -> None:
        expected = complaint(host, port, options)
        with pytest.raises(type(expected)) as raised:
            await asyncio.get_running_loop().getaddrinfo(host, port, **options)
        assert str(raised.value) == str(expected)

    run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "example.invalid"])
def test_a_replaced_resolver_is_asked_in_a_thread(
    run: Run, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    threads: list[threading.Thread] = []

    def resolver(*_: Any) -> list[str]:
        threads.append(threading.current_thread())
        return ["found"]

    async def main() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        assert await asyncio.get_running_loop().getaddrinfo(host, 80) == ["found"]

    run(main)
    assert len(threads) == 1
    assert threads[0] is not threading.main_thread()


def test_it_is_a_coroutine_function(run: Run) -> None:
    async def main() -> None:
        assert inspect.iscoroutinefunction(asyncio.get_running_loop().getaddrinfo)

    run(main)


def test_audit_hooks_hear_of_it(child: Child) -> None:
    told = child.check("""
        import asyncio, socket, sys

        heard = []
        sys.addaudithook(lambda name, args: heard.append(args) if "getaddrinfo" in name else None)

        async def main():
            loop = asyncio.get_running_loop()
            for host in ("127.0.0.1", "localhost"):
                await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM, proto=6)

        run(main())
        print(heard)
    """)
    assert told.strip() == "[('127.0.0.1', 80, 0, 1, 6), ('localhost', 80, 0, 1, 6)]"


def test_a_replaced_run_in_executor_is_called(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        calls: list[Any] = []

        async def run_in_executor(*arguments: Any) -> list[str]:
            calls.append(arguments)
            return ["found"]

        loop.run_in_executor = run_in_executor
        assert await loop.getaddrinfo("localhost", 80, type=1, family=2) == ["found"]
        assert calls == [(None, socket.getaddrinfo, "localhost", 80, 2, 1, 0, 0)]

    run(main)


def test_arguments_that_do_not_fit(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for call in (
            lambda: loop.getaddrinfo("localhost"),
            lambda: loop.getaddrinfo("localhost", 80, 2),
            lambda: loop.getaddrinfo("localhost", 80, colour=1),
        ):
            with pytest.raises(TypeError, match=r"getaddrinfo\(\) (missing|got|takes)"):
                call()

    run(main)
