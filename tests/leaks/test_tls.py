"""TLS connections leave nothing behind, and hold little while they are idle."""

from __future__ import annotations

import asyncio
import gc
import ssl
import sys
from asyncio import sslproto
from typing import Any

import pytest
import trustme
from batuta import tls as native_tls

from leaks.knots import check
from leaks.test_counts import resident
from leaks.ways import Way


class Answering(asyncio.Protocol):
    transport: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Asking(asyncio.Protocol):
    """Waits for as much as it has sent."""

    def __init__(self) -> None:
        self.missing = 0
        self.done: asyncio.Future[None] | None = None
        self.lost = asyncio.get_running_loop().create_future()

    async def ask(self, transport: Any, data: bytes) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self.missing = len(data)
        transport.write(data)
        await self.done

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if not self.missing and self.done is not None:
            self.done.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set_result(None)


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def serving(server: ssl.SSLContext) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(Answering, "127.0.0.1", 0, ssl=server)


async def connect(port: int, client: ssl.SSLContext) -> tuple[Any, Asking]:
    loop = asyncio.get_running_loop()
    return await loop.create_connection(
        Asking, "127.0.0.1", port, ssl=client, server_hostname="localhost"
    )


@pytest.mark.timeout(120)
def test_very_many_connections_leave_nothing(
    way: Way, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async def connections(port: int, count: int) -> None:
        for number in range(count):
            transport, protocol = await connect(port, contexts[1])
            await protocol.ask(transport, b"a few bytes" * (number % 7 + 1))
            transport.close()
            await protocol.lost
        await asyncio.sleep(0.01)

    async def main() -> None:
        async with await serving(contexts[0]) as server:
            port = server.sockets[0].getsockname()[1]
            await connections(port, 60)
            gc.collect()
            before = resident(), sys.getallocatedblocks(), len(gc.get_objects())
            await connections(port, 300)
            gc.collect()
            after = resident(), sys.getallocatedblocks(), len(gc.get_objects())
            assert after[2] - before[2] < 50
            assert after[1] - before[1] < 1000
            assert after[0] - before[0] < 4 << 20

    way.run(main)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", [10, 5000, 200_000])
def test_very_many_messages_leave_nothing(
    way: Way, contexts: tuple[ssl.SSLContext, ssl.SSLContext], size: int
) -> None:
    async def main() -> None:
        async with await serving(contexts[0]) as server:
            transport, protocol = await connect(server.sockets[0].getsockname()[1], contexts[1])
            data = bytes(size)
            for _ in range(100):
                await protocol.ask(transport, data)
            gc.collect()
            before = resident(), sys.getallocatedblocks(), sys.getrefcount(None)
            count = min(5000, 20_000_000 // size)
            for _ in range(count):
                await protocol.ask(transport, data)
            gc.collect()
            after = resident(), sys.getallocatedblocks(), sys.getrefcount(None)
            assert after[1] - before[1] < 500
            assert abs(after[2] - before[2]) < 200
            assert after[0] - before[0] < 4 << 20
            transport.close()
            await protocol.lost

    way.run(main)


def test_an_idle_connection_holds_little(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    """Whatever it has sent before: asyncio's has a buffer of 256 KiB, and all memory that its
    largest message needed."""
    from leaks.ways import WAYS

    async def main() -> None:
        async with await serving(contexts[0]) as server:
            port = server.sockets[0].getsockname()[1]
            held = []
            before = 0
            for number in range(60):
                transport, protocol = await connect(port, contexts[1])
                await protocol.ask(transport, bytes(3_000_000))
                held.append((transport, protocol))
                if number == 9:
                    before = resident()
            # Both ends are in this process.
            each = (resident() - before) / 50 / 2
            assert each < 700_000, f"{each:.0f} bytes a connection"
            for transport, protocol in held:
                transport.close()
                await protocol.lost

    WAYS["batuta"].run(main)


def test_a_connection_that_was_never_made_is_collected_with_its_cycle(
    way: Way, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    maker: Any = sslproto.SSLProtocol if way.is_stock else native_tls.SSLProtocol

    async def knot(loop: Any, witness: Any) -> None:
        protocol = Answering()
        made = maker(loop, protocol, contexts[1], None, server_hostname="localhost")
        made._app_transport._closed = True  # Nobody has to be warned.
        protocol.transport = made, witness
        witness.tied = made

    check(way, knot)
