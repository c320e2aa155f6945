"""`TaskGroup`, the interpreter's and the native one, on both loops."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from typing import Any

import pytest
from batuta import _batuta

from contract.combining import (
    Witness,
    answer,
    both,
    dies,
    forever,
    leaves_the_memory_as_it_was,
    looks_like,
)
from loops import Report, Run

pytestmark = both()

NAMES_LATER = "_set_task_name" in asyncio.TaskGroup.create_task.__code__.co_names


async def fails(error: BaseException, turns: int = 0) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    raise error


def test_leaving_waits_for_the_tasks(run: Run, aio: Any) -> None:
    async def main() -> None:
        async with aio.TaskGroup() as group:
            assert isinstance(group, asyncio.TaskGroup)
            assert repr(group) == "<TaskGroup entered>"
            tasks = [group.create_task(asyncio.sleep(0.001 * n, n)) for n in range(3)]
            named = group.create_task(answer(), name="named")
            assert group._tasks == {*tasks, named}
            assert repr(group) == "<TaskGroup tasks=4 entered>"
        assert [task.result() for task in tasks] == [0, 1, 2]
        assert named.get_name() == "named"
        assert not group._tasks

    run(main)


def test_a_task_may_make_more_of_them(run: Run, aio: Any) -> None:
    async def main() -> None:
        made: list[int] = []

        async def child(left: int) -> None:
            made.append(left)
            await asyncio.sleep(0)
            if left:
                group.create_task(child(left - 1))

        async with aio.TaskGroup() as group:
            group.create_task(child(5))
        assert made == [5, 4, 3, 2, 1, 0]

    run(main)


def test_no_tasks_take_no_turn(run: Run, aio: Any) -> None:
    async def main() -> None:
        order: list[str] = []
        asyncio.get_running_loop().call_soon(order.append, "soon")
        async with aio.TaskGroup():
            pass
        assert order == []

    run(main)


def test_a_failing_task_cancels_the_others(run: Run, aio: Any) -> None:
    async def main() -> None:
        error = ZeroDivisionError()
        this = asyncio.current_task()
        assert this is not None
        with pytest.raises(ExceptionGroup, match="unhandled errors in a TaskGroup") as caught:
            async with aio.TaskGroup() as group:
                other = group.create_task(forever())
                group.create_task(fails(error))
                await forever()
        assert caught.value.exceptions == (error,)
        assert other.cancelled()
        assert this.cancelling() == 0

    run(main)


@pytest.mark.parametrize("others", [0, 1])
def test_a_task_that_fails_while_the_group_waits(run: Run, aio: Any, others: int) -> None:
    async def main() -> None:
        first, second = ZeroDivisionError(), KeyError()
        this = asyncio.current_task()
        assert this is not None
        with pytest.raises(ExceptionGroup) as caught:
            async with aio.TaskGroup() as group:
                for _ in range(others):
                    group.create_task(cancelled(second))
                group.create_task(fails(first, 2))
        assert caught.value.exceptions == (first, second)[: 1 + others]
        # Before 3.13 the request to cancel stays when nobody was left to be waited for.
        assert this.cancelling() == (0 if sys.version_info >= (3, 13) else 1)
        while this.cancelling():
            this.uncancel()

    async def cancelled(error: BaseException) -> None:
        try:
            await forever()
        finally:
            raise error

    run(main)


def test_an_error_of_the_body_cancels_the_tasks(run: Run, aio: Any) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with aio.TaskGroup() as group:
                task = group.create_task(forever())
                await asyncio.sleep(0)
                raise KeyError("body")
        assert [type(error) for error in caught.value.exceptions] == [KeyError]
        assert task.cancelled()

    run(main)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_cancellation_from_outside_goes_on(run: Run, aio: Any, turns: int) -> None:
    async def main() -> None:
        children: list[asyncio.Task[Any]] = []

        async def groups() -> None:
            async with aio.TaskGroup() as group:
                children.extend(group.create_task(forever()) for _ in range(3))

        task = asyncio.create_task(groups())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("why",)
        assert task.cancelled()
        assert task.cancelling() == 1
        assert len(children) == 3
        assert all(child.cancelled() for child in children)

    run(main)


def test_a_cancellation_that_comes_with_the_end_of_the_last_task(run: Run, aio: Any) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()

        async def child() -> None:
            await future
            task.cancel()

        async def groups() -> None:
            async with aio.TaskGroup() as group:
                group.create_task(child())

        task = asyncio.create_task(groups())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        future.set_result(None)
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_cancelled_twice_it_still_waits(run: Run, aio: Any) -> None:
    async def main() -> None:
        let_go = asyncio.Event()

        async def stubborn() -> None:
            try:
                await forever()
            finally:
                await let_go.wait()

        async def groups() -> None:
            async with aio.TaskGroup() as group:
                children.append(group.create_task(stubborn()))

        children: list[asyncio.Task[None]] = []
        task = asyncio.create_task(groups())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        assert task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert children[0].cancelled()

    run(main)


def test_exceptions_that_leave_the_loop_leave_the_group(run: Run, aio: Any) -> None:
    async def main() -> None:
        with pytest.raises(KeyboardInterrupt):
            async with aio.TaskGroup():
                raise KeyboardInterrupt

    run(main)


def test_when_tasks_are_refused(run: Run, aio: Any) -> None:
    async def main() -> None:
        group = aio.TaskGroup()
        made: list[Any] = []

        def coroutine() -> Any:
            made.append(answer())
            return made[-1]

        with pytest.raises(RuntimeError, match="has not been entered"):
            group.create_task(coroutine())
        async with group:
            pass
        with pytest.raises(RuntimeError, match="is finished"):
            group.create_task(coroutine())
        with pytest.raises(RuntimeError, match="has already been entered"):
            async with group:
                pass
        with pytest.raises(ExceptionGroup):
            async with aio.TaskGroup() as group:
                group.create_task(fails(ValueError()))
                try:
                    await forever()
                finally:
                    with pytest.raises(RuntimeError, match="is shutting down"):
                        group.create_task(coroutine())
        for each in made:
            each.close()
        async with aio.TaskGroup() as group:
            with pytest.raises(TypeError):
                group.create_task(7)
            with pytest.raises(TypeError):
                group.create_task()

    run(main)


def test_a_context_of_its_own(run: Run, aio: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def main() -> None:
        context = contextvars.copy_context()
        context.run(variable.set, "given")
        variable.set("outer")

        async def reads() -> str:
            return variable.get()

        async with aio.TaskGroup() as group:
            given = group.create_task(reads(), context=context)
            taken = group.create_task(reads())
        assert (given.result(), taken.result()) == ("given", "outer")

    run(main)


def test_a_task_factory_makes_the_tasks(run: Run, aio: Any) -> None:
    async def main() -> None:
        made: list[object] = []

        def factory(loop: Any, coro: Any, **keywords: Any) -> Any:
            made.append(coro)
            return asyncio.Task(coro, loop=loop, **keywords)

        asyncio.get_running_loop().set_task_factory(factory)
        async with aio.TaskGroup() as group:
            task = group.create_task(answer())
        assert task.result() == 42
        assert len(made) == 1

    run(main)


def test_a_patched_create_task_is_called(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        made: list[object] = []
        original = loop.create_task

        def spy(coro: Any, **keywords: Any) -> Any:
            made.append(coro)
            return original(coro, **keywords)

        loop.create_task = spy
        try:
            async with aio.TaskGroup() as group:
                group.create_task(answer())
        finally:
            del loop.create_task
        assert len(made) == 1

    run(main)


def test_a_subclass_may_change_what_is_done_at_the_end(run: Run, aio: Any) -> None:
    async def main() -> None:
        ended: list[object] = []

        class Own(aio.TaskGroup):  # type: ignore[misc]
            def _on_task_done(self, task: Any) -> None:
                ended.append(task)
                super()._on_task_done(task)

        async with Own() as group:
            tasks = [group.create_task(answer()) for _ in range(2)]
        assert ended == tasks

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_tasks(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        async with aio.TaskGroup() as group:
            done = group.create_task(answer())
            assert done.done()
            pending = group.create_task(asyncio.sleep(0.001, "late"))
        assert (done.result(), pending.result()) == (42, "late")

    run(main)


def test_a_parent_that_is_through_is_reported(run: Run, aio: Any) -> None:
    reports: list[Report] = []

    async def main() -> None:
        group = aio.TaskGroup()

        async def enters() -> None:
            await group.__aenter__()

        await asyncio.create_task(enters())
        group.create_task(fails(ValueError("late")))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(reports) == 1
        assert "has errored out but its parent task" in reports[0]["message"]
        reports.clear()

    run(main, reports=reports)


@pytest.mark.parametrize("debug", [False, True])
def test_ends_come_in_stocks_order(run: Run, aio: Any, debug: bool) -> None:
    async def main() -> None:
        order: list[str] = []
        async with aio.TaskGroup() as group:
            task = group.create_task(answer())
            task.add_done_callback(lambda _: order.append("callback"))
            task.add_done_callback(lambda _: loop.call_soon(order.append, "soon"))
            loop = asyncio.get_running_loop()
        order.append("left")
        await asyncio.sleep(0)
        assert order == ["callback", "left", "soon"]

    run(main, debug=debug)


def test_its_methods_look_like_stocks(aio: Any) -> None:
    for name in ("__aenter__", "__aexit__", "create_task"):
        looks_like(getattr(aio.TaskGroup, name), getattr(asyncio.TaskGroup, name))


# Life and death


def test_it_lets_go_of_its_tasks(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def groups(witness: Witness) -> None:
            async with aio.TaskGroup() as group:
                group.create_task(answer(witness))
                group.create_task(asyncio.sleep(0.001, witness))

        async def fails_with(witness: Witness) -> None:
            with pytest.raises(ExceptionGroup):
                async with aio.TaskGroup() as group:
                    group.create_task(fails(ValueError(witness)))
                    group.create_task(forever())

        await dies(groups)
        await dies(fails_with)
        this = asyncio.current_task()
        assert this is not None
        while this.cancelling():
            this.uncancel()

    run(main)


def test_a_cycle_through_it_is_collected(run: Run, aio: Any) -> None:
    async def main() -> None:
        group = aio.TaskGroup()
        assert gc.is_tracked(group)
        witness = Witness()
        group.mark = [group, witness]
        group._errors.append(group)
        references = [weakref.ref(it) for it in (group, witness)]
        del group, witness
        gc.collect()
        assert [reference() for reference in references] == [None] * 2

    run(main)


def test_many_leave_the_memory_as_it_was(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def round_of(count: int) -> None:
            for _ in range(count // 10):
                async with aio.TaskGroup() as group:
                    for _ in range(10):
                        group.create_task(answer())

        await leaves_the_memory_as_it_was(round_of)

    run(main)


def test_native_tasks_of_a_native_group_have_no_handle_until_somebody_looks(
    run: Run, aio: Any
) -> None:
    seen: contextvars.ContextVar[bool] = contextvars.ContextVar("seen")

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with aio.TaskGroup() as group:
            task = group.create_task(answer())
            native = isinstance(loop, _batuta.NativeLoop) and type(task) is _batuta.Task
            [(callback, _)] = task._callbacks
            assert callback.__self__ is group
            await asyncio.sleep(0)
            # A handle has the context of the time when it was made.
            seen.set(True)
            [handle] = [handle for handle in loop._ready if "_on_task_done" in repr(handle)]
            is_new = seen in handle._context
            assert is_new == (native and isinstance(group, _batuta.NativeTaskGroup))

    run(main)


def test_what_is_done_at_the_end_may_be_changed_on_the_instance(run: Run, aio: Any) -> None:
    async def main() -> None:
        ended: list[object] = []
        async with aio.TaskGroup() as group:
            first = group.create_task(answer())
            original = group._on_task_done

            def spy(task: Any) -> None:
                ended.append(task)
                original(task)

            group._on_task_done = spy
            second = group.create_task(answer())
            del group._on_task_done
            third = group.create_task(answer())
        assert ended == [second]
        assert [task.result() for task in (first, second, third)] == [42] * 3

    run(main)


def test_default_names_are_numbered_as_asyncios(run: Run, aio: Any) -> None:
    """Up to 3.12 a task that gets a name has had a number before."""

    async def main() -> list[int]:
        async with aio.TaskGroup() as group:
            made = [group.create_task(answer(), name=name) for name in (None, "reader", None, None)]
        return [int(task.get_name().removeprefix("Task-")) for task in made if task is not made[1]]

    first, second, third = run(main)
    assert second - first == (2 if NAMES_LATER else 1)
    assert third - second == 1
