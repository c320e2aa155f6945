"""What streams leave behind: cycles through readers, writers and their connections are collected,
and a million reads leave memory where it was.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from leaks.knots import Knot, Loop, Witness, check
from leaks.test_counts import Work
from leaks.test_counts import check as check_counts
from leaks.ways import Way


async def connected(loop: Loop) -> tuple[Any, Any, socket.socket]:
    """A reader and a writer, and the socket at the far end."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=near)
    return reader, writer, far


async def closed(writer: Any, far: socket.socket) -> None:
    writer.close()
    await writer.wait_closed()
    far.close()
    await asyncio.sleep(0)


# Cycles


class Buffer(bytearray):
    tied: Any


class Failure(Exception):
    tied: Any


class Transport(asyncio.Transport):
    tied: Any

    def is_closing(self) -> bool:
        return True


async def reader_in_itself(loop: Loop, witness: Any) -> None:
    reader: Any = asyncio.StreamReader(loop=loop)
    assert gc.is_tracked(reader)
    assert weakref.ref(reader)() is reader
    reader.tied = reader, witness


async def buffer_of_a_reader(loop: Loop, witness: Any) -> None:
    reader: Any = asyncio.StreamReader(loop=loop)
    reader._buffer = buffer = Buffer()
    buffer.tied = reader, witness


async def exception_of_a_reader(loop: Loop, witness: Any) -> None:
    reader = asyncio.StreamReader(loop=loop)
    failure = Failure()
    reader.set_exception(failure)
    failure.tied = reader, witness


async def transport_of_a_reader(loop: Loop, witness: Any) -> None:
    reader = asyncio.StreamReader(loop=loop)
    transport = Transport()
    reader.set_transport(transport)
    transport.tied = reader, witness


async def protocol_in_itself(loop: Loop, witness: Any) -> None:
    reader = asyncio.StreamReader(loop=loop)
    protocol: Any = asyncio.StreamReaderProtocol(reader, loop=loop)
    assert gc.is_tracked(protocol)
    protocol.tied = protocol, witness


async def drain_waiter_of_a_protocol(loop: Loop, witness: Any) -> None:
    protocol: Any = asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop)
    future: Any = loop.create_future()
    protocol._drain_waiters.append(future)
    future.tied = protocol, witness


async def writer_in_itself(loop: Loop, witness: Any) -> None:
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    writer: Any = asyncio.StreamWriter(Transport(), protocol, reader, loop)
    assert gc.is_tracked(writer)
    writer.tied = writer, witness


async def everything_of_a_connection(loop: Loop, witness: Any) -> None:
    reader, writer, far = await connected(loop)
    far.send(b"line\nmore")
    assert await reader.readline() == b"line\n"
    writer.write(b"answer")
    await writer.drain()
    reader.tied = writer, witness
    writer.transport.get_protocol().tied = reader
    await closed(writer, far)


async def task_that_waits_for_data(loop: Loop, witness: Any) -> None:
    async def waits(held: Any) -> None:
        reader = asyncio.StreamReader(loop=loop)
        await (reader.readline() if held else reader.read())

    task: Any = loop.create_task(waits(witness))
    witness.tied = task
    task._log_destroy_pending = False
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()


@pytest.mark.parametrize(
    "knot",
    [
        reader_in_itself,
        buffer_of_a_reader,
        exception_of_a_reader,
        transport_of_a_reader,
        protocol_in_itself,
        drain_waiter_of_a_protocol,
        writer_in_itself,
        everything_of_a_connection,
        task_that_waits_for_data,
    ],
)
@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_cycles_of_streams(way: Way, knot: Knot, debug: bool) -> None:
    check(way, knot, debug=debug)


