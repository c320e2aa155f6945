"""Contexts of callbacks and tasks, and who the current task is."""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable

import pytest

from contract.support import raw_pair, until
from loops import Report, Run

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")

WAYS = ["call_soon", "call_later", "call_soon_threadsafe", "add_reader", "add_writer", "done"]


def having(text: str) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(name.set, text)
    return context


async def scheduled(way: str, callback: Callable[[], None], ready: Callable[[], bool]) -> None:
    """Schedule the callback in one way and wait until ready() says that it ran."""
    loop = asyncio.get_running_loop()
    near, far = raw_pair("unix")
    far.send(b"x")
    future = loop.create_future()
    {
        "call_soon": lambda: loop.call_soon(callback),
        "call_later": lambda: loop.call_later(0.001, callback),
        "call_soon_threadsafe": lambda: loop.call_soon_threadsafe(callback),
        "add_reader": lambda: loop.add_reader(near, lambda: (near.recv(1), callback())),
        "add_writer": lambda: loop.add_writer(near, lambda: (loop.remove_writer(near), callback())),
        "done": lambda: future.add_done_callback(lambda _: callback()),
    }[way]()
    future.set_result(None)
    name.set("changed later")
    await until(ready)
    loop.remove_reader(near)
    near.close()
    far.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_callback_runs_in_the_context_it_was_made_in(run: Run, way: str) -> None:
    async def main() -> None:
        seen: list[str] = []
        name.set("at scheduling")
        await scheduled(way, lambda: seen.append(name.get()), lambda: bool(seen))
        assert seen == ["at scheduling"]

    run(main)


