"""Echo rows: what a request costs the server's process, over TCP on loopback.

The server under test runs in its own process (`benches.server`); requests come from the load
generator in `crates/load`. Nothing here may favour a loop: public asyncio API only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar, cast


@dataclass(frozen=True)
class EchoRow:
    """One row; an operation is one request of `size` bytes, sent back whole."""

    name: str
    about: str
    server: str
    """A key of `SERVERS`."""
    size: int
    connections: int = 10
    in_flight: int = 1

    group: ClassVar[str] = "echo"


class EchoProtocol(asyncio.Protocol):
    """Sends back whatever arrives."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The cast costs nothing per request: this runs once per connection.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


async def _protocol(host: str, size: int) -> asyncio.Server:
    return await asyncio.get_running_loop().create_server(EchoProtocol, host, 0)


Read = Callable[[asyncio.StreamReader], Awaitable[bytes]]


async def _streams(host: str, read: Read) -> asyncio.Server:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read(reader):
                writer.write(request)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone: the end of a run
        finally:
            writer.close()

    return await asyncio.start_server(serve, host, 0)


async def _readexactly(host: str, size: int) -> asyncio.Server:
    return await _streams(host, lambda reader: reader.readexactly(size))


async def _readline(host: str, size: int) -> asyncio.Server:
    return await _streams(host, asyncio.StreamReader.readline)


SERVERS: dict[str, Callable[[str, int], Awaitable[asyncio.Server]]] = {
    "protocol": _protocol,
    "readexactly": _readexactly,
    "readline": _readline,
}

ROWS = (
    EchoRow("echo_64", "protocol, 64 B, 10 connections", "protocol", 64),
    EchoRow("echo_1k", "protocol, 1 KiB, 10 connections", "protocol", 1 << 10),
    EchoRow("echo_10k", "protocol, 10 KiB, 10 connections", "protocol", 10 << 10),
    EchoRow("echo_100k", "protocol, 100 KiB, 10 connections", "protocol", 100 << 10),
    EchoRow(
        "echo_64_x16", "protocol, 64 B, 10 connections, 16 in flight", "protocol", 64, in_flight=16
    ),
    EchoRow(
        "stream_readexactly_1k",
        "streams, `readexactly`, 1 KiB, 10 connections",
        "readexactly",
        1 << 10,
    ),
    EchoRow(
        "stream_readline_1k", "streams, `readline`, 1 KiB, 10 connections", "readline", 1 << 10
    ),
)
