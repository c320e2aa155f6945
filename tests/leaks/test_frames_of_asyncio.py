"""Exceptions that go through gather(), wait_for(), timeouts, groups, locks and so on keep frames
alive no longer than on stock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from leaks.frames import (
    Failure,
    Loop,
    Scenario,
    Watch,
    fails,
    fails_at_once,
    live_no_longer_than_on_stock,
    seen,
    waits,
)
from leaks.ways import Way


async def gather(watch: Watch, loop: Loop) -> None:
    with seen(watch, Failure):
        await asyncio.gather(fails(watch), waits(watch, asyncio.sleep(0)), fails_at_once(watch))
    await asyncio.sleep(0)
    watch.see("later")


async def gather_of_exceptions(watch: Watch, loop: Loop) -> None:
    results = await asyncio.gather(fails(watch), fails_at_once(watch), return_exceptions=True)
    watch.see("gathered")
    del results
    watch.see("without the results")


async def cancelled_gather(watch: Watch, loop: Loop) -> None:
    children = (waits(watch, loop.create_future()), waits(watch, loop.create_future()))

    async def gathers() -> None:
        await asyncio.gather(*children)

    task = loop.create_task(gathers())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with seen(watch, asyncio.CancelledError):
        await task
    del task
    watch.see("without the task")


async def wait_for_that_fails(watch: Watch, loop: Loop) -> None:
    with seen(watch, Failure):
        await asyncio.wait_for(fails(watch), 3600)
    watch.see("later")


async def wait_for_that_is_too_slow(watch: Watch, loop: Loop) -> None:
    with seen(watch, TimeoutError):
        await asyncio.wait_for(waits(watch, loop.create_future()), 0.001)
    watch.see("later")


async def timeout(watch: Watch, loop: Loop) -> None:
    async def limited() -> None:
        local = watch.new()
        async with asyncio.timeout(0.001):
            await waits(watch, loop.create_future())
        del local

    with seen(watch, TimeoutError):
        await limited()
    watch.see("later")


async def failure_within_a_timeout(watch: Watch, loop: Loop) -> None:
    with seen(watch, Failure):
        async with asyncio.timeout(3600):
            await fails(watch)
    watch.see("later")


async def task_group(watch: Watch, loop: Loop) -> None:
    with seen(watch, ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(watch))
            group.create_task(fails(watch))
            group.create_task(waits(watch, loop.create_future()))
    watch.see("with the group")
    del group
    watch.see("without the group")


async def shielded(watch: Watch, loop: Loop) -> None:
    with seen(watch, Failure):
        await asyncio.shield(fails(watch))
    watch.see("later")


async def shield_that_is_cancelled(watch: Watch, loop: Loop) -> None:
    inner = loop.create_task(fails(watch))
    outer = loop.create_task(waits(watch, asyncio.shield(inner)))
    await asyncio.sleep(0)
    outer.cancel()
    with seen(watch, asyncio.CancelledError):
        await outer
    await asyncio.wait([inner])
    assert inner.exception() is not None
    del outer, inner
    watch.see("without the tasks")


async def as_completed(watch: Watch, loop: Loop) -> None:
    for one in asyncio.as_completed([fails(watch), fails_at_once(watch)]):
        with seen(watch, Failure):
            await one
    del one
    watch.see("later")


async def abandoned_waits(watch: Watch, loop: Loop) -> None:
    event, lock, semaphore = asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(1)
    condition = asyncio.Condition()
    queue: asyncio.Queue[None] = asyncio.Queue()

    async def notified() -> None:
        async with condition:
            await condition.wait()

    async with lock, semaphore:
        for one in (event.wait(), lock.acquire(), semaphore.acquire(), queue.get(), notified()):
            task = loop.create_task(waits(watch, one))
            await asyncio.sleep(0)
            task.cancel()
            with seen(watch, asyncio.CancelledError):
                await task
            del task, one
            watch.see("without the task")


async def closed_coroutine(watch: Watch, loop: Loop) -> None:
    coro = waits(watch, asyncio.sleep(0))
    coro.send(None)
    watch.see("waits")
    coro.close()
    watch.see("closed")


async def thrown_into_sleep(watch: Watch, loop: Loop) -> None:
    coro = waits(watch, asyncio.sleep(0.001))
    yielded: Any = coro.send(None)
    yielded._asyncio_future_blocking = False
    with seen(watch, Failure):
        coro.throw(Failure())
    del coro, yielded
    watch.see("later")


SCENARIOS: list[Scenario] = [
    gather,
    gather_of_exceptions,
    cancelled_gather,
    wait_for_that_fails,
    wait_for_that_is_too_slow,
    timeout,
    failure_within_a_timeout,
    task_group,
    shielded,
    shield_that_is_cancelled,
    as_completed,
    abandoned_waits,
    closed_coroutine,
    thrown_into_sleep,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_frames_live_no_longer_than_on_stock(way: Way, scenario: Scenario) -> None:
    live_no_longer_than_on_stock(way, scenario)
