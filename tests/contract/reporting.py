"""What the tests of error reports share: the ways to schedule a callback, and one that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

Schedule = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], object]

SCHEDULES: dict[str, Schedule] = {
    "call_soon": lambda loop, callback: loop.call_soon(callback),
    "call_later": lambda loop, callback: loop.call_later(0.001, callback),
    "call_at": lambda loop, callback: loop.call_at(loop.time(), callback),
    "call_soon_threadsafe": lambda loop, callback: loop.call_soon_threadsafe(callback),
}
every_way = pytest.mark.parametrize("way", list(SCHEDULES))


def fail() -> None:
    raise LookupError("from a callback")


def spin(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_until_complete(asyncio.sleep(0.01))
