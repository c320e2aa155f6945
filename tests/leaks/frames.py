"""Watching that exceptions keep frames alive no longer than they do on stock asyncio.

In each scenario local variables of frames that an exception goes through are watched while it
travels, without the collector, first on stock asyncio, then on Batuta. Step by step, what is dead
on stock must be dead on Batuta (which has no frames of its own that could keep things alive, so
some die earlier), the tracebacks must lead through the same functions, and all must be dead at the
end.
"""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leaks.ways import WAYS, Way, without_acceleration

Loop = asyncio.AbstractEventLoop


class Local:
    """What a frame holds."""


class Failure(Exception):
    pass


class Watch:
    """Notes which locals are alive, and how long tracebacks are."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, object]] = []
        self._locals: list[weakref.ref[Local]] = []
        self.reports: list[str] = []

    def new(self) -> Local:
        local = Local()
        self._locals.append(weakref.ref(local))
        return local

    @property
    def alive(self) -> list[bool]:
        return [reference() is not None for reference in self._locals]

    def see(self, when: str) -> None:
        self.notes.append((when, self.alive))

    def length(self, when: str, error: BaseException) -> None:
        """Which frames of these tests the traceback goes through; asyncio's own may differ."""
        frames = [
            frame.name
            for frame in traceback.extract_tb(error.__traceback__)
            if Path(frame.filename).name.startswith(("frames", "test_frames"))
        ]
        self.notes.append((when, frames))

    def handler(self, _loop: Loop, context: dict[str, Any]) -> None:
        self.reports.append(context["message"])
        self.see(f"reported: {context['message']}")


Scenario = Callable[[Watch, Loop], Awaitable[None]]


async def fails(watch: Watch) -> None:
    local = watch.new()
    await asyncio.sleep(0)
    raise Failure(local is None)


async def fails_at_once(watch: Watch) -> None:
    local = watch.new()
    raise Failure(local is None)


async def waits(watch: Watch, future: Awaitable[Any]) -> None:
    local = watch.new()
    await future
    del local


@contextmanager
def seen(watch: Watch, error: type[BaseException], when: str = "") -> Iterator[None]:
    """Expect the error; look inside and after the except clause."""
    try:
        yield
    except error as caught:
        watch.see(f"{when} in the clause")
        watch.length(f"{when} traceback", caught)
    else:
        raise AssertionError("it did not fail")
    watch.see(f"{when} after the clause")


def watched(way: Way, scenario: Scenario) -> Watch:
    watch = Watch()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(watch.handler)
        await scenario(watch, loop)
        await asyncio.sleep(0)
        watch.see("at the end")

    way.run(main, reports=[])
    gc.collect()
    assert not any(watch.alive), "still there when all is over"
    return watch


def compare(found: Watch, expected: Watch) -> None:
    assert expected.notes, "the scenario saw nothing"
    assert [when for when, _ in found.notes] == [when for when, _ in expected.notes]
    for (when, here), (_, there) in zip(found.notes, expected.notes, strict=True):
        if "traceback" in when:
            assert here == there, when
        else:
            assert isinstance(here, list)
            assert isinstance(there, list)
            assert len(here) == len(there), when
            later = [number for number, alive in enumerate(here) if alive and not there[number]]
            assert not later, f"{when}: locals {later} live longer than on stock"
    assert found.reports == expected.reports


def live_no_longer_than_on_stock(way: Way, scenario: Scenario) -> None:
    with without_acceleration(way):
        expected = watched(WAYS["stock"], scenario)
    compare(watched(way, scenario), expected)
