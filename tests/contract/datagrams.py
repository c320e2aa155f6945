"""What the tests of datagram transports share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from contract.support import until

LOCAL = ("127.0.0.1", 0)


class Receiver(asyncio.DatagramProtocol):
    """Notes datagrams, errors and flow control."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, Any]] = []
        self.errors: list[Exception] = []
        self.events: list[str] = []
        self.reason: BaseException | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("connection_made")

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.got.append((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.errors.append(exc)

    def pause_writing(self) -> None:
        self.events.append("pause_writing")

    def resume_writing(self) -> None:
        self.events.append("resume_writing")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.reason = exc
        self.lost = True


@asynccontextmanager
async def endpoint(**arguments: Any) -> AsyncIterator[tuple[Any, Receiver]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Receiver, **arguments)
    try:
        yield transport, protocol
    finally:
        if not protocol.lost:
            transport.abort()
            await until(lambda: protocol.lost)
