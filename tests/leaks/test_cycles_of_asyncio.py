"""Cycles through what asyncio makes of tasks and futures: locks, queues, waits, and coroutines.

`knots` says what a knot is. Where a task waits, it and what it waits for hold each other, and
nothing else holds them.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from leaks.knots import Knot, Loop, Witness, check
from leaks.ways import Way

# Objects


@pytest.mark.parametrize(
    "name",
    [
        "Event",
        "Lock",
        "Semaphore",
        "BoundedSemaphore",
        "Condition",
        "Queue",
        "LifoQueue",
        "PriorityQueue",
        "TaskGroup",
    ],
)
@pytest.mark.parametrize("subclass", [False, True], ids=["", "subclass"])
def test_an_object_that_holds_itself_is_collected(way: Way, name: str, subclass: bool) -> None:
    async def knot(loop: Loop, witness: Any) -> None:
        kind: Any = getattr(asyncio, name)
        if subclass:
            kind = type("Own", (kind,), {})
        made = kind()
        assert gc.is_tracked(made)
        assert weakref.ref(made)() is not None
        made.tied = made, witness

    check(way, knot)


async def items_of_a_queue(loop: Loop, witness: Any) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    queue.put_nowait((queue, witness))
    queue.put_nowait(None)
    assert queue.get_nowait() == (queue, witness)
    queue.put_nowait((queue, witness))


async def items_of_a_lifo_queue(loop: Loop, witness: Any) -> None:
    queue: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
    queue.put_nowait((queue, witness))


async def items_of_a_priority_queue(loop: Loop, witness: Any) -> None:
    queue: asyncio.PriorityQueue[Any] = asyncio.PriorityQueue()
    queue.put_nowait((1, queue, witness))


async def lock_of_a_condition(loop: Loop, witness: Any) -> None:
    lock: Any = asyncio.Lock()
    lock.tied = asyncio.Condition(lock), witness


async def group_that_is_over(loop: Loop, witness: Any) -> None:
    async def child() -> Any:
        return group, witness

    async with asyncio.TaskGroup() as group:
        witness.tied = group.create_task(child())


async def group_that_failed(loop: Loop, witness: Any) -> None:
    async def child() -> None:
        raise LookupError(group, witness)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
    except ExceptionGroup as error:
        witness.tied = error


async def timeout_that_is_over(loop: Loop, witness: Any) -> None:
    async with asyncio.timeout(3600) as limit:
        await asyncio.sleep(0)
    witness.tied = limit
    witness.tied = [limit, witness]


async def timeout_that_expired(loop: Loop, witness: Any) -> None:
    try:
        async with asyncio.timeout(0.0001) as limit:
            await loop.create_future()
    except TimeoutError as error:
        witness.tied = error, limit


async def result_of_a_gather(loop: Loop, witness: Any) -> None:
    future = loop.create_future()
    gathered = asyncio.gather(future)
    future.set_result((gathered, witness))
    await gathered


async def exception_of_a_gather(loop: Loop, witness: Any) -> None:
    future = loop.create_future()
    gathered = asyncio.gather(future)
    future.set_exception(LookupError(gathered, witness))
    await asyncio.wait([gathered])
    assert gathered.exception()


async def gather_that_waits(loop: Loop, witness: Any) -> None:
    future: Any = loop.create_future()
    future.tied = asyncio.gather(future, loop.create_future()), witness


async def shield_that_waits(loop: Loop, witness: Any) -> None:
    future: Any = loop.create_future()
    future.tied = asyncio.shield(future), witness


@pytest.mark.parametrize(
    "knot",
    [
        items_of_a_queue,
        items_of_a_lifo_queue,
        items_of_a_priority_queue,
        lock_of_a_condition,
        group_that_is_over,
        group_that_failed,
        timeout_that_is_over,
        timeout_that_expired,
        result_of_a_gather,
        exception_of_a_gather,
        gather_that_waits,
        shield_that_waits,
    ],
)
def test_cycles_of_objects(way: Way, knot: Knot) -> None:
    check(way, knot)


# Tasks that wait


async def wait_for_event(loop: Loop) -> None:
    await asyncio.Event().wait()


async def wait_for_lock(loop: Loop) -> None:
    lock = asyncio.Lock()
    async with lock, lock:
        pass


async def wait_for_semaphore(loop: Loop) -> None:
    await asyncio.Semaphore(0).acquire()


async def wait_in_async_with(loop: Loop) -> None:
    async with asyncio.BoundedSemaphore(0):
        pass


async def wait_for_condition(loop: Loop) -> None:
    condition = asyncio.Condition()
    async with condition:
        await condition.wait_for(lambda: False)


async def wait_for_item(loop: Loop) -> None:
    await asyncio.Queue().get()


async def wait_for_room(loop: Loop) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    await queue.put(1)
    await queue.put(2)


async def wait_for_join(loop: Loop) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    await queue.put(1)
    await queue.join()


async def wait_for_party(loop: Loop) -> None:
    await asyncio.Barrier(2).wait()


async def wait_for_gather(loop: Loop) -> None:
    await asyncio.gather(loop.create_future(), loop.create_future())


async def wait_for_some(loop: Loop) -> None:
    await asyncio.wait([loop.create_future(), loop.create_future()])


async def wait_without_limit(loop: Loop) -> None:
    await asyncio.wait_for(loop.create_future(), None)


async def wait_within_a_timeout(loop: Loop) -> None:
    async with asyncio.timeout(None):
        await loop.create_future()


async def wait_shielded(loop: Loop) -> None:
    await asyncio.shield(loop.create_future())


async def wait_for_first(loop: Loop) -> None:
    for one in asyncio.as_completed([loop.create_future(), loop.create_future()]):
        await one


async def wait_for_group(loop: Loop) -> None:
    async with asyncio.TaskGroup() as group:
        child: Any = group.create_task(asyncio.wait_for(loop.create_future(), None))
        child._log_destroy_pending = False


@pytest.mark.parametrize(
    "wait",
    [
        wait_for_event,
        wait_for_lock,
        wait_for_semaphore,
        wait_in_async_with,
        wait_for_condition,
        wait_for_item,
        wait_for_room,
        wait_for_join,
        wait_for_party,
        wait_for_gather,
        wait_for_some,
        wait_without_limit,
        wait_within_a_timeout,
        wait_shielded,
        wait_for_first,
        wait_for_group,
    ],
)
def test_tasks_that_wait_for_what_nobody_has_are_collected(
    way: Way, wait: Callable[[Loop], Awaitable[None]]
) -> None:
    async def knot(loop: Loop, witness: Any) -> None:
        async def waits(held: Any) -> None:
            await wait(loop)

        task: Any = loop.create_task(waits(witness))
        witness.tied = task
        task._log_destroy_pending = False
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        # The future that it waits for holds it, and it holds the future.
        del task

    check(way, knot)


# Coroutines

COROUTINES: dict[str, Callable[[Any], Coroutine[Any, Any, Any]]] = {
    "sleep": lambda witness: asyncio.sleep(0, witness),
    "sleep later": lambda witness: asyncio.sleep(3600, witness),
    "wait_for": lambda witness: asyncio.wait_for(witness.future, witness.limit),
    "wait": lambda witness: asyncio.wait([witness.future]),
    "put": lambda witness: asyncio.Queue[Any]().put(witness),
    "get": lambda witness: witness.queue.get(),
    "join": lambda witness: witness.queue.join(),
    "acquire": lambda witness: witness.lock.acquire(),
    "event": lambda witness: witness.event.wait(),
    "semaphore": lambda witness: witness.semaphore.acquire(),
}
NAMES = r"sleep|wait_for|wait|Queue\.(put|get|join)|(Lock|Semaphore)\.acquire|Event\.wait"


def equipped(loop: Loop, witness: Any) -> None:
    """Give the witness what coroutines are made of; each of these holds it."""
    witness.limit = 3600
    witness.future = loop.create_future()
    witness.queue, witness.lock = asyncio.Queue(), asyncio.Lock()
    witness.event, witness.semaphore = asyncio.Event(), asyncio.Semaphore()
    for one in (witness.future, witness.queue, witness.lock, witness.event, witness.semaphore):
        one.tied = witness


@pytest.mark.parametrize("name", COROUTINES)
def test_coroutines_that_nobody_awaits_are_collected(way: Way, name: str) -> None:
    async def knot(loop: Loop, witness: Any) -> None:
        equipped(loop, witness)
        witness.tied = COROUTINES[name](witness)
        assert gc.is_tracked(witness.tied)

    with pytest.warns(RuntimeWarning, match=rf"^coroutine '({NAMES})' was never awaited"):
        check(way, knot)


@pytest.mark.parametrize("name", COROUTINES)
def test_closed_coroutines_let_go(way: Way, name: str) -> None:
    async def main() -> None:
        witness: Any = Witness()
        equipped(asyncio.get_running_loop(), witness)
        coro = COROUTINES[name](witness)
        coro.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            coro.send(None)
        for one in ("future", "queue", "lock", "event", "semaphore"):
            delattr(witness, one)
        reference = weakref.ref(witness)
        del witness
        # From 3.13 on a coroutine that was closed before it began keeps its arguments.
        del coro
        assert reference() is None

    way.run(main)


@pytest.mark.parametrize("name", COROUTINES)
def test_coroutines_take_weak_references(way: Way, name: str) -> None:
    async def main() -> None:
        witness: Any = Witness()
        equipped(asyncio.get_running_loop(), witness)
        coro = COROUTINES[name](witness)
        reference = weakref.ref(coro)
        assert reference() is coro
        coro.close()
        del coro
        assert reference() is None

    way.run(main)
