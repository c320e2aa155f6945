"""The servers under test, one coroutine function each: public asyncio API only.

Each is given a `Place` and returns something that must be kept while it serves. Nothing here may
favour a loop; where asyncio leaves a choice (sizes of reads, backlogs), it is the same for all.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from benches.rows.web import aiohttp_server, uvicorn_server, websockets_server

HOST = "127.0.0.1"
BACKLOG = 1024
READ = 65536


@dataclass
class Place:
    """Where a server listens: `kind` is tcp, unix, udp, pipes or tls; sockets, pipes, certificate
    and key lie in `folder`."""

    kind: str
    folder: Path
    size: int
    port: int | None = None
    """The one that the server was given, where it has one."""

    def listener(self) -> socket.socket:
        if self.kind == "unix":
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(self.folder / "socket"))
        else:
            # With the protocol named: asyncio switches Nagle's algorithm off only where it is.
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, 0))
            self.port = listener.getsockname()[1]
        listener.setblocking(False)
        listener.listen(BACKLOG)
        return listener

    def tls(self) -> ssl.SSLContext | None:
        if self.kind != "tls":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "certificate.pem", self.folder / "key.pem")
        return context

    async def create_server(self, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if self.kind == "unix":
            path = str(self.folder / "socket")
            return await loop.create_unix_server(factory, path, backlog=BACKLOG)
        return self._found(
            await loop.create_server(factory, HOST, 0, backlog=BACKLOG, ssl=self.tls())
        )

    async def start_server(self, serve: Callable[..., Awaitable[None]]) -> asyncio.Server:
        if self.kind == "unix":
            path = str(self.folder / "socket")
            return await asyncio.start_unix_server(serve, path, backlog=BACKLOG)
        return self._found(
            await asyncio.start_server(serve, HOST, 0, backlog=BACKLOG, ssl=self.tls())
        )

    def _found(self, server: asyncio.Server) -> asyncio.Server:
        self.port = server.sockets[0].getsockname()[1]
        return server


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


async def sock(place: Place) -> Any:
    loop = asyncio.get_running_loop()
    listener = place.listener()

    async def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while data := await loop.sock_recv(connection, READ):
                    await loop.sock_sendall(connection, data)
            except ConnectionError:
                pass

    async def accept() -> None:
        tasks = set()
        while True:
            connection, _ = await loop.sock_accept(listener)
            _without_delay(connection)
            task = loop.create_task(serve(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    return listener, loop.create_task(accept())


class ReaderEcho:
    """A connection on `add_reader`: what the kernel does not take at once waits for
    `add_writer`, and nothing is read meanwhile."""

    def __init__(self, connection: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        self.connection = connection
        # The number, not the socket: rloop 0.5 takes nothing else.
        self.fd = connection.fileno()
        self.rest = memoryview(b"")
        self.loop.add_reader(self.fd, self.readable)

    def readable(self) -> None:
        try:
            data = self.connection.recv(READ)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionError:
            data = b""
        if not data:
            self.loop.remove_reader(self.fd)
            self.connection.close()
            return
        try:
            sent = self.connection.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except ConnectionError:
            return  # and the next read says so again
        if sent < len(data):
            self.rest = memoryview(data)[sent:]
            self.loop.remove_reader(self.fd)
            self.loop.add_writer(self.fd, self.writable)

    def writable(self) -> None:
        try:
            self.rest = self.rest[self.connection.send(self.rest) :]
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionError:
            self.rest = memoryview(b"")
        if not self.rest:
            self.loop.remove_writer(self.fd)
            self.loop.add_reader(self.fd, self.readable)


async def add_reader(place: Place) -> Any:
    loop = asyncio.get_running_loop()
    listener = place.listener()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            _without_delay(connection)
            ReaderEcho(connection)

    loop.add_reader(listener.fileno(), accept)
    return listener


def _without_delay(connection: socket.socket) -> None:
    """As transports do."""
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


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
