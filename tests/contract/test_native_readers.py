"""Stream readers without a connection: asyncio's own and Batuta's do the same, on both loops.

The random programs compare whole histories with the interpreter's own class on its own loop.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import random
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, STOCK_KIT, Kit, both_kits
from loops import STOCK, Run, load

History = list[tuple[Any, ...]]
takes_tuples = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="several separators came with Python 3.13"
)


class FakeTransport:
    """Notes what a reader asks of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")

    def __repr__(self) -> str:
        return f"<{len(self.calls)} calls>"


class Pauseless(FakeTransport):
    def pause_reading(self) -> None:
        self.calls.append("pause_reading")
        raise NotImplementedError


def new_reader(kit: Kit, *data: bytes, limit: int = 2**16) -> Any:
    """A reader of the running loop that has been fed."""
    reader = kit.StreamReader(limit=limit, loop=asyncio.get_running_loop())
    for piece in data:
        reader.feed_data(piece)
    return reader


# Random programs

REPLACED = ["feed_data", "feed_eof", "exception", "readuntil", "readline", "read", "readexactly"]
REPLACED += ["_wakeup_waiter", "_wait_for_data", "_maybe_resume_transport", "at_eof"]


def counting(base: Any) -> Any:
    """A reader that replaces everything that asyncio's class calls on itself."""

    class Counting(base):  # type: ignore[misc]
        calls: list[str]

    def replace(name: str) -> None:
        def method(self: Any, *args: Any) -> Any:
            self.calls.append(name)
            return getattr(super(Counting, self), name)(*args)

        setattr(Counting, name, method)

    for name in REPLACED:
        replace(name)
    Counting.__name__ = Counting.__qualname__ = base.__name__
    return Counting


def random_call(chance: random.Random, reader: Any) -> tuple[str, tuple[Any, ...]]:
    separators: list[Any] = [b"\n", b"ab", b"aab", bytearray(b"\nb"), memoryview(b"b")]
    if sys.version_info >= (3, 13):
        separators += [(b"\n", b"ab"), (b"aab", b"ab", b"bb"), (b"bab",)]
    kind = chance.choice(["read", "readexactly", "readline", "readuntil", "__anext__", "all"])
    if kind == "read":
        return kind, (chance.choice([0, 1, 5, 30, 1000]),)
    if kind == "readexactly":
        return kind, (chance.choice([0, 1, 5, 30, 70]),)
    if kind == "readuntil":
        return kind, (chance.choice(separators),)
    if kind == "all":
        return "read", () if chance.random() < 0.5 else (-1,)
    return kind, ()


async def program(kit: Kit, seed: int, *, subclass: bool, peeks: bool) -> History:
    """One feeds a reader, two read, one cancels; a transport is paused and resumed."""
    chance = random.Random(seed)
    history: History = []
    reader_class = counting(kit.StreamReader) if subclass else kit.StreamReader
    reader = reader_class(limit=chance.choice([8, 20, 64]), loop=asyncio.get_running_loop())
    reader.calls = []
    transport = chance.choice([FakeTransport, FakeTransport, Pauseless])()
    if chance.random() < 0.8:
        reader.set_transport(transport)

    def note(*entry: Any) -> None:
        looks = bytes(reader._buffer) if peeks else None
        state = (reader._paused, reader._eof, reader._waiter is None, reader.at_eof())
        history.append((*entry, looks, *state, len(transport.calls), len(reader.calls)))

    async def turns() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)

    async def reads(name: int) -> None:
        for step in range(12):
            await turns()
            method, args = random_call(chance, reader)
            shown = [bytes(arg) if isinstance(arg, memoryview) else arg for arg in args]
            try:
                note(name, step, method, shown, await getattr(reader, method)(*args))
            except asyncio.CancelledError as error:
                note(name, step, method, shown, "cancelled", error.args)
            except Exception as error:
                facts = sorted(vars(error).items())
                note(name, step, method, shown, type(error).__name__, str(error), facts)

    async def feeds() -> None:
        for _ in range(25):
            await turns()
            length = chance.choice([0, 1, 1, 3, 10, 25, 60])
            data: Any = bytes(chance.choice(b"ab\n") for _ in range(length))
            data = chance.choice([bytes, bytes, bytearray, memoryview])(data)
            # Only stock readers have a bytearray that is always the same.
            if peeks and chance.random() < 0.1 and reader._buffer:
                del reader._buffer[: chance.randrange(4)]
            if peeks and chance.random() < 0.05:
                reader._buffer = bytearray(b"aab\n")
            reader.feed_data(data)
            note("fed", length)
        if chance.random() < 0.3:
            reader.set_exception(OSError("broken"))
        reader.feed_eof()
        note("end", repr(reader))

    tasks = [asyncio.create_task(one) for one in (reads(0), reads(1), feeds())]
    while not tasks[2].done():
        await asyncio.sleep(0)
        if chance.random() < 0.03:
            tasks[chance.randrange(2)].cancel(f"number {len(history)}")
    await turns()
    # A reader that was woken takes the note of another one's waiting away: nobody wakes that one.
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    history.append((sorted(reader.calls), transport.calls))
    return history


