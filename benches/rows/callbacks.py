"""Scheduling rows of callbacks: `call_soon`, timers, wake-ups from another thread."""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import AbstractEventLoop

from benches.rows.row import SchedulingRow, Tier

BATCH = 100
TIMERS = 1000


async def call_soon(loop: AbstractEventLoop, count: int) -> int:
    done = loop.create_future()
    ran = 0

    def step() -> None:
        nonlocal ran
        ran += 1
        if ran < count:
            loop.call_soon(step)
        else:
            done.set_result(None)

    loop.call_soon(step)
    await done
    return ran


async def call_soon_batched(loop: AbstractEventLoop, count: int) -> int:
    done = loop.create_future()
    ran = 0

    def work() -> None:
        nonlocal ran
        ran += 1

    def batch() -> None:
        if ran >= count:
            done.set_result(None)
            return
        for _ in range(BATCH):
            loop.call_soon(work)
        loop.call_soon(batch)

    loop.call_soon(batch)
    await done
    return ran


async def call_later_cancel(loop: AbstractEventLoop, count: int) -> int:
    fired = 0

    def fire() -> None:
        nonlocal fired
        fired += 1

    cancelled = 0
    for _ in range(count // BATCH):
        for _ in range(BATCH):
            timer = loop.call_later(3600.0, fire)
            timer.cancel()
            cancelled += timer.cancelled()
        # A turn now and then, as in any program: some loops clean up there.
        await asyncio.sleep(0)
    return cancelled - fired


async def timers(loop: AbstractEventLoop, count: int) -> int:
    """Add timers that are due within 2 ms, wait out the time without the loop, let all fire.

    So that all loops do the same work whatever the resolution of their clock: one pass over a full
    heap. The wait is a sleep of the thread, which takes no processor time.
    """
    fired = 0
    for _ in range(count // TIMERS):
        expected = fired + TIMERS
        done = loop.create_future()

        def fire(expected: int = expected, done: asyncio.Future[None] = done) -> None:
            nonlocal fired
            fired += 1
            if fired == expected:
                done.set_result(None)

        for index in range(TIMERS):
            # 619 and TIMERS have no common factor: every delay once, in no sorted order.
            loop.call_later(0.001 + index * 619 % TIMERS * 1e-6, fire)
        time.sleep(0.004)
        await done
    return fired


async def million_timers(loop: AbstractEventLoop, count: int) -> int:
    """All wait at the same time before the first is due; then all fire."""
    done = loop.create_future()
    fired = 0

    def fire() -> None:
        nonlocal fired
        fired += 1
        if fired == count:
            done.set_result(None)

    # Far enough ahead that no loop fires one while others are still added, in no sorted order.
    due = loop.time() + 4e-6 * count
    for index in range(count):
        loop.call_at(due + index * 619 % 1_000_003 * 1e-9, fire)
    while loop.time() < due + 0.01:
        time.sleep(0.001)
    await done
    return fired


async def call_soon_threadsafe(loop: AbstractEventLoop, count: int) -> int:
    """Another thread wakes the sleeping loop, again and again, each time after it was answered."""
    turn = threading.Lock()
    done = loop.create_future()
    woken = 0

    def wake() -> None:
        nonlocal woken
        woken += 1
        if woken == count:
            done.set_result(None)
        turn.release()

    def caller() -> None:
        for _ in range(count):
            turn.acquire()
            loop.call_soon_threadsafe(wake)

    thread = threading.Thread(target=caller, daemon=True)
    thread.start()
    await done
    thread.join()
    return woken


ROWS = (
    SchedulingRow("call_soon", "a callback that adds the next one", call_soon, 100_000),
    SchedulingRow(
        "call_soon_batched", f"a callback, {BATCH} added at once", call_soon_batched, 200_000, BATCH
    ),
    SchedulingRow(
        "call_later_cancel", "a timer added and cancelled", call_later_cancel, 100_000, BATCH
    ),
    SchedulingRow("timers", f"a timer added and fired, {TIMERS} due at once", timers, 20_000, 1000),
    SchedulingRow(
        "timers_1m",
        "a timer added and fired, 1,000,000 waiting at once (in quick runs 100,000)",
        million_timers,
        1_000_000,
    ),
    SchedulingRow(
        "call_soon_threadsafe",
        "the sleeping loop woken by another thread",
        call_soon_threadsafe,
        5_000,
        by_turns=True,
    ),
    SchedulingRow(
        "call_soon_threadsafe_2cores",
        "the same, the threads on any core",
        call_soon_threadsafe,
        5_000,
        pinned=False,
        by_turns=True,
        tier=Tier.ALL,
    ),
)
