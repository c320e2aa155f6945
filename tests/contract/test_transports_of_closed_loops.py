"""What is left of a transport when its loop is closed before it."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from contract.support import raw_pair

Loop = asyncio.AbstractEventLoop


async def tcp(loop: Loop, far: ExitStack) -> Any:
    near, peer = raw_pair("tcp")
    far.enter_context(peer)
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
    return transport


async def writer(loop: Loop, far: ExitStack) -> Any:
    near, peer = raw_pair("unix")
    far.enter_context(peer)
    _, writer = await asyncio.open_connection(sock=near)
    return writer


async def udp(loop: Loop, far: ExitStack) -> Any:
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    return transport


async def read_pipe(loop: Loop, far: ExitStack) -> Any:
    reading, writing = os.pipe()
    far.callback(os.close, writing)
    transport, _ = await loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb", 0))
    return transport


async def write_pipe(loop: Loop, far: ExitStack) -> Any:
    reading, writing = os.pipe()
    far.callback(os.close, reading)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
    return transport


@pytest.fixture(autouse=True)
def _unclosed() -> Iterator[None]:
    """Transports that nobody can close say so when they are collected, which is not the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


Make = Callable[[Loop, ExitStack], Awaitable[Any]]
MAKERS = (tcp, writer, udp, read_pipe, write_pipe)
made_by = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


@contextmanager
def outliving(loop: Loop, make: Make) -> Iterator[Any]:
    """Something whose loop is closed already; its peer is closed at the end."""
    with ExitStack() as far:

        async def main() -> Any:
            return await make(loop, far)

        left = loop.run_until_complete(main())
        loop.close()
        yield left


@made_by
def test_it_cannot_be_closed_any_more(loop: Loop, make: Make) -> None:
    with outliving(loop, make) as left:
        assert not left.is_closing()
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            left.close()
        assert left.is_closing()
        left.close()


@pytest.mark.parametrize("make", [tcp, udp, write_pipe], ids=lambda make: make.__name__)
def test_nor_ended_at_once(loop: Loop, make: Make) -> None:
    with outliving(loop, make) as left:
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            left.abort()
        assert left.is_closing()


def test_what_is_written_still_arrives(loop: Loop) -> None:
    with ExitStack() as far:
        near, peer = raw_pair("tcp")
        far.enter_context(peer)

        async def main() -> Any:
            return (await loop.create_connection(asyncio.Protocol, sock=near))[0]

        transport = loop.run_until_complete(main())
        loop.close()
        transport.write(b"last words")
        peer.setblocking(True)
        peer.settimeout(10)
        assert peer.recv(100) == b"last words"
        del transport
        gc.collect()
        assert peer.recv(100) == b"", "the socket was closed with its transport"


def test_a_write_that_fails_reports_the_closed_loop(loop: Loop) -> None:
    near, peer = socket.socketpair()
    near.setblocking(False)

    async def main() -> Any:
        return (await loop.create_connection(asyncio.Protocol, sock=near))[0]

    transport = loop.run_until_complete(main())
    loop.close()
    peer.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        transport.write(b"to nobody")
    assert transport.is_closing()
    transport.write(b"more")
