"""Locks, events, semaphores: asyncio's own and Batuta's do the same, on both loops."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import gc
import math
import weakref
from collections import deque
from typing import Any
from unittest import mock

import pytest

from contract.histories import bare_repr
from contract.kits import BATUTA_KIT, LOCKS, STOCK_KIT, Kit, both_kits
from loops import Run


@both_kits
def test_they_are_asyncios_own_classes(kit: Kit) -> None:
    for name in LOCKS:
        made = getattr(kit, name)(*([2] if name == "Barrier" else []))
        assert isinstance(made, getattr(asyncio, name))
        assert gc.is_tracked(made)
        assert bare_repr(made).startswith(f"<{name} [")
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

        def _wake_up_first(self) -> None:
            calls.append("first")
            super()._wake_up_first()

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

        def _wake_up_next(self) -> object:
            calls.append("next")
            return super()._wake_up_next()

    async def main() -> None:
        async with OwnLock() as nothing:
            assert nothing is None
        assert calls == ["acquire", "release", "first"]
        calls.clear()
        async with OwnSemaphore():
            pass
        assert calls == ["acquire", "locked", "release", "next"]
        calls.clear()
        condition = kit.Condition(OwnLock())
        async with condition:
            pass
        assert calls == ["acquire", "release", "first"]
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


@both_kits
def test_they_go_by_asyncios_names(kit: Kit) -> None:
    for name in LOCKS:
        made = getattr(kit, name)(*([2] if name == "Barrier" else []))
        assert repr(made).startswith(f"<asyncio.locks.{name} object at 0x")
        Own = type("Own", (getattr(kit, name),), {"__module__": "program"})
        own = Own(*([2] if name == "Barrier" else []))
        assert repr(own).startswith("<program.Own object at 0x")


@both_kits
def test_one_of_another_loop_is_named_so(run: Run, kit: Kit) -> None:
    event = kit.Event()

    async def main() -> None:
        waiting = asyncio.ensure_future(event.wait())
        await asyncio.sleep(0)
        event.set()
        await waiting
        event.clear()

    async def other() -> None:
        with pytest.raises(RuntimeError) as refused:
            await event.wait()
        assert str(refused.value).startswith("<asyncio.locks.Event object at 0x")

    run(main)
    run(other)


@both_kits
def test_abstract_subclasses_cannot_be_made(kit: Kit) -> None:
    for name in ("Event", "Lock", "Queue", "Condition"):

        class Abstract(getattr(kit, name), abc.ABC):  # type: ignore[misc]
            @abc.abstractmethod
            def route(self) -> None: ...

        class Whole(Abstract):
            def route(self) -> None: ...

        with pytest.raises(TypeError, match="Can't instantiate abstract class Abstract"):
            Abstract()
        assert isinstance(Whole(), getattr(asyncio, name))
