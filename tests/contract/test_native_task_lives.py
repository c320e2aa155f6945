"""`batuta.Future` and `batuta.Task`, on both loops: life and death, and what is said of it."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import resource
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from batuta import _batuta

from contract.combining import Witness, answer, forever
from loops import Report, Run

Future: Any = _batuta.Future
Task: Any = _batuta.Task
AnyFuture = Callable[[], "asyncio.Future[Any]"]


@pytest.fixture(params=["future", "task"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def make(kind: str) -> Any:
    """A pending one, whose death nobody shall hear of."""
    if kind == "future":
        return Future()
    task = Task(forever())
    task._log_destroy_pending = False
    return task


async def ended(future: asyncio.Future[Any]) -> None:
    future.cancel()
    await asyncio.wait([future])


def test_it_is_tracked_and_its_weak_references_die(run: Run, kind: str) -> None:
    async def main() -> None:
        future = make(kind)
        assert gc.is_tracked(future)
        reference = weakref.ref(future)
        await ended(future)
        del future
        await asyncio.sleep(0)
        gc.collect()
        assert reference() is None

    run(main)


def cycle_through_attribute(future: Any, witness: Witness) -> None:
    future.itself = future
    future.witness = witness


def cycle_through_callback(future: Any, witness: Witness) -> None:
    future.add_done_callback(lambda _: (future, witness))


def cycle_through_context(future: Any, witness: Witness) -> None:
    variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, (future, witness))
    future.add_done_callback(print, context=context)


def cycle_through_result(future: Any, witness: Witness) -> None:
    future.set_result((future, witness))


def cycle_through_exception(future: Any, witness: Witness) -> None:
    future.set_exception(RuntimeError(future, witness))
    future.exception()


@pytest.mark.parametrize(
    "tie",
    [
        cycle_through_attribute,
        cycle_through_callback,
        cycle_through_context,
        cycle_through_result,
        cycle_through_exception,
    ],
)
@pytest.mark.parametrize("subclass", [False, True])
def test_cycles_of_futures_are_collected(
    run: Run, tie: Callable[[Any, Witness], None], subclass: bool
) -> None:
    async def main() -> None:
        class Own(Future):  # type: ignore[misc]
            pass

        witness = Witness()
        reference = weakref.ref(witness)
        future = Own() if subclass else Future()
        tie(future, witness)
        del future, witness
        assert reference() is not None
        gc.collect()
        assert reference() is None

    run(main)


def test_a_cycle_through_the_coroutine_is_collected(run: Run) -> None:
    async def main() -> None:
        async def holds(box: list[object], waiter: Awaitable[None]) -> None:
            await waiter

        witness = Witness()
        reference = weakref.ref(witness)
        box: list[object] = [witness]
        waiter = Future()
        task = Task(holds(box, waiter))
        task._log_destroy_pending = False
        box.append(task)
        await asyncio.sleep(0)
        assert task._fut_waiter is waiter
        del box, witness, task, waiter
        gc.collect()
        assert reference() is None

    run(main)


def test_a_subclass_dies_with_its_instances(run: Run, kind: str) -> None:
    async def main() -> weakref.ref[type]:
        base = Future if kind == "future" else Task

        class Own(base):  # type: ignore[misc, valid-type]
            pass

        made = Own() if kind == "future" else Own(answer())
        made.attribute = Own
        if kind == "task":
            assert await made == 42
        return weakref.ref(Own)

    reference = run(main)
    gc.collect()
    assert reference() is None


def test_many_leave_the_memory_where_it_was(run: Run) -> None:
    async def round_of(count: int) -> None:
        for _ in range(count):
            future = Future()
            future.add_done_callback(id)
            future.set_result(None)
            await future
            task = Task(answer())
            task.mark = future
            await task

    async def main() -> None:
        await round_of(2_000)
        gc.collect()
        objects, peak = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        blocks = sys.getallocatedblocks()
        await round_of(20_000)
        gc.collect()
        assert len(gc.get_objects()) - objects < 100
        assert sys.getallocatedblocks() - blocks < 2_000
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
        assert grown < 4_096, f"{grown} KiB more"

    run(main)


# Reports


def test_a_pending_task_that_dies_is_reported(run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        task = Task(forever(), name="lost")
        await asyncio.sleep(0)
        del task
        gc.collect()
        messages = [report["message"] for report in reports]
        assert messages == ["Task was destroyed but it is pending!"]
        assert reports[0]["task"].get_name() == "lost"
        reports.clear()

    run(main, reports=reports)


def test_an_exception_that_nobody_asks_for_is_reported(run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        error = ValueError("unseen")
        Future().set_exception(error)
        gc.collect()
        messages = [report["message"] for report in reports]
        assert messages == ["Future exception was never retrieved"]
        assert reports[0]["exception"] is error

    run(main, reports=reports)


def test_a_finalizer_may_bring_it_back_to_life(run: Run) -> None:
    saved: list[Any] = []

    async def main() -> None:
        class Own(Future):  # type: ignore[misc]
            def __del__(self) -> None:
                saved.append(self)

        Own()
        assert saved[0].done() is False
        saved[0].set_result(1)
        assert saved.pop().result() == 1

    run(main)
