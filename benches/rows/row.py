"""What a scheduling row is: a coroutine function that does `count` operations.

It returns how many it saw done; the worker measures the whole of it and refuses a number that is
not the expected one. Set-up in it is small against the operations. Nothing in a row may favour a
loop: public asyncio API only, and each name looked up as `asyncio.name` when it is used, so that a
loop that puts its own classes behind these names is measured with them.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class SchedulingRow:
    """One row; an operation is what `about` says."""

    name: str
    about: str
    run: Callable[[AbstractEventLoop, int], Awaitable[int]]
    count: int
    """Operations in one round of a full run."""
    unit: int = 1
    """The row does whole units: a count is rounded up to a multiple."""
    pinned: bool = True
    """Whether the worker is held to one core (not where two threads work by turns)."""

    group: ClassVar[str] = "scheduling"

    def rounded(self, count: int) -> int:
        return max(1, -(-count // self.unit)) * self.unit
