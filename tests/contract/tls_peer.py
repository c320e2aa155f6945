"""A TLS peer for tests, driven by hand: its records can be cut, joined, damaged and held back.

The peer is an `ssl.SSLObject` over a plain non-blocking socket, polled by the test, so that a test
of the loop does not depend on a second part of the same loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import trustme

from contract.support import raw_pair, until

P = TypeVar("P", bound=asyncio.BaseProtocol)


@dataclass(frozen=True)
class Contexts:
    """The TLS settings of a server for localhost, and of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_contexts(version: ssl.TLSVersion | None = None) -> Contexts:
    """New certificates, for connections of this version of TLS only."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    if version is not None:
        for context in (server, client):
            context.minimum_version = context.maximum_version = version
    return Contexts(server, client)


class Peer:
    """The far end of a connection."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, server_side: bool) -> None:
        self.sock = sock
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        hostname = None if server_side else "localhost"
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server_side, server_hostname=hostname
        )
        self.data = bytearray()
        self.ended = False
        """The other side has closed its socket."""
        self.farewell = False
        """The other side has said that it sends no more."""

    def collect(self) -> None:
        """Take what has come so far."""
        with contextlib.suppress(BlockingIOError):
            while not self.ended:
                data = self.sock.recv(1 << 16)
                self.ended = not data
                self.incoming.write(data)

    def records(self) -> bytes:
        """What has been encrypted and not been sent."""
        return self.outgoing.read()

    async def send_raw(self, data: bytes, piece: int = 1 << 30) -> None:
        """Send bytes as they are, so many at a time, each piece alone."""
        while data:
            with contextlib.suppress(BlockingIOError):
                count = self.sock.send(data[:piece])
                data = data[count:]
            if data:
                await asyncio.sleep(0)

    async def flush(self, piece: int = 1 << 30) -> None:
        await self.send_raw(self.records(), piece)

    async def handshake(self, piece: int = 1 << 30) -> None:
        """Shake hands, sending so many bytes at a time."""
        done = False
        while not done:
            self.collect()
            try:
                self.tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                await asyncio.sleep(0.0005)
            finally:
                await self.flush(piece)

    async def send(self, data: bytes, piece: int = 1 << 30) -> None:
        """Encrypt data and send it, so many bytes at a time."""
        self.tls.write(data)
        await self.flush(piece)

    def read(self) -> None:
        """Decrypt what has come so far."""
        self.collect()
        with contextlib.suppress(ssl.SSLWantReadError):
            while not self.farewell:
                data = self.tls.read(1 << 16)
                self.data += data
                self.farewell = not data

    async def receive(self, count: int) -> bytes:
        """The first `count` bytes that came, which are forgotten."""

        def there() -> bool:
            self.read()
            return len(self.data) >= count

        await until(there, f"{count} bytes")
        data = bytes(self.data[:count])
        del self.data[:count]
        return data

    async def bid_farewell(self) -> None:
        """Answer the farewell of the other side, once it has come."""

        def bidden() -> bool:
            self.read()
            return self.farewell

        await until(bidden, "the farewell")
        self.tls.unwrap()
        await self.flush()

    async def gone(self) -> None:
        """Wait until the other side has closed its socket."""

        def ended() -> bool:
            with contextlib.suppress(ConnectionError):
                self.collect()
                return self.ended
            return True

        await until(ended, "the end of the connection")


@asynccontextmanager
async def accepted(
    contexts: Contexts, factory: Callable[[], P], **options: Any
) -> AsyncIterator[tuple[Any, P, Peer]]:
    """A server's end of a connection with its protocol, and the client at the far end."""
    loop = asyncio.get_running_loop()
    near, far = raw_pair("tcp")
    peer = Peer(far, contexts.client, server_side=False)
    made = asyncio.ensure_future(
        loop.connect_accepted_socket(factory, near, ssl=contexts.server, **options)
    )
    await peer.handshake()
    transport, protocol = await made
    try:
        yield transport, protocol, peer
    finally:
        transport.abort()
        far.close()
        if hasattr(protocol, "lost"):
            await until(lambda: protocol.lost, "connection_lost after abort")
