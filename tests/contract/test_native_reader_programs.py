"""Random programs of a stream reader: asyncio's own and Batuta's have the same history, on both
loops.

Whole histories are compared with those of the interpreter's own class on its own loop.
"""

from __future__ import annotations

import asyncio
import functools
import random
import sys
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, STOCK_KIT, Kit
from contract.streams import FakeTransport, Pauseless
from loops import STOCK, Run, load

History = list[tuple[Any, ...]]

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
