"""Where a server under test listens, and what asyncio calls make it listen there."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
BACKLOG = 1024
READ = 65536
"""How many bytes a program asks for at once, where it does."""


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
