"""Servers and connecting: create_server, create_connection, Unix paths, accept, close."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from typing import Any

import pytest

from contract.support import Recorder, address_of, echo, turns, until
from loops import Run


class Accepting:
    """A protocol factory that keeps the protocols it made."""

    def __init__(self) -> None:
        self.protocols: list[Recorder] = []

    def __call__(self) -> Recorder:
        self.protocols.append(Recorder())
        return self.protocols[-1]


def test_client_and_server_protocols_talk(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepting = Accepting()
        server = await loop.create_server(accepting, "127.0.0.1", 0)
        transport, client = await loop.create_connection(Recorder, *address_of(server))
        await until(lambda: accepting.protocols and accepting.protocols[0].transport)
        [served] = accepting.protocols
        assert served.transport.get_extra_info("peername") == transport.get_extra_info("sockname")
        assert served.transport.get_extra_info("sockname") == address_of(server)
        assert isinstance(served.transport, asyncio.Transport)
        transport.write(b"to the server")
        served.transport.write(b"to the client")
        await until(lambda: served.data == b"to the server" and client.data == b"to the client")
        transport.close()
        await until(lambda: served.lost and client.lost)
        assert served.events[-2:] == ["eof_received", "connection_lost"]
        server.close()
        await server.wait_closed()

    run(main)


def test_the_server_object(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0, start_serving=False)
        assert isinstance(server, asyncio.Server)
        assert isinstance(server, asyncio.AbstractServer)
        assert server.is_serving() is False
        assert server.get_loop() is loop
        await server.start_serving()
        await server.start_serving()
        assert server.is_serving() is True
        assert [sock.family for sock in server.sockets] == [socket.AF_INET]
        server.close()
        server.close()
        assert server.is_serving() is False
        assert tuple(server.sockets) == ()
        await server.wait_closed()

    run(main)


def test_a_server_does_not_accept_before_it_serves(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepting = Accepting()
        server = await loop.create_server(accepting, "127.0.0.1", 0, start_serving=False)
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(address_of(server))
        await asyncio.sleep(0.01)
        assert accepting.protocols == []
        client.close()
        server.close()
        await server.wait_closed()

    run(main)


def test_a_closed_server_refuses_new_clients_and_keeps_the_old(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepting = Accepting()
        server = await loop.create_server(accepting, "127.0.0.1", 0)
        address = address_of(server)
        transport, client = await loop.create_connection(Recorder, *address)
        await until(lambda: accepting.protocols and accepting.protocols[0].transport)
        server.close()
        with pytest.raises(ConnectionRefusedError):
            await loop.create_connection(Recorder, *address)
        accepting.protocols[0].transport.write(b"still here")
        await until(lambda: client.data == b"still here")
        transport.close()
        await until(lambda: client.lost and accepting.protocols[0].lost)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12, 1), reason="before 3.12.1 it returns at once")
def test_wait_closed_waits_for_the_clients(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepting = Accepting()
        server = await loop.create_server(accepting, "127.0.0.1", 0)
        transport, client = await loop.create_connection(Recorder, *address_of(server))
        await until(lambda: accepting.protocols and accepting.protocols[0].transport)
        server.close()
        waiting = asyncio.ensure_future(server.wait_closed())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        transport.close()
        await waiting
        await until(lambda: client.lost)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="new in Python 3.13")
@pytest.mark.parametrize("method", ["close_clients", "abort_clients"])
def test_close_clients_and_abort_clients(run: Run, method: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        accepting = Accepting()
        server = await loop.create_server(accepting, "127.0.0.1", 0)
        clients = [(await loop.create_connection(Recorder, *address_of(server)))[1] for _ in "abc"]
        await until(lambda: len(accepting.protocols) == 3)
        await until(lambda: all(p.transport for p in accepting.protocols))
        if method == "abort_clients":
            for served in accepting.protocols:
                served.transport.write(b"x" * 20_000_000)
        server.close()
        getattr(server, method)()
        await until(lambda: all(p.lost for p in [*accepting.protocols, *clients]))
        await server.wait_closed()

    run(main)


def test_serve_forever_ends_by_cancellation_and_closes(run: Run) -> None:
    async def main() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        serving = asyncio.ensure_future(server.serve_forever())
        reader, writer = await asyncio.open_connection(*address_of(server))
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
        with pytest.raises(RuntimeError, match="already being awaited"):
            await server.serve_forever()
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert not server.is_serving()
        await until(lambda: len(asyncio.all_tasks()) == 1)  # the echo task saw the end

    run(main)


@pytest.mark.skipif(sys.version_info[:3] == (3, 12, 0), reason="3.12.0 waits for ever")
def test_a_server_is_closed_by_async_with(run: Run) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*address_of(server))
            writer.write(b"x")
            writer.write_eof()
            assert await reader.read() == b"x"
            writer.close()
            await writer.wait_closed()
        assert not server.is_serving()

    run(main)


def test_many_clients_at_once(run: Run) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0, backlog=200) as server:

            async def client(number: int) -> None:
                reader, writer = await asyncio.open_connection(*address_of(server))
                for _ in range(3):
                    writer.write(b"%04d\n" % number)
                    assert await reader.readline() == b"%04d\n" % number
                writer.close()
                await writer.wait_closed()

            await asyncio.gather(*map(client, range(150)))

    run(main)


def test_clients_that_connect_and_vanish_do_not_harm_the_server(run: Run) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            for _ in range(30):
                sock = socket.create_connection(address_of(server))
                sock.close()
            await turns(20)
            reader, writer = await asyncio.open_connection(*address_of(server))
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.01)

    run(main)


def test_running_out_of_file_descriptors_pauses_accepting_and_recovers(run: Run) -> None:
    async def main() -> None:
        reports: list[dict[str, Any]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reports.append(context))
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            client = socket.socket()
            client.setblocking(False)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
            spare = []
            try:
                try:
                    while True:
                        spare.append(os.dup(client.fileno()))
                except OSError:
                    pass
                client.connect_ex(address_of(server))
                await until(lambda: reports)
            finally:
                for fd in spare:
                    os.close(fd)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert reports[0]["message"] == "socket.accept() out of system resource"
            client.send(b"served at last")

            def answered() -> bool:
                try:
                    return client.recv(100) == b"served at last"
                except BlockingIOError:
                    return False

            await until(answered)  # stock tries again after a second
            client.close()
            await until(lambda: len(asyncio.all_tasks()) == 1)  # the handler has seen the end
            await turns(5)

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="before, it accepted nobody")
def test_a_backlog_of_none_accepts_one_at_a_time(run: Run) -> None:
    async def main() -> None:
        async with await asyncio.start_server(echo, "127.0.0.1", 0, backlog=0) as server:
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*address_of(server))
                writer.write(b"there")
                async with asyncio.timeout(5):
                    assert await reader.readexactly(5) == b"there"
                writer.close()

    run(main)
