"""Servers on bare sockets: the loop's `sock_*` coroutines, and `add_reader`."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from benches.rows.place import READ, Place


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
