"""Small writes of every TCP connection are sent at once, however its socket was made."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from contract.support import Recorder, until
from loops import Run, load

PROTOCOLS = {"named": socket.IPPROTO_TCP, "left open": 0}


@pytest.fixture
def run() -> Run:
    return Run(load("batuta:new_event_loop"))


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_an_answer_in_two_pieces_does_not_wait(run: Run, protocol: int) -> None:
    """With Nagle's algorithm each of these takes 40 ms, unless it is one of the first."""

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            loop = asyncio.get_running_loop()
            loop.call_soon(self.transport.write, b"head ")
            loop.call_soon(self.transport.write, b"body\n")

    async def main() -> float:
        loop = asyncio.get_running_loop()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = await loop.create_server(Server, sock=listener)
        async with server:
            address = listener.getsockname()
            transport, client = await loop.create_connection(Recorder, *address)
            began = time.monotonic()
            for answers in range(1, 51):
                transport.write(b"?")
                await until(lambda count=10 * answers: len(client.data) == count)  # type: ignore[misc]
            took = time.monotonic() - began
            transport.close()
            await until(lambda: client.lost)
        return took

    assert run(main) < 1.0


@pytest.mark.parametrize("kind", ["accepted", "given"])
def test_the_option_is_set(run: Run, kind: str) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        server = await loop.create_server(factory, sock=listener)
        client = socket.socket()
        client.setblocking(False)
        await loop.sock_connect(client, listener.getsockname())
        transport, _ = await loop.create_connection(Recorder, sock=client)
        await until(lambda: made and made[0].transport)
        near = transport if kind == "given" else made[0].transport
        value: int = near.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY
        )
        transport.close()
        server.close()
        await until(lambda: made[0].lost)
        return value

    assert run(main) == 1
