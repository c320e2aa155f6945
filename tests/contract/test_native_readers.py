"""Reading without a connection: asyncio's own readers and Batuta's do the same, on both loops."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, STOCK_KIT, Kit, both_kits
from contract.streams import new_reader
from loops import STOCK, Run, load

takes_tuples = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="several separators came with Python 3.13"
)


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
