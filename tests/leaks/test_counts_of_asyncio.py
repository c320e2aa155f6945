"""Very much of what asyncio makes of futures and tasks leaves memory and counts of references where
they were; Batuta's own where its classes stand behind asyncio's names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from leaks.counting import SHARED_RESULT, Failure, Loop, Work, check, fails, forever, nothing
from leaks.ways import Way


async def sleeps(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        await asyncio.sleep(0)
        await asyncio.sleep(0.0, SHARED_RESULT)


async def delayed_sleeps(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        await asyncio.gather(*[asyncio.sleep(1e-6) for _ in range(1000)])


async def gathered(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        await asyncio.gather(*[nothing() for _ in range(999)])
        await asyncio.gather(nothing(), fails(), return_exceptions=True)


async def failed_gathers(loop: Loop, count: int) -> None:
    for _ in range(count // 4):
        with contextlib.suppress(Failure):
            await asyncio.gather(nothing(), fails(), nothing(), fails())


async def groups(loop: Loop, count: int) -> None:
    for _ in range(count // 10):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(nothing())


async def failed_groups(loop: Loop, count: int) -> None:
    for _ in range(count // 4):
        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(fails())
                group.create_task(forever(loop.create_future()))
                await loop.create_future()


async def waits(loop: Loop, count: int) -> None:
    for _ in range(count // 10):
        done, pending = await asyncio.wait([loop.create_task(nothing()) for _ in range(10)])
        assert (len(done), len(pending)) == (10, 0)


async def wait_fors(loop: Loop, count: int) -> None:
    for _ in range(count):
        await asyncio.wait_for(asyncio.sleep(0), 3600)


async def timed_out(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1e-9):
                await loop.create_future()


async def timeouts(loop: Loop, count: int) -> None:
    for _ in range(count):
        async with asyncio.timeout(3600):
            await asyncio.sleep(0)


async def shields(loop: Loop, count: int) -> None:
    for _ in range(count):
        await asyncio.shield(nothing())


async def as_completed(loop: Loop, count: int) -> None:
    for _ in range(count // 10):
        for one in asyncio.as_completed([nothing() for _ in range(10)]):
            await one


async def events(loop: Loop, count: int) -> None:
    for _ in range(count):
        event = asyncio.Event()
        loop.call_soon(event.set)
        await event.wait()


async def locks(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        lock = asyncio.Lock()
        async with lock:
            waiting = loop.create_task(lock.acquire())
            await asyncio.sleep(0)
        await waiting
        lock.release()


async def abandoned_waits(loop: Loop, count: int) -> None:
    """Cancelled while they wait for what others share."""
    event, lock, semaphore = asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(1)
    queue: asyncio.Queue[None] = asyncio.Queue()
    async with lock, semaphore:
        for _ in range(count // 4):
            waiting = [
                loop.create_task(one)
                for one in (event.wait(), lock.acquire(), semaphore.acquire(), queue.get())
            ]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)


async def semaphores(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        semaphore = asyncio.BoundedSemaphore(1)
        async with semaphore:
            waiting = loop.create_task(semaphore.acquire())
            await asyncio.sleep(0)
        await waiting
        semaphore.release()


async def conditions(loop: Loop, count: int) -> None:
    async def waiter(condition: asyncio.Condition) -> None:
        async with condition:
            await condition.wait()

    for _ in range(count):
        condition = asyncio.Condition()
        waiting = loop.create_task(waiter(condition))
        await asyncio.sleep(0)
        async with condition:
            condition.notify_all()
        await waiting


async def barriers(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        barrier = asyncio.Barrier(2)
        await asyncio.gather(barrier.wait(), barrier.wait())


async def queues(loop: Loop, count: int) -> None:
    kinds: list[Callable[[int], asyncio.Queue[Any]]]
    kinds = [asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue]
    for _ in range(count // 6):
        for kind in kinds:
            queue = kind(1)
            await queue.put(1)
            putting = loop.create_task(queue.put(2))
            await asyncio.sleep(0)
            assert await queue.get() == 1
            assert await queue.get() == 2
            await putting


async def queues_in_use(loop: Loop, count: int) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(count):
        queue.put_nowait(SHARED_RESULT)
        assert await queue.get() is SHARED_RESULT
        queue.task_done()


ASYNCIO_WORK = [
    Work(sleeps),
    Work(delayed_sleeps, 300_000),
    Work(gathered, 500_000),
    Work(failed_gathers, 50_000),
    Work(groups, 300_000),
    Work(failed_groups, 20_000),
    Work(waits, 100_000),
    Work(wait_fors, 100_000),
    Work(timed_out, 50_000),
    Work(timeouts, 100_000),
    Work(shields, 100_000),
    Work(as_completed, 100_000),
    Work(events, 200_000),
    Work(locks, 200_000),
    Work(abandoned_waits, 50_000),
    Work(semaphores, 200_000),
    Work(conditions, 50_000),
    Work(barriers, 50_000),
    Work(queues, 200_000),
    Work(queues_in_use, 500_000),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("work", ASYNCIO_WORK, ids=lambda work: work.name)
def test_very_much_of_asyncio_leaves_nothing(way: Way, work: Work) -> None:
    check(way, work)
