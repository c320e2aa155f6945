"""Scheduling rows of tasks: their steps, their making and end, and what combines them."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Generator

from benches.rows.row import SchedulingRow

TASKS = 100
CHILDREN = 1000
FAR = 3600.0
"""Seconds until a time limit that is never reached."""


class Yield:
    """Awaited, it suspends the task for one turn with nothing of asyncio in between."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


YIELD = Yield()


async def bare_yield(loop: AbstractEventLoop, count: int) -> int:
    resumed = 0
    for _ in range(count):
        await YIELD
        resumed += 1
    return resumed


async def sleep0(loop: AbstractEventLoop, count: int) -> int:
    resumed = 0
    for _ in range(count):
        await asyncio.sleep(0)
        resumed += 1
    return resumed


async def sleep0_100(loop: AbstractEventLoop, count: int) -> int:
    tasks = [loop.create_task(sleep0(loop, count // TASKS)) for _ in range(TASKS)]
    resumed = 0
    for task in tasks:
        resumed += await task
    return resumed


async def _one() -> int:
    return 1


async def _one_later() -> int:
    await YIELD
    return 1


async def create_task_await(loop: AbstractEventLoop, count: int) -> int:
    finished = 0
    for _ in range(count):
        finished += await loop.create_task(_one())
    return finished


async def gather(loop: AbstractEventLoop, count: int) -> int:
    finished = 0
    for _ in range(count // CHILDREN):
        finished += sum(await asyncio.gather(*[_one() for _ in range(CHILDREN)]))
    return finished


async def task_group(loop: AbstractEventLoop, count: int) -> int:
    finished = 0
    for _ in range(count // CHILDREN):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_one()) for _ in range(CHILDREN)]
        finished += sum(task.result() for task in tasks)
    return finished


async def set_result(loop: AbstractEventLoop, count: int) -> int:
    woken = 0
    for _ in range(count):
        future: asyncio.Future[int] = loop.create_future()
        loop.call_soon(future.set_result, 1)
        woken += await future
    return woken


async def wait_for(loop: AbstractEventLoop, count: int) -> int:
    finished = 0
    for _ in range(count):
        finished += await asyncio.wait_for(_one_later(), FAR)
    return finished


async def timeout(loop: AbstractEventLoop, count: int) -> int:
    resumed = 0
    for _ in range(count):
        async with asyncio.timeout(FAR) as limit:
            await YIELD
            resumed += 1
        if limit.expired():
            return -1
    return resumed


async def cancel_await(loop: AbstractEventLoop, count: int) -> int:
    """Cancel a task that waits for a future, and await its end."""

    async def forever() -> None:
        await loop.create_future()

    cancelled = 0
    for _ in range(count):
        task = loop.create_task(forever())
        await YIELD
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            cancelled += task.cancelled()
    return cancelled


ROWS = (
    SchedulingRow("bare_yield", "a bare `yield` to the loop, one task", bare_yield, 50_000),
    SchedulingRow("sleep0", "`sleep(0)`, one task", sleep0, 50_000),
    SchedulingRow("sleep0_100", f"`sleep(0)`, {TASKS} tasks", sleep0_100, 100_000, TASKS),
    SchedulingRow("create_task_await", "a task created and awaited", create_task_await, 30_000),
    SchedulingRow("gather", f"`gather`, per child of {CHILDREN}", gather, 30_000, CHILDREN),
    SchedulingRow(
        "task_group", f"`TaskGroup`, per child of {CHILDREN}", task_group, 30_000, CHILDREN
    ),
    SchedulingRow(
        "set_result", "a future awaited, set by `call_soon`, task woken", set_result, 30_000
    ),
    SchedulingRow("wait_for", "`wait_for` of a coroutine that suspends once", wait_for, 15_000),
    SchedulingRow("timeout", "`timeout` around one suspension", timeout, 15_000),
    SchedulingRow("cancel_await", "a waiting task cancelled and awaited", cancel_await, 15_000),
)
