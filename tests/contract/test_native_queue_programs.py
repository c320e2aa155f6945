"""Random programs with queues: their whole histories are those of the interpreter's own classes on
its own loop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from contract.histories import History, assert_same
from contract.kits import BATUTA_KIT, STOCK_KIT, Kit
from loops import STOCK, Run, load


def set_like(base: Any) -> Any:
    """A queue without duplicates: the recipe that subclasses `_init`, `_put` and `_get`."""

    class SetQueue(base):  # type: ignore[misc]
        def _init(self, maxsize: int) -> None:
            self._queue: Any = set()

        def _put(self, item: Any) -> None:
            self._queue.add(item)

        def _get(self) -> Any:
            item = min(self._queue)
            self._queue.discard(item)
            return item

    return SetQueue


REPLACED = ["_init", "_put", "_get", "qsize", "empty", "full"]
REPLACED += ["put_nowait", "get_nowait", "_wakeup_next", "task_done"]


def counting(base: Any) -> Any:
    """A queue that replaces everything that asyncio's class calls on itself."""

    class Counting(base):  # type: ignore[misc]
        def __init__(self, maxsize: int) -> None:
            self.calls: list[str] = []
            super().__init__(maxsize)

    def replace(name: str) -> None:
        def method(self: Any, *args: Any) -> Any:
            self.calls.append(name)
            return getattr(super(Counting, self), name)(*args)

        setattr(Counting, name, method)

    for name in REPLACED:
        replace(name)
    return Counting


async def program(kit: Kit, make: Callable[[Kit], Any], seed: int) -> History:
    """Producers and consumers of one queue, and somebody who cancels them."""
    chance = random.Random(seed)
    queue: Any = make(kit)
    history: History = []
    over = False

    def note(*entry: Any) -> None:
        looks = queue._format() if seed % 2 == 0 else None
        calls = getattr(queue, "calls", None)
        history.append((*entry, queue.qsize() if calls is None else len(calls), looks))

    async def producer(name: int) -> None:
        for step in range(12):
            if over:
                return
            try:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                item = chance.randrange(100)
                if chance.random() < 0.2:
                    queue.put_nowait(item)
                else:
                    await queue.put(item)
                note("put", name, step, item)
            except asyncio.CancelledError as error:
                note("cancelled", name, step, error.args)
            except Exception as error:
                note("failed", name, step, type(error).__name__, str(error))

    async def consumer(name: int) -> None:
        for step in range(12):
            if over:
                return
            try:
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                item = queue.get_nowait() if chance.random() < 0.2 else await queue.get()
                note("got", name, step, item)
                queue.task_done()
            except asyncio.CancelledError as error:
                note("cancelled", name, step, error.args)
            except Exception as error:
                note("failed", name, step, type(error).__name__, str(error))

    async def joiner() -> None:
        while not over:
            await asyncio.sleep(0)
            try:
                await queue.join()
                note("joined")
            except asyncio.CancelledError:
                note("not joined")

    workers = [producer(name) for name in range(3)] + [consumer(name) for name in range(3)]
    tasks = [asyncio.create_task(worker) for worker in [*workers, joiner()]]
    for turn in range(200):
        if all(task.done() for task in tasks[:-1]):
            break
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if turn == 60 and hasattr(queue, "shutdown"):
            queue.shutdown(immediate=chance.random() < 0.5)
        note("turn", turn)
        await asyncio.sleep(0)
    over = True
    for turn in range(1_000):
        if all(task.done() for task in tasks):
            break
        tasks[turn % len(tasks)].cancel()
        await asyncio.sleep(0)
    assert all(task.done() for task in tasks)
    note("end", queue._format())
    return history


KINDS: dict[str, Callable[[Kit], Any]] = {
    "endless": lambda kit: kit.Queue(),
    "one": lambda kit: kit.Queue(1),
    "three": lambda kit: kit.Queue(maxsize=3),
    "lifo": lambda kit: kit.LifoQueue(2),
    "priority": lambda kit: kit.PriorityQueue(2),
    "set": lambda kit: set_like(kit.Queue)(2),
    "counting": lambda kit: counting(kit.Queue)(2),
    "counting-priority": lambda kit: counting(kit.PriorityQueue)(2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_random_programs_have_the_same_history(run: Run, kind: str) -> None:
    for seed in range(60):
        expected = Run(load(STOCK))(lambda: program(STOCK_KIT, KINDS[kind], seed))  # noqa: B023
        history = run(lambda: program(BATUTA_KIT, KINDS[kind], seed))  # noqa: B023
        assert_same(history, expected, seed)
