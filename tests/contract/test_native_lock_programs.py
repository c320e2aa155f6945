"""Random programs with locks, events and semaphores: who gets what in which turn, under
cancellation, as with the interpreter's own classes on its own loop. So they hold each Python
version's fairness."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from contract.histories import History, assert_same, bare_repr
from contract.kits import BATUTA_KIT, STOCK_KIT, Kit
from loops import STOCK, Run, load


class Program:
    """Workers that use one thing, and somebody who cancels them; the same for the same seed."""

    workers = 6
    steps = 12

    def __init__(self, kit: Kit, seed: int) -> None:
        self.random = random.Random(seed)
        self.history: History = []
        self.over = False
        self.looks = seed % 2 == 0  # Looking at private deques must change nothing.
        self.prepare(kit)

    def prepare(self, kit: Kit) -> None:
        raise NotImplementedError

    async def use(self, name: int) -> object:
        raise NotImplementedError

    def meddle(self) -> None:
        """What happens from outside now and then."""

    def note(self, *entry: Any) -> None:
        self.history.append((*entry, bare_repr(self.thing) if self.looks else None))

    thing: Any

    async def worker(self, name: int) -> None:
        for step in range(self.steps):
            if self.over:
                return
            try:
                for _ in range(self.random.randrange(3)):
                    await asyncio.sleep(0)
                self.note(name, step, "has", await self.use(name))
            except asyncio.CancelledError as error:
                self.note(name, step, "cancelled", error.args)
            except Exception as error:
                self.note(name, step, "failed", type(error).__name__, str(error))

    async def main(self) -> History:
        tasks = [asyncio.create_task(self.worker(name)) for name in range(self.workers)]
        for turn in range(200):
            if all(task.done() for task in tasks):
                break
            if self.random.random() < 0.3:
                task = self.random.choice(tasks)
                task.cancel(*(["why"] if turn % 2 else []))
            if self.random.random() < 0.5:
                self.meddle()
            self.note("turn", turn)
            await asyncio.sleep(0)
        self.over = True
        for turn in range(1_000):
            if all(task.done() for task in tasks):
                break
            tasks[turn % len(tasks)].cancel()
            await asyncio.sleep(0)
        assert all(task.done() for task in tasks), f"{self.thing} holds {tasks}"
        self.looks = True
        self.note("end")
        return self.history


class Locking(Program):
    def prepare(self, kit: Kit) -> None:
        self.thing = kit.Lock()

    async def use(self, name: int) -> object:
        if self.random.random() < 0.5:
            async with self.thing:
                self.note(name, "holds")
                for _ in range(self.random.randrange(3)):
                    await asyncio.sleep(0)
            return "with"
        got = await self.thing.acquire()
        try:
            if self.random.random() < 0.5:
                await asyncio.sleep(0)
        finally:
            self.thing.release()
        return got


class Counting(Program):
    bounded = False

    def prepare(self, kit: Kit) -> None:
        self.thing = (kit.BoundedSemaphore if self.bounded else kit.Semaphore)(2)

    async def use(self, name: int) -> object:
        if self.random.random() < 0.3:
            async with self.thing:
                await asyncio.sleep(0)
            return self.thing.locked()
        got = await self.thing.acquire()
        try:
            for _ in range(self.random.randrange(3)):
                await asyncio.sleep(0)
        finally:
            self.thing.release()
        return got

    def meddle(self) -> None:
        if self.random.random() < 0.1:
            try:
                self.thing.release()
            except ValueError as error:
                self.note("meddle", str(error))


class CountingBounded(Counting):
    bounded = True


class Flagging(Program):
    def prepare(self, kit: Kit) -> None:
        self.thing = kit.Event()

    async def use(self, name: int) -> object:
        return await self.thing.wait()

    def meddle(self) -> None:
        if self.random.random() < 0.5:
            self.thing.set()
        else:
            self.thing.clear()


class Notifying(Program):
    def prepare(self, kit: Kit) -> None:
        self.thing = kit.Condition()
        self.count = 0

    async def use(self, name: int) -> object:
        async with self.thing:
            kind = self.random.randrange(4)
            if kind == 0:
                self.thing.notify(self.random.randrange(3))
                return "notified"
            if kind == 1:
                self.count += 1
                self.thing.notify_all()
                return "notified all"
            if kind == 2:
                return await self.thing.wait_for(lambda: self.count % 2)
            return await self.thing.wait()


class Meeting(Program):
    def prepare(self, kit: Kit) -> None:
        self.thing = kit.Barrier(3)

    async def use(self, name: int) -> object:
        if self.random.random() < 0.1:
            await self.thing.reset()
            return "reset"
        return await self.thing.wait()


@pytest.mark.parametrize(
    "program", [Locking, Counting, CountingBounded, Flagging, Notifying, Meeting]
)
@pytest.mark.parametrize("part", range(4))
def test_random_programs_have_the_same_history(
    run: Run, program: Callable[[Kit, int], Program], part: int
) -> None:
    for seed in range(part * 25, part * 25 + 25):
        expected = Run(load(STOCK))(program(STOCK_KIT, seed).main)
        history = run(program(BATUTA_KIT, seed).main)
        assert_same(history, expected, seed)
