"""Coroutines without a frame behave as those of `async def` functions, on both loops."""

from __future__ import annotations

import asyncio
import collections.abc
import copy
import gc
import inspect
import sys
import types
import warnings
import weakref
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

import pytest
from batuta import _batuta

from contract.kits import BATUTA_KIT, LOCKS, QUEUES, STOCK_KIT, Kit, both_kits
from loops import Run

pytestmark = both_kits

COROUTINES: list[tuple[str, Callable[[Kit], Coroutine[Any, Any, Any]]]] = [
    ("Event.wait", lambda kit: kit.Event().wait()),
    ("Lock.acquire", lambda kit: kit.Lock().acquire()),
    ("_ContextManagerMixin.__aenter__", lambda kit: kit.Lock().__aenter__()),
    ("_ContextManagerMixin.__aexit__", lambda kit: kit.Lock().__aexit__(None, None, None)),
    ("Semaphore.acquire", lambda kit: kit.Semaphore().acquire()),
    ("_ContextManagerMixin.__aenter__", lambda kit: kit.Semaphore().__aenter__()),
    ("_ContextManagerMixin.__aexit__", lambda kit: kit.Semaphore().__aexit__(None, None, None)),
    ("Condition.wait", lambda kit: kit.Condition().wait()),
    ("Condition.wait_for", lambda kit: kit.Condition().wait_for(lambda: True)),
    ("_ContextManagerMixin.__aenter__", lambda kit: kit.Condition().__aenter__()),
    ("_ContextManagerMixin.__aexit__", lambda kit: kit.Condition().__aexit__(None, None, None)),
    ("Queue.put", lambda kit: kit.Queue().put(1)),
    ("Queue.get", lambda kit: kit.Queue().get()),
    ("Queue.join", lambda kit: kit.Queue().join()),
]
every_coroutine = pytest.mark.parametrize(("name", "make"), COROUTINES)


@every_coroutine
def test_it_is_a_coroutine_to_everybody(
    kit: Kit, name: str, make: Callable[[Kit], Coroutine[Any, Any, Any]]
) -> None:
    coroutine: Any = make(kit)
    assert asyncio.iscoroutine(coroutine)
    assert inspect.isawaitable(coroutine)
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert not callable(coroutine)
    for other in ("Generator", "Iterator", "Iterable"):
        assert not isinstance(coroutine, getattr(collections.abc, other))
    assert gc.is_tracked(coroutine)
    assert coroutine.__qualname__ == name
    assert coroutine.__name__ == name.split(".")[-1]
    assert repr(coroutine).startswith(f"<coroutine object {name} at 0x")
    assert coroutine.cr_running is False
    assert coroutine.cr_origin is None
    assert weakref.ref(coroutine)() is coroutine
    coroutine.close()


@every_coroutine
def test_one_that_nobody_awaits_is_reported(
    kit: Kit, name: str, make: Callable[[Kit], Coroutine[Any, Any, Any]]
) -> None:
    with pytest.warns(RuntimeWarning, match=rf"^coroutine '{name}' was never awaited$"):
        make(kit)


def test_one_that_was_closed_is_not_reported(kit: Kit) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coroutine = kit.Event().wait()
        coroutine.close()
        coroutine.close()
        with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
            coroutine.send(None)
        del coroutine


