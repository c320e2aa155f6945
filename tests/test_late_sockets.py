"""The socket object of an accepted connection, which Batuta makes when somebody asks for it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from contract.support import Recorder, until
from loops import Run, load


@pytest.fixture
def run() -> Run:
    return Run(load("batuta:new_event_loop"))


async def serve_one() -> tuple[Recorder, socket.socket, asyncio.Server]:
    protocol = Recorder()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol, "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname())
    await until(lambda: protocol.transport is not None)
    return protocol, client, server


def sockets() -> int:
    return sum(isinstance(it, socket.socket) for it in gc.get_objects())


@pytest.mark.parametrize("ask", [False, True])
def test_there_is_none_before_somebody_asks(run: Run, ask: bool) -> None:
    async def main() -> int:
        gc.collect()
        before = sockets()
        protocol, client, server = await serve_one()
        client.send(b"hello")
        await until(lambda: protocol.data == b"hello")
        assert protocol.transport.get_extra_info("peername") == client.getsockname()
        assert protocol.transport.get_extra_info("sockname") == client.getpeername()
        if ask:
            assert protocol.transport.get_extra_info("socket").fileno() >= 0
        more = sockets() - before - 2  # the listener, the client
        protocol.transport.close()
        client.close()
        server.close()
        await until(lambda: protocol.lost)
        return more

    assert run(main) == ask


def fails_before(_genuine: Callable[..., None], *_args: Any) -> None:
    raise MemoryError("before")


def fails_after(genuine: Callable[..., None], *args: Any) -> None:
    genuine(*args)
    raise MemoryError("after")


@pytest.mark.parametrize("failing", [fails_before, fails_after])
def test_one_that_cannot_be_made_leaves_the_connection_alone(
    run: Run, monkeypatch: pytest.MonkeyPatch, failing: Callable[..., None]
) -> None:
    genuine = socket.socket.__init__

    async def main() -> None:
        protocol, client, server = await serve_one()
        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "__init__", lambda *args: failing(genuine, *args))
            for _ in range(2):
                with pytest.raises(MemoryError, match=r"before|after"):
                    protocol.transport.get_extra_info("socket")
        gc.collect()
        client.send(b"still here")
        await until(lambda: protocol.data == b"still here")
        protocol.transport.write(b"too")
        assert client.recv(10) == b"too"
        sock = protocol.transport.get_extra_info("socket")
        assert sock.getpeername() == client.getsockname()
        number = sock.fileno()
        protocol.transport.close()
        await until(lambda: protocol.lost)
        assert sock.fileno() == -1
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
        client.close()
        server.close()

    run(main)


def test_an_abandoned_transport_closes_its_descriptor(run: Run) -> None:
    async def main() -> tuple[int, socket.socket]:
        protocol, client, server = await serve_one()
        number = protocol.transport._sock_fd
        assert os.fstat(number)
        server.close()
        return number, client

    def run_and_collect() -> tuple[int, socket.socket]:
        left = run(main)
        gc.collect()
        return left

    with pytest.warns(ResourceWarning, match="unclosed transport"):
        number, client = run_and_collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    client.settimeout(5)
    assert client.recv(10) == b""
    client.close()
