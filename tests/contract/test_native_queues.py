"""Queues: asyncio's own and Batuta's do the same, on both loops."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections import deque
from typing import Any
from unittest import mock

import pytest

from contract.kits import QUEUES, Kit, both_kits
from loops import Run

every_class = pytest.mark.parametrize("name", QUEUES)
has_shutdown = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="Queue.shutdown came with Python 3.13"
)


@both_kits
def test_a_bounded_deque_of_a_subclass_keeps_its_bound(run: Run, kit: Kit) -> None:
    class Latest(kit.Queue):  # type: ignore[misc]
        def _init(self, maxsize: int) -> None:
            self._queue: Any = deque(maxlen=2)

    async def main() -> None:
        queue = Latest()
        for number in range(5):
            queue.put_nowait(number)
            await queue.put(-number)
        assert queue.qsize() == 2
        assert queue._queue.maxlen == 2
        assert [queue.get_nowait(), await queue.get()] == [4, -4]
        assert queue.empty()
        queue._getters = deque(maxlen=1)
        first = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        second = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        assert len(queue._getters) == 1
        queue.put_nowait("item")
        assert await second == "item"
        first.cancel()

    run(main)


@both_kits
@every_class
def test_they_are_asyncios_own_classes(kit: Kit, name: str) -> None:
    queue = getattr(kit, name)(3)
    assert isinstance(queue, getattr(asyncio, name))
    assert isinstance(queue, kit.Queue)
    assert gc.is_tracked(queue)
    assert queue.maxsize == 3
    assert str(queue) == f"<{name} maxsize=3>"
    assert repr(queue).startswith(f"<{name} at 0x")
    assert getattr(kit, name)[int].__origin__ is getattr(kit, name)
    assert weakref.ref(queue)() is queue


@both_kits
@every_class
def test_the_order_of_items(kit: Kit, name: str) -> None:
    queue = getattr(kit, name)()
    for item in (2, 3, 1):
        queue.put_nowait(item)
    wanted = {"Queue": [2, 3, 1], "LifoQueue": [1, 3, 2], "PriorityQueue": [1, 2, 3]}[name]
    assert [queue.get_nowait() for _ in range(3)] == wanted
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()
    with pytest.raises(IndexError):
        queue._get()


@both_kits
@every_class
def test_the_private_containers_are_live(kit: Kit, name: str, run: Run) -> None:
    async def main() -> None:
        queue = getattr(kit, name)()
        queue.put_nowait(1)
        container = queue._queue
        assert isinstance(container, deque if name == "Queue" else list)
        container.append(5)
        assert queue.qsize() == 2
        queue.put_nowait(7)
        assert list(container) == [1, 5, 7]
        assert queue._queue is container
        container.clear()
        assert queue.empty()
        task = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        assert len(queue._getters) == 1
        queue.put_nowait(3)
        assert await task == 3
        assert queue._unfinished_tasks == 3
        queue._queue = type(container)([4])
        assert queue.get_nowait() == 4
        queue._maxsize = 1
        queue.put_nowait(1)
        assert queue.full()
        with pytest.raises(asyncio.QueueFull):
            queue.put_nowait(2)

    run(main)


@both_kits
def test_nothing_waits_and_no_loop_is_needed_when_there_is_room(kit: Kit) -> None:
    queue = kit.Queue(1)
    for coroutine, wanted in ((queue.put("item"), None), (queue.get(), "item")):
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        assert stop.value.value == wanted
    queue.task_done()
    with pytest.raises(StopIteration):
        queue.join().send(None)
    assert queue._loop is None


@both_kits
def test_errors_say_what_stocks_say(kit: Kit) -> None:
    queue = kit.Queue(1)
    with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
        queue.task_done()
    with pytest.raises(TypeError, match=r"^Queue\.put\(\) missing 1 required positional argument"):
        queue.put()
    with pytest.raises(TypeError, match=r"^Queue\.__init__\(\) got an unexpected keyword argument"):
        kit.Queue(loop=None)
    queue.put_nowait(item=1)
    with pytest.raises(asyncio.QueueFull) as full:
        queue.put_nowait(2)
    assert full.value.args == ()
    with pytest.raises(TypeError):
        kit.Queue(None).full()
    for coroutine in (queue.put(item=2), queue.get()):
        coroutine.close()


@both_kits
@pytest.mark.parametrize("maxsize", [0, -1, 1.3, 2, True, 10**30, float("inf")])
def test_sizes_of_any_kind_of_number(kit: Kit, maxsize: Any) -> None:
    queue = kit.Queue(maxsize)
    assert queue.maxsize is maxsize
    most = {1.3: 2, 2: 2, True: 1}.get(maxsize)
    for count in range(4):
        assert queue.full() is (most is not None and count >= most)
        if queue.full():
            break
        queue.put_nowait(count)


@both_kits
def test_another_loop_is_refused(kit: Kit, run: Run) -> None:
    queue = kit.Queue()

    async def first() -> None:
        task = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def second() -> None:
        with pytest.raises(RuntimeError) as caught:
            await queue.get()
        assert str(caught.value) == f"{queue!r} is bound to a different event loop"
        queue.put_nowait(1)
        assert await queue.get() == 1

    run(first)
    run(second)


@both_kits
def test_a_hook_that_raises(kit: Kit, run: Run) -> None:
    class Picky(kit.Queue):  # type: ignore[misc]
        def _put(self, item: Any) -> None:
            if item is None:
                raise ValueError("not that one")
            super()._put(item)

    async def main() -> None:
        queue = Picky(1)
        with pytest.raises(ValueError, match=r"^not that one$"):
            await queue.put(None)
        assert queue._unfinished_tasks == 0
        await queue.put(1)
        assert await queue.get() == 1

    run(main)


@both_kits
def test_methods_may_be_patched_at_any_time(kit: Kit, run: Run) -> None:
    async def main() -> None:
        class Own(kit.Queue):  # type: ignore[misc]
            pass

        one, other = Own(1), Own(1)
        for queue in (one, other):
            await queue.put("before")
            assert await queue.get() == "before"
        with mock.patch.object(one, "put_nowait") as put_nowait:
            for queue in (one, other):
                await queue.put(2)
        put_nowait.assert_called_once_with(2)
        assert (one.qsize(), other.qsize()) == (0, 1)
        with mock.patch.object(Own, "_get", return_value="patched"):
            assert await other.get() == "patched"
            assert other.get_nowait() == "patched"
        assert await other.get() == 2

    run(main)


@both_kits
def test_items_that_cannot_be_compared(kit: Kit, run: Run) -> None:
    async def main() -> None:
        queue = kit.PriorityQueue()
        await queue.put(1)
        with pytest.raises(TypeError):
            await queue.put("one")

    run(main)


@both_kits
def test_a_recipe_that_does_the_bookkeeping_itself(kit: Kit, run: Run) -> None:
    class Peeking(kit.Queue):  # type: ignore[misc]
        def put_left(self, item: Any) -> None:
            self._queue.appendleft(item)
            self._unfinished_tasks += 1
            self._finished.clear()
            self._wakeup_next(self._getters)

    async def main() -> None:
        queue = Peeking()
        getter = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.put_left(1)
        assert await getter == 1
        joiner = asyncio.ensure_future(queue.join())
        await asyncio.sleep(0)
        assert not joiner.done()
        assert not queue._finished.is_set()
        queue.task_done()
        await joiner
        queue.put_nowait(2)
        queue.put_left(3)
        assert [queue.get_nowait(), queue.get_nowait()] == [3, 2]

    run(main)


@both_kits
@has_shutdown
@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown(kit: Kit, run: Run, immediate: bool) -> None:
    async def main() -> None:
        shut_down: Any = vars(asyncio)["QueueShutDown"]
        queue = kit.Queue(1)
        await queue.put(1)
        putter = asyncio.ensure_future(queue.put(2))
        joiner = asyncio.ensure_future(queue.join())
        await asyncio.sleep(0)
        queue.shutdown(immediate=immediate)
        with pytest.raises(shut_down):
            await putter
        with pytest.raises(shut_down):
            queue.put_nowait(3)
        if not immediate:
            assert await queue.get() == 1
            queue.task_done()
        await joiner
        with pytest.raises(shut_down):
            await queue.get()
        with pytest.raises(shut_down):
            queue.get_nowait()
        assert queue._format().endswith(" shutdown")

    run(main)


class Witness:
    """Something whose death can be seen."""


@both_kits
@every_class
def test_cycles_are_collected(kit: Kit, run: Run, name: str) -> None:
    async def main() -> None:
        def tie() -> list[weakref.ref[Any]]:
            class Own(getattr(kit, name)):  # type: ignore[misc]
                pass

            queue, witness = Own(), Witness()
            queue.coroutine = queue.get()
            future = queue.coroutine.send(None)
            future.add_done_callback(lambda _: witness)
            other = Own()
            other.put_nowait((witness, other))
            queue.other = other
            return [weakref.ref(witness), weakref.ref(queue), weakref.ref(other), weakref.ref(Own)]

        references = tie()
        gc.collect()
        await asyncio.sleep(0)  # The end of `get()` cancels its future, which has a callback.
        gc.collect()
        assert [reference() for reference in references] == [None] * 4

    run(main)


@both_kits
def test_an_item_dies_when_it_has_been_taken(kit: Kit, run: Run) -> None:
    async def main() -> None:
        queue = kit.Queue(1)
        witness = Witness()
        reference = weakref.ref(witness)
        await queue.put(witness)
        coroutine = queue.put(witness)
        del witness
        await queue.get()
        await coroutine
        assert reference() is not None
        await queue.get()
        assert reference() is None
        assert coroutine is not None

    run(main)


@both_kits
def test_the_event_of_join_can_be_looked_at_and_replaced(run: Run, kit: Kit) -> None:
    async def main() -> None:
        queue = kit.Queue()
        event = queue._finished
        assert isinstance(event, asyncio.Event)
        assert event.is_set()
        assert queue._finished is event
        queue.put_nowait(1)
        assert not event.is_set()
        waiter = asyncio.ensure_future(queue.join())
        await asyncio.sleep(0)
        assert len(event._waiters) == 1
        await queue.get()
        queue.task_done()
        assert event.is_set()
        await waiter

        calls: list[str] = []

        class Own(asyncio.Event):
            def set(self) -> None:
                calls.append("set")
                super().set()

            def clear(self) -> None:
                calls.append("clear")
                super().clear()

        queue._finished = Own()
        queue.put_nowait(2)
        waiter = asyncio.ensure_future(queue.join())
        await asyncio.sleep(0)
        await queue.get()
        queue.task_done()
        await waiter
        assert calls == ["clear", "set"]
        queue.__init__()
        assert type(queue._finished) is type(event)
        assert queue._finished is not event

    run(main)
