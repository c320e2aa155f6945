"""The buffer of a stream reader: how it is filled, and what programs see of it."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import random
import socket
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, STOCK_KIT, Kit, both_kits
from contract.streams import FakeTransport, Pauseless, new_reader, stream
from loops import Run


def sendall(peer: socket.socket, data: bytes) -> None:
    """Sends all of it from another thread."""
    peer.setblocking(True)
    peer.sendall(data)


# Feeding


@both_kits
def test_odd_data_is_taken_or_refused(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit)
        for data in (b"a", bytearray(b"b"), memoryview(b"c"), [100, 101], b"", None):
            reader.feed_data(data)
        reader.feed_data(data=b"f")
        with pytest.raises(TypeError):
            reader.feed_data("text")
        with pytest.raises(ValueError, match=r"byte must be in range"):
            reader.feed_data([1000])
        reader.feed_eof()
        assert await reader.read() == b"abcdef"
        with pytest.raises(AssertionError, match="feed_data after feed_eof"):
            reader.feed_data(b"x")
        with pytest.raises(AssertionError, match="_wait_for_data after EOF"):
            await reader._wait_for_data("read")

    run(main)


@both_kits
def test_the_transport_is_paused_above_twice_the_limit(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader, transport = new_reader(kit, limit=10), FakeTransport()
        reader.set_transport(transport)
        reader.feed_data(bytes(20))
        assert transport.calls == []
        reader.feed_data(b"x")
        assert (transport.calls, reader._paused) == (["pause_reading"], True)
        reader.feed_data(b"yz")
        await reader.readexactly(12)
        assert transport.calls == ["pause_reading"]
        await reader.readexactly(1)
        assert (transport.calls, reader._paused) == (["pause_reading", "resume_reading"], False)
        reader.feed_data(bytes(40))
        # Who waits for more than that has it go on.
        more = asyncio.create_task(reader.readexactly(60))
        await asyncio.sleep(0)
        assert transport.calls[2:] == ["pause_reading", "resume_reading"]
        reader.feed_data(bytes(10))
        await more

    run(main)


@both_kits
def test_a_transport_that_cannot_pause_is_asked_once(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader, transport = new_reader(kit, limit=1), Pauseless()
        reader.set_transport(transport)
        reader.feed_data(bytes(10))
        reader.feed_data(bytes(10))
        assert transport.calls == ["pause_reading"]
        assert reader._transport is None
        assert len(await reader.read(100)) == 20

    run(main)


# What comes while somebody waits for just that


@both_kits
@pytest.mark.parametrize("method", ["read", "readexactly"])
def test_what_came_for_one_who_is_gone_is_there_for_others(kit: Kit, run: Run, method: str) -> None:
    async def came_for_one_who_is_gone(*data: bytes) -> Any:
        reader = new_reader(kit)
        gone = asyncio.create_task(getattr(reader, method)(6))
        await asyncio.sleep(0)
        for piece in data:
            reader.feed_data(piece)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return reader

    async def main() -> None:
        reader = await came_for_one_who_is_gone(b"abcdef")
        assert not reader.at_eof()
        assert [await reader.read(2), await reader.readexactly(3), await reader.read(9)] == [
            b"ab",
            b"cde",
            b"f",
        ]
        reader = await came_for_one_who_is_gone(b"abc\nef", b"gh\n")
        assert [await reader.readline(), await reader.readline()] == [b"abc\n", b"efgh\n"]
        reader = await came_for_one_who_is_gone(b"abcdef")
        assert bytes(reader._buffer) == b"abcdef"
        reader.feed_data(b"gh")
        assert await reader.readexactly(8) == b"abcdefgh"
        reader = await came_for_one_who_is_gone(b"abcdef")
        reader.feed_eof()
        assert await reader.read() == b"abcdef"
        assert reader.at_eof()

    run(main)


@both_kits
def test_more_comes_before_the_one_who_waits_has_taken_what_came(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit)

        async def fed(method: str, count: int, *data: bytes) -> bytes:
            task = asyncio.create_task(getattr(reader, method)(count))
            await asyncio.sleep(0)
            for piece in data:
                reader.feed_data(piece)
            got: bytes = await task
            return got

        assert await fed("readexactly", 3, b"abc", b"de") == b"abc"
        assert await fed("read", 9, b"fg") == b"de"
        assert await fed("read", 3, b"h") == b"fg"
        assert await fed("read", 9) == b"h"
        assert await fed("read", 4, b"ij", b"klm") == b"ijkl"
        assert await fed("readexactly", 4, b"nop", b"q") == b"mnop"
        assert await fed("read", 1) == b"q"
        for data in (bytearray(b"xy"), memoryview(b"xy")):
            assert type(await fed("read", 9, data)) is bytes

    run(main)


@pytest.mark.parametrize("method", ["read", "readexactly"])
def test_who_waits_for_just_what_comes_gets_it_without_a_copy(run: Run, method: str) -> None:
    async def main() -> None:
        reader, data = new_reader(BATUTA_KIT), bytes(1000)
        task = asyncio.create_task(getattr(reader, method)(1000))
        await asyncio.sleep(0)
        reader.feed_data(data)
        assert await task is data

    run(main)


@both_kits
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_long_upload_is_read_in_pieces_of_any_size(kit: Kit, run: Run, kind: str) -> None:
    size = 8 * 1024 * 1024
    sent = random.Random(size).randbytes(size)
    counts = [65536, 1 << 20, 65536, 1000, 100_000, 65535, 3]

    async def main() -> None:
        async with stream(kit, kind) as (reader, _, peer):
            sending = asyncio.create_task(asyncio.to_thread(sendall, peer, sent))
            got = bytearray()
            for count in itertools.cycle(counts):
                piece = await reader.read(count)
                assert 0 < len(piece) <= count
                got += piece
                if len(got) == size:
                    break
                if count == 100_000 and size - len(got) >= count:
                    got += await reader.readexactly(count)
            await sending
            assert got == sent

    run(main)


# What programs see and change


@both_kits
def test_the_buffer_is_live(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"abc")
        buffer = reader._buffer
        assert isinstance(buffer, bytearray)
        reader.feed_data(b"def")
        assert buffer == b"abcdef"
        buffer += b"ghi\n"
        assert await reader.readexactly(2) == b"ab"
        assert buffer == b"cdefghi\n"
        del buffer[0]
        assert await reader.readline() == b"defghi\n"
        assert buffer == b""
        assert reader._buffer is buffer
        reader._buffer = other = bytearray(b"new")
        reader.feed_data(b"er")
        assert other == b"newer"
        assert await reader.read(100) == b"newer"
        assert other == b""
        assert not reader.at_eof()

    run(main)


@both_kits
def test_an_exported_buffer_cannot_grow(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"abc")
        with memoryview(reader._buffer) as view:
            with pytest.raises(BufferError):
                reader.feed_data(b"def")
            assert bytes(view) == b"abc"
        reader.feed_data(b"ghi")
        assert await reader.read(100) == b"abcghi"

    run(main)


def test_a_buffer_of_another_kind_is_refused(run: Run) -> None:
    async def main() -> None:
        reader = new_reader(BATUTA_KIT)
        with pytest.raises(TypeError, match="must be a bytearray, not 'list'"):
            reader._buffer = []

    run(main)


@both_kits
def test_a_limit_is_needed(kit: Kit, run: Run) -> None:
    async def main() -> None:
        for limit in (0, -1):
            with pytest.raises(ValueError, match="Limit cannot be <= 0"):
                new_reader(kit, limit=limit)
        endless = new_reader(kit, bytes(1 << 20), limit=2**70)
        endless.set_transport(FakeTransport())
        assert endless._limit == 2**70
        endless.feed_data(b"\n")
        assert len(await endless.readline()) == (1 << 20) + 1

    run(main)


def test_reprs_are_alike(run: Run) -> None:
    async def main() -> None:
        looks = []
        for kit in (STOCK_KIT, BATUTA_KIT):
            reader = new_reader(kit, limit=5)
            looks.append([repr(reader)])
            reader.set_transport(FakeTransport())
            reader._waiter = "waiter"
            reader.feed_eof = None
            reader._exception = ValueError("wrong")
            looks[-1].append(repr(reader))
            reader._waiter = reader._exception = None
            reader.feed_data(bytes(100))
            reader._eof = True
            looks[-1].append(repr(reader))
        assert looks[0] == looks[1]
        assert "waiter='waiter'" in looks[0][1]
        assert "100 bytes" in looks[0][2]

    run(main)


def test_methods_may_be_patched_at_any_time(run: Run) -> None:
    async def main() -> None:
        reader = new_reader(BATUTA_KIT, b"one\n")
        assert await reader.readline() == b"one\n"
        seen: list[bytes] = []
        reader.feed_data = seen.append
        reader.feed_data(b"patched")
        assert seen == [b"patched"]
        del reader.feed_data
        reader.feed_data(b"two\n")

        async def readuntil(separator: bytes) -> bytes:
            return b"replaced" + separator

        reader.readuntil = readuntil
        assert await reader.readline() == b"replaced\n"
        assert await reader.__anext__() == b"replaced\n"
        del reader.readuntil
        assert await reader.readline() == b"two\n"

    run(main)


def test_it_is_asyncios_own_class(run: Run) -> None:
    async def main() -> None:
        reader = new_reader(BATUTA_KIT, b"x")
        assert isinstance(reader, asyncio.StreamReader)
        reader.tied = reader
        for name in ("read", "readexactly", "readline", "readuntil"):
            ours, stocks = (
                getattr(BATUTA_KIT.StreamReader, name),
                getattr(asyncio.StreamReader, name),
            )
            assert inspect.iscoroutinefunction(ours)
            assert inspect.signature(ours) == inspect.signature(stocks)
        coroutine = reader.read(1)
        assert asyncio.iscoroutine(coroutine)
        assert coroutine.__qualname__ == "StreamReader.read"
        assert await coroutine == b"x"

    run(main)


def test_debug_mode_keeps_where_a_reader_was_made(run: Run) -> None:
    async def main() -> None:
        reader = new_reader(BATUTA_KIT)
        assert "new_reader" in [entry.name for entry in reader._source_traceback]

    run(main, debug=True)
