"""`batuta.Future` and `batuta.Task`, on both loops: names, messages, callbacks.

CPython's own tests hold the rest (`python -m tests.conformance --slots`).
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import types
from collections.abc import Callable, Generator
from typing import Any

import pytest
from batuta import _batuta

from contract.combining import answer, forever
from loops import Run

Future: Any = _batuta.Future
Task: Any = _batuta.Task
AnyFuture = Callable[[], "asyncio.Future[Any]"]


@types.coroutine
def bare(value: object = None) -> Generator[object, None, None]:
    yield value


def test_they_are_asyncios_own_classes() -> None:
    assert issubclass(Future, asyncio.Future)
    assert issubclass(Task, asyncio.Task)
    assert asyncio.isfuture(Future.__new__(Future))


def test_a_batuta_loop_makes_them(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        native = isinstance(loop, _batuta.NativeLoop)
        assert (type(loop.create_future()) is Future) == native
        assert (type(asyncio.current_task()) is Task) == native

    run(main)


takes_eager_start = bool(
    asyncio.BaseEventLoop.create_task.__code__.co_flags & inspect.CO_VARKEYWORDS
)


def test_create_task_takes_the_keywords_of_its_version(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        seen: list[str] = []

        async def step() -> int:
            seen.append("started")
            await asyncio.sleep(0)
            return 42

        if not takes_eager_start:
            coroutine = step()
            with pytest.raises(TypeError, match="eager_start"):
                loop.create_task(coroutine, eager_start=True)
            coroutine.close()
            return
        task = loop.create_task(step(), name="eager", eager_start=True)
        assert seen == ["started"]
        assert (type(task) is Task) == isinstance(loop, _batuta.NativeLoop)
        assert task.get_name() == "eager"
        assert await task == 42
        task = loop.create_task(step(), eager_start=False)
        assert seen == ["started"]
        assert await task == 42
        coroutine = step()
        with pytest.raises(TypeError, match="nonsense"):
            loop.create_task(coroutine, nonsense=True)
        coroutine.close()

    run(main)
    run(main, debug=True)


def test_reprs_are_like_stocks(run: Run) -> None:
    async def main() -> None:
        future = Future()
        assert repr(future) == "<Future pending>"
        future.set_result([1])
        assert repr(future) == "<Future finished result=[1]>"
        task = Task(answer(), name="n")
        assert repr(task).startswith("<Task pending name='n' coro=<answer() running at ")
        await task
        assert repr(task).startswith("<Task finished name='n' coro=<answer() done, defined at ")

    run(main)


def test_a_waiting_task_shows_in_what_it_waits_for(run: Run) -> None:
    async def main() -> None:
        future = Future()
        task = Task(asyncio.wait_for(future, None))
        await asyncio.sleep(0)
        [(callback, context)] = future._callbacks
        assert callback.__self__ is task
        assert callback.__name__ == "task_wakeup"
        assert context is task.get_context() if hasattr(task, "get_context") else context
        assert "cb=[Task.task_wakeup()]" in repr(future) or "cb=[task_wakeup()]" in repr(future)
        future.set_result(None)
        await task

    run(main)


def test_callbacks_run_in_order_with_tasks_between_them(run: Run) -> None:
    async def main() -> None:
        order: list[str] = []
        future = Future()

        async def waits(name: str) -> None:
            await future
            order.append(name)

        future.add_done_callback(lambda _: order.append("first"))
        tasks = [Task(waits("a"))]
        await asyncio.sleep(0)
        future.add_done_callback(lambda _: order.append("second"))
        tasks.append(Task(waits("b")))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(lambda: order.append("before"))
        future.set_result(None)
        asyncio.get_running_loop().call_soon(lambda: order.append("after"))
        await asyncio.gather(*tasks)
        assert order == ["before", "first", "a", "second", "b", "after"]

    run(main)


@pytest.mark.parametrize("debug", [False, True])
def test_stock_and_native_ones_wait_for_each_other(run: Run, debug: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for task_class in (asyncio.Task, Task):
            for future_class in (asyncio.Future, Future):
                future = future_class(loop=loop)
                loop.call_soon(future.set_result, "x")

                async def waits(future: Any = future) -> object:
                    return await future

                assert await task_class(waits(), loop=loop) == "x"

    run(main, debug=debug)


def test_a_patched_call_soon_is_called(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        calls: list[Any] = []
        original = loop.call_soon

        def spy(callback: Any, *args: Any, context: Any = None) -> Any:
            calls.append(callback)
            return original(callback, *args, context=context)

        loop.call_soon = spy
        try:
            assert await Task(answer()) == 42
        finally:
            del loop.call_soon
        assert any("TaskStepMethWrapper" in repr(callback) for callback in calls)

    run(main)


@pytest.mark.parametrize(
    ("yielded", "message"),
    [
        (lambda: 7, "Task got bad yield: 7"),
        (lambda: Future(), "yield was used instead of yield from in task"),
        (lambda: (n for n in ()), "yield was used instead of yield from for generator in task"),
        (lambda: asyncio.current_task(), "Task cannot await on itself"),
    ],
)
def test_a_bad_yield_is_an_error_of_the_coroutine(
    run: Run, yielded: Callable[[], object], message: str
) -> None:
    async def main() -> None:
        async def wrong() -> None:
            await bare(yielded())

        with pytest.raises(RuntimeError, match=message):
            await Task(wrong())

    run(main)


def test_ctrl_c_inside_of_a_repr_leaves_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    class Awaited:
        def __await__(self) -> Any:
            yield self

        def __repr__(self) -> str:
            raise KeyboardInterrupt

    async def waits() -> None:
        await Awaited()

    task: Any = Task(waits(), loop=loop)
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(task)
    task._log_destroy_pending = False


def test_a_future_of_another_loop_is_refused(run: Run) -> None:
    async def main() -> None:
        other = asyncio.new_event_loop()
        foreign = Future(loop=other)

        async def waits() -> None:
            await foreign

        with pytest.raises(RuntimeError, match="attached to a different loop"):
            await Task(waits())
        other.close()

    run(main)


def test_cancelling_hands_the_message_on(run: Run) -> None:
    async def main() -> None:
        task = Task(forever())
        await asyncio.sleep(0)
        assert task.cancel("enough") is True
        assert task.cancelling() == 1
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("enough",)
        assert task.cancelled()
        assert task.cancel() is False

    run(main)


def test_uncancel_counts_down(run: Run) -> None:
    async def main() -> None:
        task = Task(forever())
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()
        assert task.cancelling() == 2
        assert [task.uncancel() for _ in range(3)] == [1, 0, 0]
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_it_is_current_while_it_runs_and_among_all(run: Run) -> None:
    async def main() -> None:
        async def looks() -> None:
            assert asyncio.current_task() is task
            await asyncio.sleep(0)
            assert asyncio.current_task() is task
            assert task in asyncio.all_tasks()

        task = Task(looks())
        assert task in asyncio.all_tasks()
        await task
        assert task not in asyncio.all_tasks()

    run(main)


def test_an_uninitialised_one_is_harmless() -> None:
    future, task = Future.__new__(Future), Task.__new__(Task)
    for empty in (future, task):
        assert empty.done() is False
        with pytest.raises(asyncio.InvalidStateError, match="not initialized"):
            empty.result()
        with pytest.raises(RuntimeError, match="not initialized"):
            empty.get_loop()
        with pytest.raises(RuntimeError, match="not initialized"):
            repr(empty)


def test_keyboard_interrupt_leaves_the_loop_and_stays_in_the_task(run: Run) -> None:
    tasks: list[Any] = []

    async def main() -> None:
        async def interrupts() -> None:
            raise KeyboardInterrupt

        tasks.append(Task(interrupts()))
        await asyncio.sleep(10)

    with pytest.raises(KeyboardInterrupt):
        run(main)
    assert isinstance(tasks[0].exception(), KeyboardInterrupt)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager start is new in Python 3.12")
def test_an_eager_task_runs_before_it_is_returned(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = Task(answer("at once"), loop=loop, eager_start=True)
        assert done.done()
        assert done.result() == "at once"
        assert done.get_coro() is None
        waiting = Task(asyncio.sleep(0, "later"), loop=loop, eager_start=True)
        assert not waiting.done()
        assert waiting in asyncio.all_tasks()
        assert await waiting == "later"

    run(main)
