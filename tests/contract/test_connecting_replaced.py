"""Connecting when a program has replaced a part of it, and what audit hooks hear."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import Any

import pytest

from contract.connecting import crowded, descriptors, listening, refusing, resolving_to
from contract.support import Recorder, raw_pair, turns, until
from loops import Run

HEARD: list[tuple[str, Any]] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if HEARD is not None and event in ("socket.__new__", "socket.connect"):
        HEARD.append((event, arguments[1]))


@pytest.fixture
def heard() -> Any:
    """What audit hooks hear of sockets; hooks cannot be removed, so there is one for all tests."""
    global HEARD
    if not getattr(sys, "_batuta_hears", False):
        sys._batuta_hears = True  # type: ignore[attr-defined]
        sys.addaudithook(_hear)
    HEARD = []
    yield HEARD
    HEARD = None


def test_audit_hooks_hear_of_the_socket_and_of_the_connection(run: Run, heard: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as address:
            heard.clear()
            transport, protocol = await loop.create_connection(Recorder, *address)
            assert heard == [("socket.__new__", socket.AF_INET), ("socket.connect", address)]
            transport.close()
            await until(lambda: protocol.lost)
            with socket.socket() as sock:
                sock.setblocking(False)
                heard.clear()
                await loop.sock_connect(sock, address)
                assert heard == [("socket.connect", address)]

    run(main)


@pytest.mark.parametrize("where", ["class", "instance"])
@pytest.mark.parametrize("name", ["sock_connect", "_connect_sock", "_make_socket_transport"])
def test_a_replaced_method_of_the_loop_is_called(run: Run, where: str, name: str) -> None:
    calls: list[str] = []
    probe = run.factory()
    probe.close()
    original = getattr(type(probe), name)

    def replaced(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return original(self, *args, **kwargs)

    class Loop(type(probe)):  # type: ignore[misc]
        pass

    if where == "class":
        setattr(Loop, name, replaced)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        if where == "instance":
            # Connect once before, so that what was found out then has to be forgotten.
            near, far = raw_pair("tcp")
            transport, _ = await loop.create_connection(Recorder, sock=near)
            transport.abort()
            far.close()
            setattr(loop, name, lambda *args, **kwargs: replaced(loop, *args, **kwargs))
        with listening() as address:
            transport, protocol = await loop.create_connection(Recorder, *address)
            transport.close()
            await until(lambda: protocol.lost)

    own = Run(Loop)
    own(main)
    assert calls == [name]


def test_a_replaced_connect_of_sockets_is_called(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    original = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if address[1] == 7:
            raise PermissionError("not there")
        original(self, address)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as address:
            for _ in range(2):
                transport, protocol = await loop.create_connection(Recorder, *address)
                transport.close()
                await until(lambda p=protocol: p.lost)
                monkeypatch.setattr(socket.socket, "connect", connect, raising=False)
            with pytest.raises(PermissionError, match="not there"):
                await loop.create_connection(Recorder, "127.0.0.1", 7)
            with socket.socket() as sock:
                sock.setblocking(False)
                with pytest.raises(PermissionError, match="not there"):
                    await loop.sock_connect(sock, ("127.0.0.1", 7))
            monkeypatch.undo()
            with pytest.raises(ConnectionRefusedError):
                await loop.create_connection(Recorder, *refusing())

    run(main)


def test_a_replaced_socket_class_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Guarded(socket.socket):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            raise PermissionError("no sockets here")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as address:
            monkeypatch.setattr(socket, "socket", Guarded)
            with pytest.raises(PermissionError, match="no sockets here"):
                await loop.create_connection(Recorder, *address)
            monkeypatch.undo()

    run(main)


def test_the_loops_own_getaddrinfo_is_asked_for_names_only(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as address:
            asked = resolving_to(loop, address)
            for host in ("127.0.0.1", "a.name"):
                transport, protocol = await loop.create_connection(Recorder, host, address[1])
                transport.close()
                await until(lambda p=protocol: p.lost)
            assert [host for host, *_ in asked] == ["a.name"]

    run(main)


def test_sock_connect_cancelled_while_it_waits(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with crowded() as address, socket.socket() as sock:
            sock.setblocking(False)
            task = asyncio.ensure_future(loop.sock_connect(sock, address))
            await turns(5)
            assert not task.done()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert sock.fileno() >= 0
            assert loop.remove_writer(sock) is False

    run(main)


def test_sock_connect_of_a_socket_that_is_closed_meanwhile(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with crowded() as address:
            before = descriptors()
            sock = socket.socket()
            sock.setblocking(False)
            task = asyncio.ensure_future(loop.sock_connect(sock, address))
            await turns(3)
            sock.close()
            near, far = socket.socketpair()
            await turns(3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            near.close()
            far.close()
            assert descriptors() == before

    run(main)


def test_what_is_wrong_with_an_address_is_said_when_awaited(run: Run) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            connecting = asyncio.get_running_loop().sock_connect(sock, "\ud800")
            with pytest.raises(UnicodeEncodeError):
                await connecting

    run(main)


@pytest.mark.parametrize("address", [("127.0.0.1",), "nowhere", ("127.0.0.1", -1), None, ()])
def test_sock_connect_to_what_is_no_address(run: Run, address: Any) -> None:
    def plain() -> Exception | None:
        with socket.socket() as sock:
            try:
                sock.connect(address)
            except (OSError, TypeError, ValueError, OverflowError) as error:
                return error
        return None

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert plain() is not None
        with socket.socket() as sock:
            sock.setblocking(False)
            with pytest.raises((OSError, TypeError, ValueError, OverflowError)):
                await loop.sock_connect(sock, address)

    run(main)


def test_sock_connect_of_a_transports_socket(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        with crowded() as address, pytest.raises((RuntimeError, OSError)):
            await loop.sock_connect(near, address)
        transport.abort()
        far.close()
        with contextlib.suppress(OSError):
            await until(lambda: protocol.lost)

    run(main)
