"""Copies and pickles of locks and queues: asyncio's own and Batuta's do the same."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, LOCKS, QUEUES, STOCK_KIT, Kit, both_kits
from loops import Run


# Pickles are found by the names of their classes.
class StockJobs(asyncio.PriorityQueue):  # type: ignore[type-arg]
    __slots__ = ("place",)
    label = "none"


class BatutaJobs(BATUTA_KIT.PriorityQueue):  # type: ignore[misc]
    __slots__ = ("place",)
    label = "none"


JOBS = {False: StockJobs, True: BatutaJobs}
WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda thing, protocol=protocol: pickle.loads(
            pickle.dumps(thing, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


def make(kit: Kit, name: str) -> Any:
    return getattr(kit, name)(*[3] if name == "Barrier" or "Semaphore" in name else [])


def shown(thing: Any) -> str:
    """Its repr without module and address."""
    return re.sub(r"^<\S+ (object )?at 0x[0-9a-f]+", "<", repr(thing))


@every_way
@both_kits
@pytest.mark.parametrize("name", [*LOCKS, *QUEUES])
def test_idle_objects(kit: Kit, name: str, way: Callable[[Any], Any]) -> None:
    thing = make(kit, name)
    thing.mine = ["attribute"]
    twin = way(thing)
    assert type(twin) is type(thing)
    assert twin is not thing
    assert shown(twin) == shown(thing)
    assert twin.mine == ["attribute"]
    assert (twin.mine is thing.mine) == (way is copy.copy)


@every_way
@both_kits
def test_values_go_along(run: Run, kit: Kit, way: Callable[[Any], Any]) -> None:
    async def main() -> None:
        event, lock, semaphore = kit.Event(), kit.Lock(), kit.BoundedSemaphore(2)
        event.set()
        await lock.acquire()
        await semaphore.acquire()
        assert way(event).is_set()
        assert not way(kit.Event()).is_set()
        twin = way(lock)
        assert twin.locked()
        twin.release()
        assert lock.locked()
        assert not twin.locked()
        bounded = way(semaphore)
        bounded.release()
        with pytest.raises(ValueError, match="too many"):
            bounded.release()
        assert semaphore._value == 1

    run(main)


@every_way
@both_kits
def test_a_condition_has_the_methods_of_its_lock(
    run: Run, kit: Kit, way: Callable[[Any], Any]
) -> None:
    async def main() -> None:
        condition = kit.Condition()
        twin = way(condition)
        async with twin:
            assert twin.locked()
            assert twin._lock.locked()
            assert condition.locked() == (way is copy.copy)
            twin.notify_all()
        assert not twin.locked()
        assert not condition.locked()

    run(main)


@every_way
@both_kits
@pytest.mark.parametrize("name", QUEUES)
def test_the_items_of_a_queue(run: Run, kit: Kit, name: str, way: Callable[[Any], Any]) -> None:
    async def main() -> None:
        queue = getattr(kit, name)(3)
        items = [[2], [1], [3]]
        for item in items:
            queue.put_nowait(item)
        twin = way(queue)
        assert twin.maxsize == 3
        assert twin.full()
        assert twin._unfinished_tasks == 3
        assert not twin._finished.is_set()
        got = [await twin.get() for _ in items]
        wanted = {"Queue": items, "LifoQueue": items[::-1], "PriorityQueue": sorted(items)}
        assert got == wanted[name]
        assert any(item in map(id, items) for item in map(id, got)) == (way is copy.copy)
        # A flat copy has the deque of the original.
        assert queue.qsize() == (0 if way is copy.copy else 3)
        for _ in items:
            twin.task_done()
        await asyncio.wait_for(twin.join(), 5)
        await twin.put([5])
        await twin.put([4])
        assert await twin.get() == ([5] if name == "Queue" else [4])
        if sys.version_info >= (3, 13):
            twin.shutdown()
            assert way(twin)._is_shutdown
            assert not way(kit.Queue())._is_shutdown

    run(main)


@pytest.mark.parametrize("way", [WAYS[name] for name in WAYS if name[-2:] not in (" 0", " 1")])
@both_kits
def test_subclasses(kit: Kit, way: Callable[[Any], Any]) -> None:
    """Those with slots; the oldest pickles do not have them."""
    jobs = JOBS[kit.native](5)
    jobs.place, jobs.label = "slot", "attribute"
    jobs.put_nowait(2)
    jobs.put_nowait(1)
    twin = way(jobs)
    assert (type(twin), twin.place, twin.label) == (JOBS[kit.native], "slot", "attribute")
    assert (twin.maxsize, twin.get_nowait(), twin.get_nowait()) == (5, 1, 2)


@both_kits
def test_a_replaced_method_stays_replaced(run: Run, kit: Kit) -> None:
    async def main() -> None:
        calls: list[Any] = []
        queue = kit.Queue()
        queue.put_nowait = calls.append
        twin = copy.copy(queue)
        await twin.put("item")
        assert calls == ["item"]

    run(main)


@both_kits
@pytest.mark.parametrize("name", ["Event", "Lock", "Queue"])
def test_who_is_waited_for_cannot_be_pickled(run: Run, kit: Kit, name: str) -> None:
    async def main() -> None:
        thing = getattr(kit, name)()
        if name == "Lock":
            await thing.acquire()
        method = {"Event": "wait", "Lock": "acquire", "Queue": "get"}[name]
        waiter = asyncio.ensure_future(getattr(thing, method)())
        await asyncio.sleep(0)
        for way in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="pickle"):
                way(thing)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter

    run(main)


def test_the_state_has_asyncios_names() -> None:
    for name in [*LOCKS, *QUEUES]:
        stock, native = make(STOCK_KIT, name), make(BATUTA_KIT, name)
        # A condition's methods are made anew.
        wanted = stock.__getstate__().keys() - {"locked", "acquire", "release"}
        assert native.__getstate__().keys() == wanted, name
