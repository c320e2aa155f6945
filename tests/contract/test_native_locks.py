"""Locks, events, semaphores: asyncio's own and Batuta's do the same, on both loops.

The random programs compare whole histories: who gets what in which turn, under cancellation, with
the interpreter's own classes on its own loop. So they hold each Python version's fairness.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import random
import re
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from contract.kits import BATUTA_KIT, LOCKS, STOCK_KIT, Kit, both_kits
from loops import STOCK, Run, load

History = list[tuple[Any, ...]]


def state(thing: Any) -> str:
    """Its repr without module and address."""
    return re.sub(r"^<.*?(\w+) object at 0x[0-9a-f]+", r"<\1", repr(thing))


# Random programs


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
        self.history.append((*entry, state(self.thing) if self.looks else None))

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
        for index, (entry, wanted) in enumerate(zip(history, expected, strict=False)):
            assert entry == wanted, f"seed {seed}, entry {index}: {history[:index][-8:]}"
        assert len(history) == len(expected) > 20


# One by one


@both_kits
def test_they_are_asyncios_own_classes(kit: Kit) -> None:
    for name in LOCKS:
        made = getattr(kit, name)(*([2] if name == "Barrier" else []))
        assert isinstance(made, getattr(asyncio, name))
        assert gc.is_tracked(made)
        assert state(made).startswith(f"<{name} [")
    assert issubclass(kit.BoundedSemaphore, kit.Semaphore)


@both_kits
def test_nothing_waits_and_no_loop_is_needed_when_there_is_room(kit: Kit) -> None:
    def runs_at_once(coroutine: Any) -> Any:
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        return stop.value.value

    lock, semaphore, event = kit.Lock(), kit.Semaphore(2), kit.Event()
    event.set()
    assert runs_at_once(lock.acquire()) is True
    assert lock.locked() is True
    assert runs_at_once(semaphore.acquire()) is True
    assert runs_at_once(event.wait()) is True
    assert runs_at_once(lock.__aexit__(None, None, None)) is None
    assert lock.locked() is False
    assert runs_at_once(lock.__aenter__()) is None
    for thing in (lock, semaphore, event):
        assert thing._loop is None
        assert not thing._waiters


@both_kits
def test_errors_say_what_stocks_say(kit: Kit) -> None:
    with pytest.raises(RuntimeError, match=r"^Lock is not acquired\.$"):
        kit.Lock().release()
    with pytest.raises(ValueError, match=r"^Semaphore initial value must be >= 0$"):
        kit.Semaphore(-1)
    with pytest.raises(ValueError, match=r"^BoundedSemaphore released too many times$"):
        kit.BoundedSemaphore().release()
    with pytest.raises(TypeError, match=r"^Event\.__init__\(\) got an unexpected keyword"):
        kit.Event(loop=None)
    with pytest.raises(TypeError, match=r"^Lock\.__init__\(\) takes 1 positional argument but 2"):
        kit.Lock(1)
    with pytest.raises(TypeError):
        kit.Semaphore("many")
    with pytest.raises(AttributeError):
        kit.Semaphore()._bound_value  # noqa: B018


@both_kits
def test_a_semaphore_counts_any_number(kit: Kit, run: Run) -> None:
    async def main() -> None:
        endless = kit.Semaphore(math.inf)
        for _ in range(10):
            await endless.acquire()
        assert endless.locked() is False
        assert endless._value == math.inf
        large = kit.Semaphore(value=10**12)
        await large.acquire()
        assert large._value == 10**12 - 1
        assert kit.BoundedSemaphore(3)._bound_value == 3

    run(main)


@both_kits
def test_another_loop_is_refused(kit: Kit, run: Run) -> None:
    async def waits(thing: Any) -> Any:
        waiting = thing.wait() if hasattr(thing, "set") else thing.acquire()
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        task.cancel()
        [done], _ = await asyncio.wait([task])
        return done

    lock, event, semaphore = kit.Lock(), kit.Event(), kit.Semaphore(0)

    async def first() -> None:
        await lock.acquire()
        for thing in (lock, event, semaphore):
            assert (await waits(thing)).cancelled()
            assert thing._loop is asyncio.get_running_loop()

    async def second() -> None:
        for thing in (lock, event, semaphore):
            error = (await waits(thing)).exception()
            assert type(error) is RuntimeError
            assert str(error) == f"{thing!r} is bound to a different event loop"
        lock.release()
        await lock.acquire()

    run(first)
    run(second)


@both_kits
def test_the_loop_makes_the_futures(kit: Kit, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        event = kit.Event()
        for turn in range(3):
            future = loop.create_future()
            make = mock.patch.object(loop, "create_future", return_value=future)
            with make if turn == 1 else contextlib.nullcontext():
                task = asyncio.ensure_future(event.wait())
                await asyncio.sleep(0)
            assert (event._waiters[0] is future) is (turn == 1)
            event.set()
            assert await task is True
            event.clear()

    run(main)


def test_no_loop_is_an_error() -> None:
    for kit in (STOCK_KIT, BATUTA_KIT):
        with pytest.raises(AttributeError, match=r"^'NoneType' object has no attribute 'create_"):
            kit.Event().wait().send(None)


@both_kits
def test_the_private_deques_are_live(kit: Kit, run: Run) -> None:
    async def main() -> None:
        event = kit.Event()
        tasks = [asyncio.ensure_future(event.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        waiters = event._waiters
        assert isinstance(waiters, deque)
        assert waiters is event._waiters
        assert [asyncio.isfuture(waiter) for waiter in waiters] == [True] * 3
        tasks.append(asyncio.ensure_future(event.wait()))
        await asyncio.sleep(0)
        assert len(waiters) == 4
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert len(waiters) == 3
        event.set()
        await asyncio.wait(tasks)
        assert len(waiters) == 0
        del waiters
        event.clear()
        task = asyncio.ensure_future(event.wait())
        await asyncio.sleep(0)
        assert len(event._waiters) == 1
        event.set()
        assert await task is True

        lock = kit.Lock()
        assert lock._waiters is None
        await lock.acquire()
        task = asyncio.ensure_future(lock.acquire())
        await asyncio.sleep(0)
        assert len(lock._waiters) == 1
        assert lock._locked is True
        lock.release()
        assert await task is True
        semaphore = kit.Semaphore(3)
        assert (semaphore._waiters, semaphore._value) == (None, 3)
        semaphore._value = 0
        assert semaphore.locked()

    run(main)


@both_kits
def test_methods_of_subclasses_are_called(kit: Kit, run: Run) -> None:
    calls: list[str] = []

    class OwnLock(kit.Lock):  # type: ignore[misc]
        async def acquire(self) -> bool:
            calls.append("acquire")
            await asyncio.sleep(0)
            got: bool = await super().acquire()
            return got

        def release(self) -> None:
            calls.append("release")
            super().release()

    class OwnSemaphore(kit.Semaphore):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(1)
            self.limit = 1

        def locked(self) -> bool:
            calls.append("locked")
            is_locked: bool = super().locked()
            return is_locked

        async def acquire(self) -> bool:
            calls.append("acquire")
            got: bool = await super().acquire()
            return got

        def release(self) -> None:
            calls.append("release")
            super().release()

    async def main() -> None:
        async with OwnLock() as nothing:
            assert nothing is None
        assert calls == ["acquire", "release"]
        calls.clear()
        async with OwnSemaphore():
            pass
        assert calls == ["acquire", "locked", "release"]
        calls.clear()
        condition = kit.Condition(OwnLock())
        async with condition:
            pass
        assert calls == ["acquire", "release"]
        lock = OwnLock()
        lock.name = "its own attribute"
        assert weakref.ref(lock)() is lock

        class Failing(kit.Lock):  # type: ignore[misc]
            async def acquire(self) -> bool:
                raise KeyError("no")

        with pytest.raises(KeyError):
            async with Failing():
                pass

    run(main)


@both_kits
def test_methods_may_be_patched_at_any_time(kit: Kit, run: Run) -> None:
    async def main() -> None:
        for name in ("Lock", "Semaphore"):

            class Own(getattr(kit, name)):  # type: ignore[misc]
                pass

            one, other = Own(), Own()
            async with one, other:
                pass
            with mock.patch.object(one, "acquire", mock.AsyncMock()) as acquire:
                with mock.patch.object(one, "release") as release:
                    async with one, other:
                        assert not one.locked()
                        assert other.locked()
            assert (acquire.await_count, release.call_count) == (1, 1)
            released: list[Any] = []
            with mock.patch.object(Own, "release", lambda self: released.append(self)):  # noqa: B023
                async with one, other:
                    pass
            assert released == [other, one]
            for thing in (one, other):
                assert thing.locked()
                thing.release()
                async with thing:
                    assert thing.locked()

    run(main)


@both_kits
def test_a_cancelled_waiter_that_was_woken_passes_it_on(kit: Kit, run: Run) -> None:
    async def main() -> None:
        lock = kit.Lock()
        await lock.acquire()
        first, second = (asyncio.ensure_future(lock.acquire()) for _ in range(2))
        await asyncio.sleep(0)
        lock.release()
        first.cancel()
        assert await second is True
        assert first.cancelled()
        assert lock.locked()

    run(main)


class Witness:
    """Something whose death can be seen."""


@both_kits
@pytest.mark.parametrize("name", ["Event", "Lock", "Semaphore", "Condition"])
def test_cycles_are_collected(kit: Kit, run: Run, name: str) -> None:
    async def main() -> None:
        def tie() -> list[weakref.ref[Any]]:
            class Own(getattr(kit, name)):  # type: ignore[misc]
                pass

            thing, witness = Own(), Witness()
            thing.itself, thing.witness = thing, witness
            waiting = thing.wait() if name == "Event" else thing.acquire()
            if name == "Lock":
                thing.acquire().close()
                thing._locked = True
            if name == "Semaphore":
                thing._value = 0
            if name == "Condition":
                thing._lock._locked = True
            thing.coroutine = waiting
            future = waiting.send(None)
            future.add_done_callback(lambda _: witness)
            future.thing = thing
            return [weakref.ref(witness), weakref.ref(thing), weakref.ref(Own)]

        references = tie()
        gc.collect()
        assert [reference() for reference in references] == [None, None, None]

    run(main)
