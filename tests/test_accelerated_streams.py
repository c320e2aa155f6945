"""Streams while `accelerate=True` is in force: what is made, and what was made before."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader as EarlyReader
from asyncio import StreamReaderProtocol as EarlyProtocol
from asyncio import StreamWriter as EarlyWriter
from asyncio import open_connection as early_open_connection
from collections.abc import Iterator
from typing import Any

import batuta
import pytest
from batuta import acceleration, streaming

from contract.support import until


class EarlyServer(asyncio.StreamReaderProtocol):
    """As libraries do it: defined before, with asyncio's names looked up when it runs."""

    def __init__(self, handler: Any) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        asyncio.StreamReaderProtocol.__init__(self, reader, handler, loop=loop)

    def connection_made(self, transport: Any) -> None:
        asyncio.StreamReaderProtocol.connection_made(self, transport)


@pytest.fixture(params=[batuta.new_event_loop, asyncio.SelectorEventLoop])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with acceleration.held(), asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


async def upper(reader: Any, writer: Any) -> None:
    async for line in reader:
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def converse(reader: Any, writer: Any) -> None:
    for line in (b"one\n", b"two\n"):
        writer.write(line)
        await writer.drain()
        assert await reader.readline() == line.upper()
    writer.close()
    await writer.wait_closed()


def test_what_is_made_is_native(runner: asyncio.Runner) -> None:
    kinds: list[type] = []

    async def serve(reader: Any, writer: Any) -> None:
        kinds.extend((type(reader), type(writer), type(writer.transport.get_protocol())))
        await upper(reader, writer)
        kinds.append(type(None))

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            kinds.extend((type(reader), type(writer), type(writer.transport.get_protocol())))
            await converse(reader, writer)
            await until(lambda: type(None) in kinds)

    runner.run(main())
    kinds.remove(type(None))
    native = [streaming.StreamReader, streaming.StreamWriter, streaming.StreamReaderProtocol]
    assert kinds == native * 2


def test_classes_and_functions_taken_before_go_on_working(runner: asyncio.Runner) -> None:
    made: list[Any] = []
    served: list[None] = []

    async def serve(reader: Any, writer: Any) -> None:
        made.extend((reader, writer))
        await upper(reader, writer)
        served.append(None)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: EarlyServer(serve), "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()
            await converse(*await early_open_connection(*address))
            reader = EarlyReader(loop=loop)
            protocol = EarlyProtocol(reader, loop=loop)
            transport, _ = await loop.create_connection(lambda: protocol, *address)
            await converse(reader, EarlyWriter(transport, protocol, reader, loop))
            await until(lambda: len(served) == 2)

    runner.run(main())
    assert [type(one) for one in made] == [streaming.StreamReader, streaming.StreamWriter] * 2


def test_readers_made_before_are_readers(runner: asyncio.Runner) -> None:
    async def main() -> None:
        early = EarlyReader(loop=asyncio.get_running_loop())
        assert isinstance(early, asyncio.StreamReader)
        assert isinstance(asyncio.StreamReader(), asyncio.StreamReader)
        assert not isinstance(object(), asyncio.StreamReader)
        assert issubclass(EarlyReader, asyncio.StreamReader)

        class Own(asyncio.StreamReader):
            pass

        assert issubclass(Own, streaming.StreamReader)
        assert type(Own()) is Own
        assert type(asyncio.StreamReader.__new__(asyncio.StreamReader)) is streaming.StreamReader

    runner.run(main())


def test_names_are_put_back_and_native_streams_go_on(runner: asyncio.Runner) -> None:
    near, far = socket.socketpair()

    async def main() -> None:
        reader, writer = await asyncio.open_unix_connection(sock=near)
        assert type(reader) is streaming.StreamReader
        acceleration.release()
        try:
            assert asyncio.StreamReader is EarlyReader
            far.sendall(b"line\n")
            assert await reader.readline() == b"line\n"
            assert isinstance(reader, asyncio.StreamReader)
            assert isinstance(writer, asyncio.StreamWriter)
            writer.close()
            await writer.wait_closed()
        finally:
            acceleration.hold()

    with far:
        near.setblocking(False)
        runner.run(main())
