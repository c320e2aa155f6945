"""The servers under test, one coroutine function each: public asyncio API only.

Each is given a `Place` and returns something that must be kept while it serves. Nothing here may
favour a loop; where asyncio leaves a choice (sizes of reads, backlogs), it is the same for all.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from benches.rows.place import HOST, READ, Place
from benches.rows.socket_servers import add_reader, sock
from benches.rows.web import aiohttp_server, uvicorn_server, websockets_server

ROOM_FOR_DATAGRAMS = 4 << 20
"""Bytes of the receive buffer that are asked for, as of the limit: the usual ones do not hold what
100 clients send at the start, and a datagram that is lost is not sent again."""


class EchoProtocol(asyncio.Protocol):
    """Sends back whatever arrives."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The cast costs nothing per request: this runs once per connection.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    """The same from a buffer of its own, which is used again for the next read: so what is
    written must be a copy."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        self.transport.write(bytes(self.view[:nbytes]))


class DatagramEcho(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


class CloseAtOnce(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def protocol(place: Place) -> Any:
    return await place.create_server(EchoProtocol)


async def buffered(place: Place) -> Any:
    return await place.create_server(BufferedEcho)


async def close(place: Place) -> Any:
    return await place.create_server(CloseAtOnce)


async def datagrams(place: Place) -> Any:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(DatagramEcho, local_addr=(HOST, 0))
    # By the descriptor: not every loop's object has all methods of a socket.
    with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as its_socket:
        its_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM_FOR_DATAGRAMS)
    place.port = transport.get_extra_info("sockname")[1]
    return transport


async def pipes(place: Place) -> Any:
    loop = asyncio.get_running_loop()
    # Held open for both directions, so that the load generator may come and go without an end.
    for name in ("to-server", "from-server"):
        os.open(place.folder / name, os.O_RDWR | os.O_NONBLOCK)

    class Writer(asyncio.BaseProtocol):
        pass

    class Reader(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            writing.write(data)

    out = os.open(place.folder / "from-server", os.O_WRONLY | os.O_NONBLOCK)
    writing, _ = await loop.connect_write_pipe(Writer, os.fdopen(out, "wb", 0))
    into = os.open(place.folder / "to-server", os.O_RDONLY | os.O_NONBLOCK)
    reading, _ = await loop.connect_read_pipe(Reader, os.fdopen(into, "rb", 0))
    return reading


Read = Callable[[asyncio.StreamReader], Awaitable[bytes]]


async def _streams(place: Place, read: Read) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read(reader):
                writer.write(request)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone: the end of a run
        finally:
            writer.close()

    return await place.start_server(serve)


async def readexactly(place: Place) -> Any:
    return await _streams(place, lambda reader: reader.readexactly(place.size))


async def readline(place: Place) -> Any:
    return await _streams(place, lambda reader: reader.readline())


async def bulk(place: Place) -> Any:
    """Counts an upload, and answers with the count at its end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted = 0
        try:
            while data := await reader.read(READ):
                counted += len(data)
            writer.write(b"%d" % counted)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    return await place.start_server(serve)


async def uvicorn(place: Place) -> Any:
    return await uvicorn_server(place.listener(), place.size)


async def aiohttp(place: Place) -> Any:
    return await aiohttp_server(place.listener(), place.size)


async def websockets(place: Place) -> Any:
    return await websockets_server(place.listener())


SERVERS: dict[str, Callable[[Place], Awaitable[Any]]] = {
    one.__name__: one
    for one in (
        protocol,
        buffered,
        close,
        datagrams,
        pipes,
        readexactly,
        readline,
        bulk,
        sock,
        add_reader,
        uvicorn,
        aiohttp,
        websockets,
    )
}