def test_a_connection_ends_with_its_last_reference(way: Way) -> None:
    """Nothing is left for the collector."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer, far = await connected(loop)
        far.send(b"data")
        assert await reader.read(10) == b"data"
        await closed(writer, far)
        references = [weakref.ref(one) for one in (reader, writer)]
        del reader, writer
        await asyncio.sleep(0)
        assert [reference() for reference in references] == [None, None]

    way.run(main)


# Coroutines

COROUTINES: dict[str, Callable[[Any, Any], Coroutine[Any, Any, Any]]] = {
    "read": lambda reader, _: reader.read(5),
    "readexactly": lambda reader, _: reader.readexactly(5),
    "readline": lambda reader, _: reader.readline(),
    "readuntil": lambda reader, _: reader.readuntil(b"--"),
    "__anext__": lambda reader, _: reader.__anext__(),
    "drain": lambda _, writer: writer.drain(),
}


@pytest.mark.parametrize("name", COROUTINES)
def test_coroutines_that_nobody_awaits_are_collected(way: Way, name: str) -> None:
    async def knot(loop: Loop, witness: Any) -> None:
        reader: Any = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        writer: Any = asyncio.StreamWriter(Transport(), protocol, reader, loop)
        coroutine = COROUTINES[name](reader, writer)
        reader.tied = writer.tied = coroutine, witness

    with warnings.catch_warnings():
        # A warning that is kept keeps its coroutine.
        warnings.simplefilter("ignore", RuntimeWarning)
        check(way, knot)


@pytest.mark.parametrize("name", COROUTINES)
def test_a_coroutine_that_nobody_awaits_warns(way: Way, name: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader: Any = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        writer: Any = asyncio.StreamWriter(Transport(), protocol, reader, loop)
        said = rf"^coroutine 'Stream\w+\.{name}' was never awaited"
        with pytest.warns(RuntimeWarning, match=said):
            COROUTINES[name](reader, writer)

    way.run(main)


@pytest.mark.parametrize("name", COROUTINES)
def test_closed_coroutines_let_go(way: Way, name: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader: Any = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        writer: Any = asyncio.StreamWriter(Transport(), protocol, reader, loop)
        reader.tied = writer.tied = witness = Witness()
        coroutine = COROUTINES[name](reader, writer)
        coroutine.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            coroutine.send(None)
        reference = weakref.ref(witness)
        del reader, writer, witness, protocol
        del coroutine  # from 3.13 on it keeps its arguments
        assert reference() is None

    way.run(main)


# Counts


async def reads(loop: Loop, count: int) -> None:
    reader = asyncio.StreamReader(loop=loop)
    for _ in range(count // 5):
        reader.feed_data(b"a line\nexactlysome--")
        assert await reader.readline() == b"a line\n"
        assert await reader.readexactly(7) == b"exactly"
        assert await reader.readuntil(b"--") == b"some--"
        reader.feed_data(b"x")
        assert await reader.read(10) == b"x"
        assert await reader.read(0) == b""


async def waiting_reads(loop: Loop, count: int) -> None:
    reader = asyncio.StreamReader(loop=loop)
    for _ in range(count):
        loop.call_soon(reader.feed_data, b"data")
        assert await reader.readexactly(4) == b"data"


async def peeks(loop: Loop, count: int) -> None:
    reader: Any = asyncio.StreamReader(loop=loop)
    for _ in range(count):
        reader.feed_data(b"data")
        assert reader._buffer == b"data"
        assert await reader.read(10) == b"data"


async def failed_reads(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        reader = asyncio.StreamReader(loop=loop, limit=2)
        reader.feed_data(b"data")
        with pytest.raises(ValueError, match="chunk exceed"):
            await reader.readline()
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            await reader.readexactly(1)


async def cancelled_reads(loop: Loop, count: int) -> None:
    reader = asyncio.StreamReader(loop=loop)
    for _ in range(count):
        reading = loop.create_task(reader.readline())
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])


async def echoes(loop: Loop, count: int) -> None:
    reader, writer, far = await connected(loop)
    for size in (5, 100_000):
        data = b"x" * (size - 1) + b"\n"
        for _ in range(count // (5 if size > 5 else 1)):
            writer.write(data)
            await writer.drain()
            got = 0
            while got < size:
                got += len(await loop.sock_recv(far, size))
            await loop.sock_sendall(far, data)
            assert await reader.readexactly(size) == data
    await closed(writer, far)


async def connections(loop: Loop, count: int) -> None:
    for _ in range(count):
        reader, writer, far = await connected(loop)
        far.send(b"hello\n")
        assert await reader.readline() == b"hello\n"
        await closed(writer, far)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "work",
    [
        Work(reads),
        Work(waiting_reads, 300_000),
        Work(peeks, 300_000),
        Work(failed_reads, 50_000),
        Work(cancelled_reads, 100_000),
        Work(echoes, 20_000),
        Work(connections, 5_000),
        Work(connections, 2_000, debug=True),
    ],
    ids=lambda work: work.name,
)
def test_very_much_of_streams_leaves_nothing(way: Way, work: Work) -> None:
    check_counts(way, work)