@every_coroutine
def test_it_runs_once(kit: Kit, name: str, make: Callable[[Kit], Any], run: Run) -> None:
    async def main() -> None:
        coroutine = make(kit)
        task = asyncio.ensure_future(coroutine)
        await asyncio.wait([task], timeout=0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        for again in (
            lambda: coroutine.send(None),
            lambda: coroutine.throw(ValueError()),
            lambda: coroutine.__await__().__next__(),
        ):
            with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
                again()
        coroutine.close()

    run(main)


def test_the_first_value_sent_is_none(kit: Kit) -> None:
    coroutine = kit.Event().wait()
    with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
        coroutine.send(1)
    coroutine.close()


def test_it_returns_through_stop_iteration(kit: Kit) -> None:
    event = kit.Event()
    event.set()
    with pytest.raises(StopIteration) as stop:
        event.wait().send(None)
    assert stop.value.value is True
    queue = kit.Queue()
    for item in (None, (1, 2), StopIteration(3)):
        queue.put_nowait(item)
        with pytest.raises(StopIteration) as stop:
            queue.get().send(None)
        assert stop.value.value is item
        assert len(stop.value.args) == (item is not None)
    with pytest.raises(StopIteration) as stop:
        kit.Lock().__aenter__().send(None)
    assert stop.value.value is None
    assert repr(stop.value) == "StopIteration()"


def test_each_stop_iteration_is_a_new_one(kit: Kit) -> None:
    def stop(how: str) -> StopIteration:
        event = kit.Event()
        event.set()
        coroutine = event.wait()
        try:
            if how == "next":
                next(coroutine.__await__())
            else:
                coroutine.send(None)
        except StopIteration as error:
            return error
        raise AssertionError("it has not returned")

    for how in ("next", "send"):
        first, second = stop(how), stop(how)
        assert first is not second
        assert (first.value, first.args, second.value) == (True, (True,), True)
        first.value, first.args = 1, (2, 3)
        first.__traceback__ = None
        del first, second
        for write in ("value", "args", "__traceback__", "__cause__", "note"):
            written = stop(how)
            if write != "__traceback__":
                written.__traceback__ = None
            if write == "__cause__":
                written.__cause__ = KeyError()
            elif write != "__traceback__":
                setattr(written, write, (5,))
            del written
            again = stop(how)
            assert (again.value, again.args, again.__cause__) == (True, (True,), None)
            assert not hasattr(again, "note")


def test_await_gives_what_it_returns(kit: Kit, run: Run) -> None:
    async def main() -> None:
        queue = kit.Queue()
        for item in (None, 0, (1, 2), (), ValueError("as an item"), StopIteration(3)):
            queue.put_nowait(item)
            assert await queue.get() is item
            queue.put_nowait(item)
            assert await asyncio.create_task(queue.get()) is item
            queue.put_nowait(item)
            assert await asyncio.wait_for(queue.get(), 1) is item
            queue.put_nowait(item)
            [got] = await asyncio.gather(queue.get())
            assert got is item

    run(main)


def test_an_exception_thrown_in_ends_it(kit: Kit, run: Run) -> None:
    async def main() -> None:
        event = kit.Event()
        with pytest.raises(KeyError):
            event.wait().throw(KeyError("before it began"))
        coroutine = event.wait()
        future = coroutine.send(None)
        assert asyncio.isfuture(future)
        assert len(event._waiters) == 1
        error = ValueError("while it waits")
        with pytest.raises(ValueError) as caught:
            coroutine.throw(error)
        assert caught.value is error
        assert len(event._waiters) == 0
        if sys.version_info < (3, 12):
            coroutine = event.wait()
            coroutine.send(None)
            with pytest.raises(ValueError, match=r"^text$"):
                coroutine.throw(ValueError, "text", None)
        coroutine = event.wait()
        with pytest.raises(TypeError, match=r"^exceptions must be classes or instances deriving"):
            coroutine.throw(42)
        coroutine.close()

    run(main)


def test_closing_one_that_waits_takes_it_off_the_queue(kit: Kit, run: Run) -> None:
    async def main() -> None:
        event = kit.Event()
        coroutine = event.wait()
        coroutine.send(None)
        assert len(event._waiters) == 1
        coroutine.close()
        assert len(event._waiters) == 0
        coroutine = event.wait()
        coroutine.send(None)
        del coroutine
        gc.collect()
        assert len(event._waiters) == 0

    run(main)


def test_only_one_may_await_it(kit: Kit, run: Run) -> None:
    async def main() -> None:
        event = kit.Event()
        coroutine = event.wait()

        async def waits() -> None:
            await coroutine

        first = asyncio.create_task(waits())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match=r"^coroutine is being awaited already$"):
            await coroutine
        event.set()
        await first
        with pytest.raises(RuntimeError, match=r"^cannot reuse already awaited coroutine$"):
            await coroutine

    run(main)


