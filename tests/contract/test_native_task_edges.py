"""Where native tasks and futures could part from asyncio's: what programs replace in them, reuse of
dead ones, long chains, asyncio's own methods, and what dies with a task. On both loops.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import time
import weakref
from collections.abc import Awaitable
from typing import Any

import pytest

from loops import Run


async def answer(value: object = 42) -> object:
    return value


def test_a_call_soon_replaced_later_is_called_for_futures_that_exist(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        future = loop.create_future()
        seen: list[str] = []
        future.add_done_callback(lambda _: seen.append("callback"))
        task = loop.create_task(answer())
        stock = loop.call_soon

        def spy(*args: Any, **keywords: Any) -> object:
            seen.append("call_soon")
            return stock(*args, **keywords)

        loop.call_soon = spy
        future.set_result(None)
        await asyncio.sleep(0)
        assert seen[0] == "call_soon"
        del loop.call_soon
        assert await task == 42
        seen.clear()
        await asyncio.sleep(0)
        assert not seen

    run(main)


def test_tasks_and_futures_made_one_after_another_have_nothing_of_each_other(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        references: list[weakref.ref[Any]] = []
        for number in range(50):
            task: Any = loop.create_task(answer(number))
            future: Any = loop.create_future()
            for made in (task, future):
                assert not hasattr(made, "first")
                assert not hasattr(made, "other")
                if number % 3 == 0:
                    made.first = made.second = []
                elif number % 3 == 1:
                    made.other = number
                if number % 2:
                    references.append(weakref.ref(made))
            assert task.get_name() != f"name {number - 1}"
            if number % 5 == 0:
                task.set_name(f"name {number}")
            if number % 7 == 0:
                future.set_exception(ValueError(number))
                assert isinstance(future.exception(), ValueError)
            else:
                future.set_result(number)
            assert await task == number
            del made, task, future
        await asyncio.sleep(0)
        gc.collect()
        assert [reference() for reference in references] == [None] * len(references)

    run(main)


def test_a_cancel_replaced_in_the_instance_is_called(run: Run) -> None:
    async def main() -> None:
        future: Any = asyncio.get_running_loop().create_future()
        messages: list[object] = []
        cancel = future.cancel

        def spy(msg: object = None) -> bool:
            messages.append(msg)
            return bool(cancel(msg))

        async def wait() -> None:
            await future

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        future.cancel = spy
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert messages == ["enough"]

    run(main)


def test_a_long_chain_is_cancelled_or_refused(run: Run) -> None:
    async def main() -> None:
        async def wait(task: Awaitable[Any]) -> None:
            await task

        first = asyncio.get_running_loop().create_future()
        last: asyncio.Future[Any] = first
        for _ in range(100_000):
            last = asyncio.ensure_future(wait(last))
        await asyncio.sleep(0)
        try:
            last.cancel()
        except RecursionError:
            # How deep it may go differs between Python versions.
            first.set_result(None)
            await last
        else:
            with pytest.raises(asyncio.CancelledError):
                await last

    run(main)


def test_asyncios_own_methods_as_functions_do_not_crash(run: Run) -> None:
    async def main() -> None:
        coro = answer()
        context = contextvars.copy_context()
        task = asyncio.get_running_loop().create_task(coro, context=context)
        own: Any = asyncio.Task
        assert own.get_coro(task) is coro
        if sys.version_info >= (3, 12):
            assert own.get_context(task) is context
        await task

    run(main)


def test_what_dies_with_a_task_finds_no_other_task_running(run: Run) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[object] = []

    class Last:
        def __del__(self) -> None:
            seen.append((asyncio.current_task(), variable.get()))

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def ends() -> Last:
            return Last()

        async def other() -> None:
            variable.set("other")
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        # Nobody holds the first one when it has ended, and the second steps next.
        loop.create_task(ends())
        await loop.create_task(other())
        assert seen == [(None, "none")]

    run(main)


@pytest.mark.parametrize("how", ["future", "call_soon", "call_later", "stop"])
def test_what_dies_with_the_last_task_wakes_the_loop(run: Run, how: str) -> None:
    """Nothing else is due, or only much later: what its finalizer does counts before the sleep."""

    class Last:
        def __init__(self, done: asyncio.Future[None]) -> None:
            self.done = done

        def __del__(self) -> None:
            loop = self.done.get_loop()
            match how:
                case "future":
                    self.done.set_result(None)
                case "call_soon":
                    loop.call_soon(self.done.set_result, None)
                case "call_later":
                    loop.call_later(0.01, self.done.set_result, None)
                case "stop":
                    loop.call_later(60, self.done.set_result, None)
                    loop.stop()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        async def ends() -> Last:
            return Last(done)

        late = loop.call_later(5, done.cancel)
        loop.create_task(ends())
        await done
        late.cancel()

    began = time.monotonic()
    if how == "stop":
        with pytest.raises(RuntimeError, match="stopped before Future completed"):
            run(main)
    else:
        run(main)
    assert time.monotonic() - began < 4, "it was the timer that woke the loop"


def test_a_call_soon_in_front_of_ours_gets_handles(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        stock = loop.call_soon
        handles: list[asyncio.Handle] = []

        def spy(*args: Any, **keywords: Any) -> asyncio.Handle:
            handle: asyncio.Handle = stock(*args, **keywords)
            assert not handle.cancelled()
            handles.append(handle)
            return handle

        loop.call_soon = spy
        future = loop.create_future()
        loop.call_later(0.01, future.set_result, 1)
        assert await asyncio.wait_for(future, 5) == 1
        later = loop.create_future()
        loop.call_later(0.01, later.set_result, 2)
        assert await later == 2
        assert await loop.create_task(answer()) == 42
        del loop.call_soon
        assert len(handles) >= 3
        assert all(isinstance(handle, asyncio.Handle) for handle in handles)

    run(main)


@pytest.mark.parametrize("first", [False, True])
def test_a_cancel_of_ones_own_may_call_its_parameter_as_it_likes(run: Run, first: bool) -> None:
    class Own(asyncio.Future[None]):
        def cancel(self, message: object = None, /) -> bool:
            messages.append(message)
            return super().cancel(message)

    messages: list[object] = []

    async def main() -> None:
        future = Own()

        async def waits() -> None:
            await future

        task = asyncio.get_running_loop().create_task(waits())
        if not first:
            await asyncio.sleep(0)
        assert task.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert messages == ([] if first else ["enough"])
        # Cancelled in the step in which it begins to wait.
        second = Own()

        async def cancels_itself() -> None:
            current = asyncio.current_task()
            assert current is not None
            current.cancel("myself")
            await second

        with pytest.raises(asyncio.CancelledError):
            await asyncio.get_running_loop().create_task(cancels_itself())
        assert messages[-1] == "myself"

    run(main)
