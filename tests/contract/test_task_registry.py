"""`all_tasks()` and `current_task()`, and what programs read behind them, on both loops."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from asyncio import tasks
from typing import Any

import pytest
from batuta import _batuta

from loops import Run

before_314 = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="from 3.14 on asyncio keeps no set of its own tasks"
)
SET = "_all_tasks" if sys.version_info < (3, 12) else "_scheduled_tasks"


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def end(*unfinished: asyncio.Task[Any]) -> None:
    for task in unfinished:
        task.cancel()
    await asyncio.gather(*unfinished, return_exceptions=True)


def test_all_tasks_are_those_that_have_not_ended(run: Run) -> None:
    async def main() -> None:
        waiting = [asyncio.create_task(forever()) for _ in range(3)]
        ended = asyncio.create_task(asyncio.sleep(0))
        await ended
        assert asyncio.all_tasks() == {*waiting, asyncio.current_task()}
        # Once more: looking has changed nothing.
        assert asyncio.all_tasks() == {*waiting, asyncio.current_task()}
        later = asyncio.create_task(forever())
        assert later in asyncio.all_tasks()
        await end(later, *waiting)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_all_tasks_from_another_thread(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = {asyncio.create_task(forever()) for _ in range(100)}
        seen: list[set[asyncio.Task[Any]]] = []
        thread = threading.Thread(target=lambda: seen.append(asyncio.all_tasks(loop)))
        thread.start()
        thread.join()
        assert seen == [waiting | {asyncio.current_task()}]
        await end(*waiting)

    run(main)


def test_a_task_that_dies_unseen_is_gone(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        gone = weakref.ref(task)
        del task
        gc.collect()
        assert gone() is None
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


@before_314
def test_the_set_behind_all_tasks_can_be_read(run: Run) -> None:
    async def main() -> None:
        known: Any = getattr(tasks, SET)
        task = asyncio.create_task(forever())
        assert task in known
        second = asyncio.create_task(forever())
        assert {task, second} <= {reference() for reference in known.data}
        third = asyncio.create_task(forever())
        assert {task, second, third} <= set(known.copy())
        before = len(known)
        fourth = asyncio.create_task(forever())
        assert len(known) == before + 1
        stranger: Any = type("Stranger", (), {})()
        known.add(stranger)
        assert stranger in known
        known.discard(stranger)
        assert stranger not in known
        await end(task, second, third, fourth)

    run(main)


@before_314
def test_dead_tasks_leave_the_set_behind_all_tasks(run: Run) -> None:
    async def main() -> None:
        known: Any = getattr(tasks, SET)
        gc.collect()
        before = len(known)
        waiting = [asyncio.create_task(asyncio.sleep(0)) for _ in range(10)]
        assert len(known) == before + 10
        while waiting:
            await waiting.pop()
        gc.collect()
        await asyncio.sleep(0)
        assert len(known) == before

    run(main)


def test_the_current_task(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[object] = []

        async def look() -> None:
            seen.append(asyncio.current_task())
            await asyncio.sleep(0)
            seen.append(asyncio.current_task(loop))

        task = asyncio.create_task(look())
        loop.call_soon(lambda: seen.append(asyncio.current_task()))
        await task
        assert seen == [task, None, task]

    run(main)


def test_a_task_cannot_step_inside_of_another_one(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reports: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reports.append(context))
        first, second = asyncio.create_task(forever()), asyncio.create_task(forever())
        me = asyncio.current_task()
        assert me is not None
        with pytest.raises(RuntimeError, match="while another task"):
            tasks._enter_task(loop, first)
        tasks._leave_task(loop, me)
        tasks._enter_task(loop, first)
        try:
            with pytest.raises(RuntimeError, match=r"does not match|Invalid attempt to leave"):
                tasks._leave_task(loop, second)
        finally:
            tasks._leave_task(loop, first)
            tasks._enter_task(loop, me)
        await end(first, second)
        assert not reports

    run(main)


@pytest.mark.parametrize("base", [asyncio.Task, _batuta.Task], ids=["stock class", "native class"])
def test_a_dead_task_with_a_finalizer_of_its_own_is_in_no_list(run: Run, base: Any) -> None:
    class Dying(base):  # type: ignore[misc]
        def __del__(self) -> None:
            pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            task = Dying(forever(), loop=loop)
            task._log_destroy_pending = False
            await asyncio.sleep(0)
            del task
            gc.collect()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main)


def test_a_task_kept_by_its_report_is_where_asyncio_has_it(run: Run) -> None:
    def listed(runner: Run) -> list[list[str]]:
        kept: list[asyncio.Task[Any]] = []
        seen: list[list[str]] = []

        def look() -> None:
            seen.append(sorted(task.get_name() for task in asyncio.all_tasks()))

        async def main() -> None:
            current = asyncio.current_task()
            assert current is not None
            current.set_name("main")
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _loop, context: kept.append(context["task"]))
            task = asyncio.create_task(forever(), name="lost")
            await asyncio.sleep(0)
            look()
            del task
            gc.collect()
            look()
            task = kept.pop()
            task.cancel()
            with pytest.raises(RuntimeError, match="already awaited"):
                await task
            look()
            del task
            gc.collect()
            look()
            assert not kept

        runner(main, reports=[])
        return seen

    seen = listed(run)
    assert seen == listed(Run(asyncio.new_event_loop))
    assert seen[0] == ["lost", "main"]
    assert seen[-1] == ["main"]
