"""Helpers of the contract tests: protocols that record, connected pairs, waiting without guessing.

The far end of a pair is a plain non-blocking socket, polled from here, so that a test of the loop
does not depend on a second part of the same loop. Everything runs on the thread of the loop.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

P = TypeVar("P", bound=asyncio.BaseProtocol)
PATIENCE = 30.0  # seconds; only a broken loop takes that long

both_kinds = pytest.mark.parametrize("kind", ["tcp", "unix"])


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait until the condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while not condition():
        assert loop.time() < deadline, f"never came true: {what or condition}"
        await asyncio.sleep(0.001)


async def turns(count: int) -> None:
    """Let the loop turn `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)


class Recorder(asyncio.Protocol):
    """Notes each call of the loop: names in `events`, bytes in `data`, the reason in `reason`."""

    def __init__(self, eof_reply: bool | None = None) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.chunks: list[bytes] = []
        self.reason: BaseException | None = None
        self.transport: Any = None
        self.eof_reply = eof_reply

    @property
    def lost(self) -> bool:
        return "connection_lost" in self.events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.events.append("connection_made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.chunks.append(data)
        if self.events[-1] != "data_received":
            self.events.append("data_received")

    def eof_received(self) -> bool | None:
        self.events.append("eof_received")
        return self.eof_reply

    def pause_writing(self) -> None:
        self.events.append("pause_writing")

    def resume_writing(self) -> None:
        self.events.append("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.reason = exc
        self.events.append("connection_lost")


def raw_pair(kind: str) -> tuple[socket.socket, socket.socket]:
    """Two connected non-blocking stream sockets: over TCP loopback or a Unix socket pair.

    Their buffers are small, so that a megabyte is more than the kernel takes.
    """
    if kind == "unix":
        left, right = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            left = socket.socket(proto=socket.IPPROTO_TCP)
            left.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            left.connect(listener.getsockname())
            right, _ = listener.accept()
    for sock in (left, right):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sock.setblocking(False)
    return left, right


@asynccontextmanager
async def connected(
    kind: str, factory: Callable[[], P]
) -> AsyncIterator[tuple[Any, P, socket.socket]]:
    """A transport with its protocol, and the raw socket at the far end; all closed at the end."""
    loop = asyncio.get_running_loop()
    near, peer = raw_pair(kind)
    transport, protocol = await loop.create_connection(factory, sock=near)
    try:
        yield transport, protocol, peer
    finally:
        if transport.get_extra_info("socket").fileno() >= 0:
            transport.abort()
            await turns(3)
        peer.close()
        if hasattr(protocol, "lost"):
            await until(lambda: protocol.lost, "connection_lost after abort")


async def receive(peer: socket.socket, count: int) -> bytes:
    """Exactly `count` bytes from the raw socket."""
    data = bytearray()

    def complete() -> bool:
        try:
            piece = peer.recv(count - len(data))
        except BlockingIOError:
            return False
        assert piece, f"end of stream after {len(data)} of {count} bytes"
        data.extend(piece)
        return len(data) == count

    while len(data) < count:
        await until(lambda: _grew(data, complete), f"{count} bytes")
    return bytes(data)


def _grew(data: bytearray, step: Callable[[], bool]) -> bool:
    before = len(data)
    return step() or len(data) > before


async def receive_all(peer: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    data = bytearray()
    ended = False

    def step() -> bool:
        nonlocal ended
        try:
            piece = peer.recv(1 << 20)
        except BlockingIOError:
            return False
        data.extend(piece)
        ended = not piece
        return True

    while not ended:
        await until(step, "the end of the stream")
    return bytes(data)


async def answered(receiving: Awaitable[bytes], peer: socket.socket, data: bytes) -> None:
    """Let a call that receives wait, then send; it must bring exactly the data."""
    task = asyncio.ensure_future(receiving)
    await turns(3)
    assert not task.done()
    peer.send(data)
    assert await asyncio.wait_for(task, PATIENCE) == data


def reset(peer: socket.socket) -> None:
    """Close the raw TCP socket so that its peer gets a RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def same_number(fd: int) -> socket.socket:
    """Make a socket pair and give one end the number `fd`, which must be free; returns the other.

    The caller closes `fd` with os.close.
    """
    left, right = socket.socketpair()
    if right.fileno() == fd:
        left, right = right, left
    if left.fileno() == fd:
        left.detach()
    else:
        os.dup2(left.fileno(), fd)
        left.close()
    os.set_blocking(fd, False)
    right.setblocking(False)
    return right


def address_of(server: asyncio.Server) -> Any:
    return server.sockets[0].getsockname()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()
