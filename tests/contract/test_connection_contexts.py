"""In which context protocol methods run: that of who made the connection or the server."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import socket
from typing import Any

import pytest

from contract.support import Recorder, raw_pair, until
from loops import Run

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")


class Noting(Recorder):
    """Notes what the variable holds in each method."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, str] = {"factory": name.get()}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.seen["connection_made"] = name.get()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.seen["data_received"] = name.get()

    def eof_received(self) -> None:
        super().eof_received()
        self.seen["eof_received"] = name.get()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.seen["connection_lost"] = name.get()


def everywhere(value: str) -> dict[str, str]:
    names = ["factory", "connection_made", "data_received", "eof_received", "connection_lost"]
    return dict.fromkeys(names, value)


def test_a_client_protocol_runs_in_the_context_of_create_connection(run: Run) -> None:
    async def main() -> dict[str, str]:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("tcp")
        name.set("at create_connection")
        _, protocol = await loop.create_connection(Noting, sock=near)
        name.set("later")
        peer.send(b"x")
        await until(lambda: protocol.data)
        peer.shutdown(socket.SHUT_WR)
        await until(lambda: protocol.lost)
        peer.close()
        return protocol.seen

    assert run(main) == everywhere("at create_connection")


def test_a_server_protocol_runs_in_the_context_of_create_server(run: Run) -> None:
    async def main() -> list[dict[str, str]]:
        loop = asyncio.get_running_loop()
        made: list[Noting] = []

        def factory() -> Noting:
            made.append(Noting())
            return made[-1]

        name.set("at create_server")
        server = await loop.create_server(factory, "127.0.0.1", 0)
        name.set("later")
        for number in range(2):
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.send(b"x")
                await until(lambda n=number: len(made) > n and made[n].data)
            await until(lambda n=number: made[n].lost)
        server.close()
        await server.wait_closed()
        return [protocol.seen for protocol in made]

    assert run(main) == [everywhere("at create_server")] * 2


def test_what_one_connection_sets_is_not_seen_by_another(run: Run) -> None:
    class Setting(Noting):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            name.set("set by a connection")

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        made: list[Setting] = []

        def factory() -> Setting:
            made.append(Setting())
            return made[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0)
        for number in range(2):
            with socket.create_connection(server.sockets[0].getsockname()) as client:
                client.send(b"x")
                await until(lambda n=number: len(made) > n and made[n].data)
            await until(lambda n=number: made[n].lost)
        server.close()
        await server.wait_closed()
        return [(p.seen["factory"], p.seen["connection_made"]) for p in made]

    assert run(main) == [("none", "none"), ("none", "none")]


def test_stream_handlers_inherit_the_context_of_start_server(run: Run) -> None:
    async def main() -> str:
        seen = asyncio.get_running_loop().create_future()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            seen.set_result(name.get())
            writer.close()
            await writer.wait_closed()

        name.set("at start_server")
        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            name.set("later")
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
            await writer.wait_closed()
            result: str = await seen
            await until(lambda: len(asyncio.all_tasks()) == 1)
        return result

    assert run(main) == "at start_server"


def test_what_a_factory_sets_stays_with_its_connection(run: Run) -> None:
    """Each connection of a server begins with the server's context."""
    protocols: list[Noting] = []

    def factory() -> Noting:
        protocol = Noting()
        protocols.append(protocol)
        name.set(f"connection {len(protocols)}")
        return protocol

    async def main() -> None:
        loop = asyncio.get_running_loop()
        name.set("at create_server")
        server = await loop.create_server(factory, "127.0.0.1", 0)
        for number in (1, 2, 3):
            with socket.create_connection(server.sockets[0].getsockname()) as peer:
                peer.sendall(b"x")
                await until(lambda number=number: len(protocols) == number and protocols[-1].data)
            await until(lambda: protocols[-1].lost)
        server.close()

    run(main)
    for number, protocol in enumerate(protocols, 1):
        assert protocol.seen["factory"] == "at create_server"
        assert protocol.seen["connection_made"] == f"connection {number}"
        assert protocol.seen["data_received"] == f"connection {number}"


class Writing(Noting):
    """Notes what the variable holds when there is room again."""

    def resume_writing(self) -> None:
        super().resume_writing()
        self.seen["resume_writing"] = name.get()


@pytest.mark.parametrize("kind", ["tcp", "unix", "pipe"])
def test_what_comes_of_room_runs_in_the_context_of_the_write(run: Run, kind: str) -> None:
    """Of the one that had to wait first; `connection_lost()` after a flush as well."""
    sent = b"x" * 4_000_000

    async def main() -> dict[str, str]:
        loop: Any = asyncio.get_running_loop()
        name.set("connecting")
        if kind == "pipe":
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            near: Any = os.fdopen(writer, "wb", buffering=0)
            far: Any = os.fdopen(reader, "rb", buffering=0)
            transport, protocol = await loop.connect_write_pipe(Writing, near)
            take = far.read
        else:
            near, far = raw_pair(kind)
            transport, protocol = await loop.create_connection(Writing, sock=near)
            take = functools.partial(receive_some, far)
        with far:
            for request in ("request 1", "request 2"):
                name.set(request)
                transport.write(sent)
                transport.write(b"y")
                name.set("later")
                transport.write(b"z")
                if request == "request 2":
                    transport.close()
                taken = 0
                while taken < len(sent) + 2:
                    taken += len(take(1 << 20) or b"")
                    await asyncio.sleep(0)
                await until(lambda: not transport.get_write_buffer_size())
                await until(lambda request=request: protocol.seen["resume_writing"] == request)
            await until(lambda: protocol.lost)
        return protocol.seen

    seen = run(main)
    assert seen["resume_writing"] == "request 2"
    assert seen["connection_lost"] == "request 2"


def receive_some(sock: socket.socket, count: int) -> bytes:
    try:
        return sock.recv(count)
    except BlockingIOError:
        return b""
