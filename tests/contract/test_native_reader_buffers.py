"""The buffer of a stream reader: how it is filled, and what programs see of it."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from contract.kits import BATUTA_KIT, STOCK_KIT, Kit, both_kits
from contract.streams import FakeTransport, Pauseless, new_reader
from loops import Run

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