@pytest.mark.parametrize("peeks", [False, True], ids=["blind", "peeking"])
@pytest.mark.parametrize("subclass", [False, True], ids=["plain", "subclass"])
@pytest.mark.parametrize("start", range(0, 120, 40))
def test_random_programs_have_the_same_history(
    run: Run, start: int, subclass: bool, peeks: bool
) -> None:
    stock = Run(load(STOCK))
    for seed in range(start, start + 40):
        variant: dict[str, Any] = {"seed": seed, "subclass": subclass, "peeks": peeks}
        expected = stock(functools.partial(program, STOCK_KIT, **variant))
        got = run(functools.partial(program, BATUTA_KIT, **variant))
        assert got == expected, f"seed {seed}"


# Reading


@both_kits
def test_what_is_there_is_read_without_a_turn_of_the_loop(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"one\ntwo--thr", b"ee\nrest\n")
        turned = []
        asyncio.get_running_loop().call_soon(turned.append, True)
        assert await reader.readline() == b"one\n"
        assert await reader.readuntil(b"--") == b"two--"
        assert await reader.readexactly(4) == b"thre"
        assert await reader.read(2) == b"e\n"
        assert await reader.__anext__() == b"rest\n"
        assert turned == []
        assert type(await reader.read(0)) is bytes

    run(main)


@both_kits
def test_async_for_gives_lines_and_a_rest(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"one\n\nthree\nfo")
        asyncio.get_running_loop().call_soon(reader.feed_data, b"ur")
        asyncio.get_running_loop().call_soon(reader.feed_eof)
        assert [line async for line in reader] == [b"one\n", b"\n", b"three\n", b"four"]
        assert [line async for line in reader] == []

    run(main)


@both_kits
def test_a_separator_may_come_in_pieces(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit)
        loop = asyncio.get_running_loop()
        for piece in (b"\r", b"x\r", b"\n\r", b"\n", b"more"):
            loop.call_soon(reader.feed_data, piece)
            loop.call_soon(lambda: None)
        assert await reader.readuntil(b"\r\n\r\n") == b"\rx\r\n\r\n"
        assert await reader.read(100) == b"more"

    run(main)


@both_kits
@takes_tuples
def test_of_several_separators_the_one_that_ends_first_counts(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"one;two--three-;")
        separators = (b"--", b";", b"-;")
        assert await reader.readuntil(separators) == b"one;"
        assert await reader.readuntil(separators) == b"two--"
        assert await reader.readuntil(separators) == b"three-;"

    run(main)


def failure(run: Run, kit: Kit, call: Callable[[Any], Any], data: bytes, eof: bool) -> Any:
    async def main() -> Any:
        reader = new_reader(kit, data, limit=8)
        if eof:
            reader.feed_eof()
        try:
            await call(reader)
        except Exception as error:
            facts = {name: value for name, value in vars(error).items() if name != "args"}
            return type(error), str(error), error.args, facts, bytes(reader._buffer)
        raise AssertionError("nothing raised")

    return run(main)


