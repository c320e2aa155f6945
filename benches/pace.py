"""How fast a core runs at the moment, which no clock or counter of the system tells.

The core of a virtual machine is often one of two threads of a real one. While somebody else is at
work on the other, ours takes up to half as long again for the same work, and neither stolen time
nor a context switch shows it. So a fixed piece of work is timed before and after each sample.

Thread: the one that takes the samples, which is moved to the core for each look.
"""

from __future__ import annotations

import bisect
import os
import time
from collections.abc import Callable
from dataclasses import replace

from benches.figures import Sample
from benches.settings import Settings

STEPS = 20_000
"""Of the piece of work: less than a millisecond."""

FIRST_LOOKS = 200
"""So many show the core at its best, even if it seldom is."""

MOST_LOOKS = 10_000
"""More are thinned out: every other one stays."""

BEST = 0.05
"""The best pace is what this share of the looks reach. A core now and then has a moment in which it
runs faster than ever again, and by that all others would count as slow."""

FULL = 0.85
"""From this share of its best pace on, a core counts as undisturbed."""

PAUSE = 0.01
"""Seconds between two looks while waiting."""


class Pace:
    """The pace of one core, against the best that it shows.

    `patience`: seconds that may still be spent on waiting for a core at full pace and on samples
    that have to be taken again. Without any, every sample is kept, and those of a slow core marked.
    A sample that is kept brings as much as it took, so that all in all a row takes about twice as
    long as its samples at the most.
    """

    def __init__(self, core: int, look: Callable[[int], float] | None = None) -> None:
        self.patience = 0.0
        self._core = core
        self._time_work = look or time_work
        self._looks: list[float] = []
        """What the work took at each look, sorted."""
        self._samples = self._slow_begins = 0
        for _ in range(FIRST_LOOKS):
            self.share()

    @property
    def slow_share(self) -> float | None:
        """At how many of the samples the core was found slow first: 0 to 1, None before any."""
        return self._slow_begins / self._samples if self._samples else None

    def share(self) -> float:
        """What the core does now of what it does at its best: 0 to 1."""
        took = self._time_work(self._core)
        bisect.insort(self._looks, took)
        if len(self._looks) > MOST_LOOKS:
            del self._looks[1::2]
        best = self._looks[int(BEST * len(self._looks))]
        return min(1.0, best / took)

    def steady(self, take: Callable[[], Sample]) -> Sample:
        """A sample at whose beginning and end the core ran at full pace; marked if there is none.

        One that was disturbed in another way is given back as it is.
        """
        while True:
            share = self._wait()
            began = time.monotonic()
            sample = take()
            share = min(share, self.share())
            took = time.monotonic() - began
            if share < FULL and not sample.disturbed:
                if self.patience > took:
                    self.patience -= took
                    continue
                sample = replace(sample, disturbed=f"the core ran at {share:.0%} of its pace")
            self.patience += took
            return sample

    def _wait(self) -> float:
        """Until the core runs at full pace, while there is patience; its pace then."""
        began = time.monotonic()
        until = began + self.patience
        share = self.share()
        self._samples += 1
        self._slow_begins += share < FULL
        while share < FULL and time.monotonic() < until:
            time.sleep(PAUSE)
            share = self.share()
        self.patience -= time.monotonic() - began
        return share


def pace_of(settings: Settings) -> Pace | None:
    """Of the server's core, if it has one."""
    return None if settings.server_core is None else Pace(settings.server_core)


def time_work(core: int) -> float:
    """Nanoseconds of processor time that the piece of work takes on the core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        began = time.thread_time_ns()
        for _ in range(STEPS):
            pass
        return time.thread_time_ns() - began
    finally:
        os.sched_setaffinity(0, before)
