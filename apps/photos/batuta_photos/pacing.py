"""How fast: waits between tries, how many uploads at once, how many writes a minute.

Used on the loop's thread only.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class Waits:
    """Seconds to wait before trying again; they double with each try.

    `after_429` and `after_5xx` are what Google's documentation asks for at least. `longest` bounds
    the doubling, `tries` the number of requests made for one thing.
    """

    after_429: float = 30.0
    after_5xx: float = 1.0
    longest: float = 120.0
    tries: int = 8

    def jittered(self, first: float, attempt: int) -> float:
        """The wait before try number `attempt` + 1 (`attempt` counts from 1), with jitter.

        Never shorter than `first`, so that a minimum the service asks for holds.
        """
        grown: float = min(first * 2.0 ** (attempt - 1), max(self.longest, first))
        return max(first, grown * random.uniform(0.5, 1.0)) + first * random.uniform(0, 0.25)


class Gate:
    """Closed for everybody after a 429, until the time that the service asked for is over."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def closed_for(self) -> float:
        """Seconds until it opens."""
        return max(0.0, self._until - time.monotonic())

    def close(self, seconds: float) -> None:
        self._until = max(self._until, time.monotonic() + seconds)

    async def opened(self) -> None:
        while (wait := self.closed_for) > 0:
            await asyncio.sleep(wait)


class AdaptiveLimit:
    """How many uploads may be under way: additive increase, multiplicative decrease.

    It begins at `start` and doubles with every round that goes well (each success adds one) until
    the service first says that it is too much; then it halves, and grows by one a round. Failures
    of requests begun before the last decrease do not count again: they are news of the same moment.

    Args:
        start: the first limit.
        ceiling: never more than that. Equal to `start`: a fixed number.
    """

    def __init__(self, start: int, ceiling: int) -> None:
        if not 1 <= start <= ceiling:
            raise ValueError(f"a limit from 1 to {ceiling}, not {start}")
        self.in_use = 0
        self.highest = 0
        self._fixed = start == ceiling
        self._limit = float(start)
        self._ceiling = ceiling
        self._doubling = True
        self._decreased = -1.0
        self._filled = -1.0  # when the limit was last reached
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        return int(self._limit)

    async def enter(self) -> float:
        """Wait for a place; returns the time of the beginning, for `leave`."""
        while self.in_use >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except BaseException:
                if turn.done() and not turn.cancelled():
                    self._wake()  # the place was ours: let another have it
                raise
        self.in_use += 1
        self.highest = max(self.highest, self.in_use)
        now = time.monotonic()
        if self.in_use >= self.limit:
            self._filled = now
        return now

    def leave(self, began: float, *, well: bool | None) -> None:
        """Give the place back.

        Args:
            began: what `enter` returned.
            well: False if the service was overloaded, None if the request says nothing about it.
        """
        self.in_use -= 1
        # Only a limit that was reached meanwhile has proved anything.
        if well and began <= self._filled and not self._fixed:
            step = 1.0 if self._doubling else 1.0 / self._limit
            self._limit = min(self._limit + step, self._ceiling)
        elif well is False and not self._fixed and began > self._decreased:
            self._limit = max(1.0, self._limit / 2)
            self._doubling = False
            self._decreased = time.monotonic()
        self._wake()

    def _wake(self) -> None:
        free = self.limit - self.in_use
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1


class WriteRate:
    """At most so many writes in any minute; 0 for no bound."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: deque[float] = deque()

    async def turn(self) -> None:
        if not self._per_minute:
            return
        while True:
            now = time.monotonic()
            while self._times and self._times[0] <= now - 60:
                self._times.popleft()
            if len(self._times) < self._per_minute:
                break
            await asyncio.sleep(self._times[0] + 60 - now)
        self._times.append(now)