def test_it_cannot_be_entered_while_it_runs(kit: Kit, run: Run) -> None:
    async def main() -> None:
        seen: list[Any] = []

        class Curious(kit.Lock):  # type: ignore[misc]
            def release(self) -> None:
                seen.append(coroutine.cr_running)
                for enter in (lambda: coroutine.send(None), lambda: coroutine.close()):
                    with pytest.raises(ValueError, match=r"^coroutine already executing$"):
                        enter()

        coroutine = Curious().__aexit__(None, None, None)
        await coroutine
        assert seen == [True]

    run(main)


def test_a_future_given_without_await_is_an_error(kit: Kit, run: Run) -> None:
    async def main() -> None:
        coroutine = kit.Event().wait()
        coroutine.send(None)
        with pytest.raises(RuntimeError, match=r"^await wasn't used with future$"):
            coroutine.send(None)

    run(main)


def test_debug_mode_says_where_it_was_made(kit: Kit, run: Run) -> None:
    async def main() -> None:
        coroutine = kit.Event().wait()
        if kit is BATUTA_KIT and not isinstance(asyncio.get_running_loop(), _batuta.NativeLoop):
            # The interpreter tells how deep it tracks only when asked, and a native
            # coroutine asks only while a native loop tracks.
            assert coroutine.cr_origin is None
        else:
            [(file, line, function), *_] = coroutine.cr_origin
            assert (file, function) == (__file__, "main")
            assert line == main.__code__.co_firstlineno + 1
        coroutine.close()

    run(main, debug=True)
    coroutine = kit.Event().wait()
    assert coroutine.cr_origin is None
    coroutine.close()


FUNCTIONS = [
    ("Event", "wait"),
    ("Lock", "acquire"),
    ("Lock", "__aenter__"),
    ("Lock", "__aexit__"),
    ("Semaphore", "acquire"),
    ("BoundedSemaphore", "acquire"),
    ("Condition", "acquire"),
    ("Condition", "wait"),
    ("Condition", "wait_for"),
    ("Condition", "__aexit__"),
    ("Queue", "put"),
    ("Queue", "get"),
    ("Queue", "join"),
    ("LifoQueue", "get"),
]


@pytest.mark.parametrize(("class_name", "name"), FUNCTIONS)
def test_methods_look_like_async_functions(kit: Kit, class_name: str, name: str) -> None:
    instance = getattr(kit, class_name)()
    stock = getattr(getattr(STOCK_KIT, class_name)(), name)
    method = getattr(instance, name)
    assert inspect.iscoroutinefunction(method)
    assert inspect.ismethod(method)
    assert method.__self__ is (
        instance._lock if name == "acquire" and class_name == "Condition" else instance
    )
    assert inspect.signature(method) == inspect.signature(stock)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__", "__code__"):
        assert getattr(method, attribute) == getattr(stock, attribute)
    if sys.version_info < (3, 14):
        assert asyncio.iscoroutinefunction(method)
    function = method.__func__
    assert repr(function).startswith(f"<function {function.__qualname__} at 0x")
    assert copy.deepcopy(function) is function
    assert weakref.ref(function)() is function
    assert not hasattr(function, "no_such_attribute")
    with pytest.raises(TypeError):
        function()
    with pytest.raises((AttributeError, TypeError)):
        function(object(), *[None] * (function.__code__.co_argcount - 1)).send(None)
    with pytest.raises(TypeError):
        method(surprise=1)


@pytest.mark.parametrize("class_name", [*LOCKS, *QUEUES])
def test_public_methods_have_stocks_signatures(kit: Kit, class_name: str) -> None:
    stock = getattr(STOCK_KIT, class_name)
    for name in dir(stock):
        wanted = getattr(stock, name)
        if not name.startswith("_") and callable(wanted):
            given = inspect.signature(getattr(getattr(kit, class_name), name))
            assert list(given.parameters) == list(inspect.signature(wanted).parameters)