FAILURES: dict[str, tuple[Callable[[Any], Any], bytes, bool]] = {
    "negative": (lambda reader: reader.readexactly(-1), b"", False),
    "incomplete": (lambda reader: reader.readexactly(5), b"abc", True),
    "no line": (lambda reader: reader.readuntil(), b"abc", True),
    "long line": (lambda reader: reader.readline(), b"abcdefghijkl\nmore", False),
    "endless line": (lambda reader: reader.readline(), b"abcdefghijkl", False),
    "long step": (lambda reader: reader.__anext__(), b"abcdefghijkl\nmore", False),
    "last step": (lambda reader: reader.__anext__(), b"", True),
    "long chunk": (lambda reader: reader.readuntil(b"--"), b"abcdefghijkl--more", False),
    "endless chunk": (lambda reader: reader.readuntil(b"--"), b"abcdefghijkl", False),
    "no separator": (lambda reader: reader.readuntil(b""), b"abc", False),
    "no separators": (lambda reader: reader.readuntil(()), b"abc", False),
    "a text": (lambda reader: reader.readuntil("\n"), b"abc", False),
    "texts": (lambda reader: reader.readuntil(("\n",)), b"abc", False),
    "a number": (lambda reader: reader.readuntil(10), b"abc", False),
}


@pytest.mark.parametrize("which", FAILURES)
def test_failures_are_stocks(run: Run, which: str) -> None:
    call, data, eof = FAILURES[which]
    expected = failure(Run(load(STOCK)), STOCK_KIT, call, data, eof)
    assert failure(run, BATUTA_KIT, call, data, eof) == expected


@both_kits
def test_numbers_that_are_none_are_refused(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"abc")
        for call in (reader.read, reader.readexactly):
            for bad in (None, "1", 1.5):
                with pytest.raises(TypeError):
                    await call(bad)
        assert await reader.read(10**30) == b"abc"
        with pytest.raises(TypeError):
            reader.readexactly()
        with pytest.raises(TypeError):
            reader.readline(1)
        reader.feed_data(b"xyz")
        assert await reader.readexactly(n=1) + await reader.read(n=1) == b"xy"
        assert await reader.readuntil(separator=b"z") == b"z"

    run(main)


@both_kits
def test_only_one_coroutine_may_wait(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit)
        first = asyncio.create_task(reader.read(10))
        await asyncio.sleep(0)
        names = {"read": (1,), "readexactly": (1,), "readline": (), "readuntil": ()}
        for name, args in names.items():
            shown = "readuntil" if name == "readline" else name
            message = f"{shown}() called while another coroutine is already waiting for incoming"
            with pytest.raises(RuntimeError, match=re.escape(message)):
                await getattr(reader, name)(*args)
        reader.feed_data(b"data")
        assert await first == b"data"

    run(main)


@both_kits
def test_an_exception_reaches_who_waits_and_who_comes(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"abc")
        waiting = asyncio.create_task(reader.readexactly(10))
        await asyncio.sleep(0)
        error = OSError("broken")
        reader.set_exception(error)
        with pytest.raises(OSError, match="broken"):
            await waiting
        assert reader.exception() is reader._exception is error
        assert reader._waiter is None
        for call in (reader.read(), reader.read(1), reader.readexactly(1), reader.readline()):
            with pytest.raises(OSError, match="broken"):
                await call

    run(main)


@both_kits
def test_a_cancelled_read_loses_nothing(kit: Kit, run: Run) -> None:
    async def main() -> None:
        reader = new_reader(kit, b"abc")
        waiting = asyncio.create_task(reader.readexactly(6))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert reader._waiter is None
        reader.feed_data(b"def")
        assert await reader.readexactly(6) == b"abcdef"

    run(main)


@both_kits
def test_a_reader_of_a_program_of_its_own(kit: Kit, run: Run) -> None:
    """A program may wait by the private names."""

    async def main() -> None:
        reader = new_reader(kit)
        asyncio.get_running_loop().call_soon(reader.feed_data, b"data")
        await reader._wait_for_data("peek")
        assert bytes(reader._buffer) == b"data"

    run(main)


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
