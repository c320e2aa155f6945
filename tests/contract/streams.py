"""What the tests of streams share: readers that are fed by hand, and connections made by hand."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contract.kits import Kit
from contract.support import raw_pair, turns


class FakeTransport:
    """Notes what a reader asks of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")

    def __repr__(self) -> str:
        return f"<{len(self.calls)} calls>"


class Pauseless(FakeTransport):
    def pause_reading(self) -> None:
        self.calls.append("pause_reading")
        raise NotImplementedError


def new_reader(kit: Kit, *data: bytes, limit: int = 2**16) -> Any:
    """A reader of the running loop that has been fed."""
    reader = kit.StreamReader(limit=limit, loop=asyncio.get_running_loop())
    for piece in data:
        reader.feed_data(piece)
    return reader


@asynccontextmanager
async def stream(
    kit: Kit, kind: str = "tcp", *, reader: Any = None, protocol: Any = None, limit: int = 2**16
) -> AsyncIterator[tuple[Any, Any, socket.socket]]:
    """A reader and a writer made by hand, and the raw socket at the far end."""
    loop = asyncio.get_running_loop()
    near, peer = raw_pair(kind)
    reader = (reader or kit.StreamReader)(limit=limit, loop=loop)
    made = (protocol or kit.StreamReaderProtocol)(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: made, sock=near)
    writer = kit.StreamWriter(transport, made, reader, loop)
    try:
        yield reader, writer, peer
    finally:
        transport.abort()
        await turns(3)
        peer.close()


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port