@pytest.mark.parametrize("way", ["call_soon", "call_later", "call_soon_threadsafe", "done"])
def test_what_a_callback_sets_does_not_leak_into_the_loop(run: Run, way: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []

        def leak() -> None:
            name.set("leaked")
            seen.append("ran")

        await scheduled(way, leak, lambda: bool(seen))
        fresh = loop.create_future()
        loop.call_soon(lambda: fresh.set_result(name.get()), context=contextvars.Context())
        assert await fresh == "none"
        assert name.get() == "changed later"

    run(main)


def test_call_soon_and_done_callbacks_take_a_context(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        loop.call_soon(lambda: seen.append(name.get()), context=having("soon"))
        future = loop.create_future()
        future.add_done_callback(lambda _: seen.append(name.get()), context=having("done"))
        future.set_result(None)
        loop.call_soon(lambda: seen.append(name.get()), context=None)
        await asyncio.sleep(0)
        return seen

    assert run(main) == ["soon", "done", "none"]


def test_callbacks_that_share_a_context_see_what_the_earlier_ones_set(run: Run) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        done = loop.create_future()
        loop.call_soon(name.set, "by the first", context=context)
        loop.call_soon(lambda: done.set_result(name.get()), context=context)
        return await done

    assert run(main) == "by the first"


def test_a_task_has_its_own_copy_of_the_context(run: Run) -> None:
    async def main() -> tuple[str, str, str]:
        async def child() -> str:
            before = name.get()
            name.set("child")
            await asyncio.sleep(0)
            assert name.get() == "child"
            return before

        name.set("parent")
        task = asyncio.get_running_loop().create_task(child())
        name.set("parent, later")
        inherited = await task
        given = await asyncio.get_running_loop().create_task(child(), context=having("given"))
        return inherited, given, name.get()

    assert run(main) == ("parent", "given", "parent, later")


def errors_of(reports: list[Report], caplog: pytest.LogCaptureFixture) -> list[str]:
    """What went wrong: told to the exception handler, or logged when that could not run."""
    told = [str(report["exception"]) for report in reports]
    logged = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    return told + logged


def test_entering_an_entered_context_is_an_error(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """The callback is not run, and the loop goes on.

    From Python 3.12 on the exception handler would run in that same context, so it fails as well
    and the default one logs both.
    """
    got: list[Report] = []
    ran: list[str] = []
    loop.set_exception_handler(lambda _, report: got.append(report))
    context = contextvars.copy_context()
    loop.call_soon(ran.append, "inside", context=context)
    loop.call_soon(ran.append, "outside", context=contextvars.Context())
    loop.call_soon(loop.stop, context=contextvars.Context())
    context.run(loop.run_forever)
    assert ran == ["outside"]
    [error] = errors_of(got, caplog)
    assert "cannot enter context" in error


def test_a_task_in_an_entered_context_is_an_error(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []
    got: list[Report] = []
    loop.set_exception_handler(lambda _, report: got.append(report))
    context = contextvars.copy_context()

    async def body() -> None:
        ran.append("body")

    coroutine = body()
    task = loop.create_task(coroutine, context=context)
    loop.call_later(0.01, loop.stop, context=contextvars.Context())
    context.run(loop.run_forever)
    coroutine.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    assert ran == []
    assert not task.done()
    [error] = errors_of(got, caplog)
    assert "cannot enter context" in error


def test_the_current_task_is_the_one_that_runs(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[object] = []
        loop.call_soon(lambda: seen.append(asyncio.current_task()))

        async def child() -> None:
            for _ in range(3):
                seen.append(asyncio.current_task() is task)
                await asyncio.sleep(0)

        task = loop.create_task(child())
        await task
        assert seen == [None, True, True, True]
        assert asyncio.current_task() is not task
        assert asyncio.current_task() in asyncio.all_tasks()

    run(main)


def test_all_tasks_holds_those_of_this_loop_that_are_not_done(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        me = asyncio.current_task()
        assert asyncio.all_tasks() == {me}
        waiting = [loop.create_task(asyncio.sleep(3600)) for _ in range(5)]
        assert asyncio.all_tasks() == {me, *waiting}
        await asyncio.sleep(0)
        assert asyncio.all_tasks(loop) == {me, *waiting}
        waiting[0].cancel()
        await asyncio.wait([waiting[0]])
        assert asyncio.all_tasks() == {me, *waiting[1:]}
        other = run.factory()
        assert asyncio.all_tasks(other) == set()
        other.close()

    run(main)


def test_a_task_class_of_the_user_runs_on_the_loop(run: Run) -> None:
    class OwnTask(asyncio.Task):  # type: ignore[type-arg]
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def answer() -> int:
            await asyncio.sleep(0.001)
            assert isinstance(asyncio.current_task(), OwnTask)
            return 42

        loop.set_task_factory(lambda loop, coro, **kw: OwnTask(coro, loop=loop, **kw))
        task = loop.create_task(answer(), name="own")
        assert type(task) is OwnTask
        assert task.get_name() == "own"
        assert await task == 42
        loop.set_task_factory(None)
        assert loop.get_task_factory() is None
        assert await asyncio.Task(asyncio.sleep(0, 7), loop=loop) == 7

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_eager_tasks_start_at_once(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)
        ran: list[str] = []

        async def child(pause: bool) -> None:
            ran.append(f"start {pause}")
            assert asyncio.current_task() is not me
            if pause:
                await asyncio.sleep(0)
            ran.append(f"end {pause}")

        me = asyncio.current_task()
        quick = loop.create_task(child(False))
        assert quick.done()
        slow = loop.create_task(child(True))
        assert asyncio.current_task() is me
        assert slow in asyncio.all_tasks()
        ran.append("main")
        await slow
        return ran

    assert run(main) == ["start False", "end False", "start True", "main", "end True"]


def test_cancel_and_uncancel(run: Run) -> None:
    words: list[tuple[str, ...]] = []

    async def main() -> None:
        async def stubborn() -> str:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError as error:
                words.append(error.args)
                task = asyncio.current_task()
                assert task is not None
                assert task.cancelling() == 1
                assert task.uncancel() == 0
            await asyncio.sleep(0)
            return "survived"

        task = asyncio.get_running_loop().create_task(stubborn())
        await asyncio.sleep(0)
        assert task.cancel("why")
        assert await task == "survived"
        assert words == [("why",)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(3600)

    run(main)