def test_mocks_of_the_classes_are_asynchronous_where_they_should_be(kit: Kit) -> None:
    queue = mock.create_autospec(kit.Queue, instance=True)
    coroutine = queue.get()
    assert asyncio.iscoroutine(coroutine)
    coroutine.close()
    assert not asyncio.iscoroutine(queue.put_nowait(1))
    lock = mock.MagicMock(spec=kit.Lock)
    assert isinstance(lock.acquire, mock.AsyncMock)
    assert not isinstance(lock.release, mock.AsyncMock)


def test_many_leave_the_memory_where_it_was(kit: Kit, run: Run) -> None:
    async def round_of(count: int) -> None:
        event, lock, queue = kit.Event(), kit.Lock(), kit.Queue(1)
        semaphore = kit.Semaphore(1)
        for _ in range(count):
            task = asyncio.ensure_future(event.wait())
            await asyncio.sleep(0)
            event.set()
            await task
            event.clear()
            async with lock, semaphore:
                pass
            coroutine = lock.acquire()
            coroutine.close()
            await queue.put(object())
            task = asyncio.ensure_future(queue.put(object()))
            await asyncio.sleep(0)
            await queue.get()
            await task
            await queue.get()
            task = asyncio.ensure_future(queue.get())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

    async def main() -> None:
        await round_of(500)
        gc.collect()
        objects, blocks = len(gc.get_objects()), sys.getallocatedblocks()
        await round_of(5_000)
        gc.collect()
        assert len(gc.get_objects()) - objects < 100
        assert sys.getallocatedblocks() - blocks < 500

    run(main)


FORGOTTEN: list[Callable[[Any], object]] = [list, tuple, iter, "".join, lambda it: [*it]]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("use", FORGOTTEN)
@every_coroutine
def test_a_forgotten_await_is_an_error(
    kit: Kit,
    name: str,
    make: Callable[[Kit], Coroutine[Any, Any, Any]],
    use: Callable[[Any], object],
) -> None:
    with pytest.raises(TypeError, match="iterable"):
        use(make(kit))
    coroutine: Any = make(kit)
    with pytest.raises(AttributeError, match=r"^'coroutine' object has no attribute 'answer'"):
        coroutine.answer  # noqa: B018
    with pytest.raises(TypeError, match=r"^'coroutine' object is not subscriptable$"):
        coroutine["answer"]


def test_a_generator_based_coroutine_delegates_to_one(run: Run, kit: Kit) -> None:
    @types.coroutine
    def delegating(queue: Any) -> Any:
        yield from queue.put("through it")
        return (yield from queue.get())

    def plain(queue: Any) -> Any:
        return (yield from queue.get())

    async def main() -> None:
        queue = kit.Queue()
        assert await delegating(queue) == "through it"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            with pytest.raises(TypeError):
                next(plain(queue))

    run(main)


def test_who_writes_an_await_of_his_own_delegates_to_one(run: Run, kit: Kit) -> None:
    class Returning:
        def __await__(self) -> Any:
            return kit.Queue().put("returned").__await__()

    class Delegating:
        def __init__(self, queue: Any) -> None:
            self.queue = queue

        def __await__(self) -> Any:
            yield from self.queue.put("delegated").__await__()
            return (yield from self.queue.get().__await__())

    async def main() -> None:
        assert await Returning() is None
        queue = kit.Queue(1)
        assert await Delegating(queue) == "delegated"
        iterator = queue.get().__await__()
        assert iter(iterator) is iterator
        assert asyncio.isfuture(next(iterator))
        with pytest.raises(LookupError):
            iterator.throw(LookupError("thrown"))
        closed = queue.get().__await__()
        closed.close()
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            closed.send(None)

    run(main)


def test_a_task_that_waits_through_an_await_of_its_own_is_cancelled(run: Run, kit: Kit) -> None:
    class Delegating:
        def __await__(self) -> Any:
            return (yield from kit.Queue().get().__await__())

    async def delegating() -> None:
        await Delegating()

    async def main() -> None:
        task = asyncio.create_task(delegating())
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task

    run(main)
