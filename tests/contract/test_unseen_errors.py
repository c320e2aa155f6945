"""Exceptions that nobody saw, and the order in which a report looks for a context."""

from __future__ import annotations

import asyncio
import contextvars
import gc

import pytest

from contract.reporting import fail, spin
from contract.support import raw_pair, until
from loops import Report, Run


def test_a_task_that_failed_unseen_is_reported_with_the_task(
    loop: asyncio.AbstractEventLoop,
) -> None:
    got: list[Report] = []
    loop.set_exception_handler(lambda _, context: got.append(context))

    async def broken() -> None:
        raise LookupError("unseen")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(broken(), name="broken task")
        await asyncio.sleep(0)
        del task
        gc.collect()

    loop.run_until_complete(main())
    [context] = got
    assert context["message"] == "Task exception was never retrieved"
    assert isinstance(context["exception"], LookupError)
    assert context["future"].get_name() == "broken task"


def test_a_future_that_failed_unseen_is_reported(loop: asyncio.AbstractEventLoop) -> None:
    got: list[Report] = []
    loop.set_exception_handler(lambda _, context: got.append(context))
    future = loop.create_future()
    future.set_exception(LookupError("unseen"))
    del future
    gc.collect()
    [context] = got
    assert context["message"] == "Future exception was never retrieved"


def test_a_pending_task_that_is_destroyed_is_reported(loop: asyncio.AbstractEventLoop) -> None:
    got: list[Report] = []
    loop.set_exception_handler(lambda _, context: got.append(context))

    async def main() -> None:
        async def waits() -> None:
            await asyncio.Future()

        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0)
        del task  # only the future it waits for knows it, and only it knows the future
        gc.collect()

    loop.run_until_complete(main())
    assert [context["message"] for context in got] == ["Task was destroyed but it is pending!"]


def test_the_handler_runs_in_the_context_of_the_task_or_future_before_the_handle(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Order: task, future, handle: the first that has a context gives it."""
    if not hasattr(asyncio.Handle, "get_context"):
        pytest.skip("call_exception_handler looks at contexts from Python 3.12 on")
    name = contextvars.ContextVar("name", default="none")
    seen: list[str] = []
    loop.set_exception_handler(lambda *_: seen.append(name.get()))

    def having(text: str) -> contextvars.Context:
        context = contextvars.copy_context()
        context.run(name.set, text)
        return context

    async def nothing() -> None: ...

    task = loop.create_task(nothing(), context=having("task"))
    loop.run_until_complete(task)
    other = loop.create_task(nothing(), context=having("future"))
    loop.run_until_complete(other)
    handle = loop.call_soon(print, context=having("handle"))
    handle.cancel()
    spin(loop)
    everything = {"message": "m", "handle": handle, "future": other, "task": task}
    loop.call_exception_handler(everything)
    loop.call_exception_handler({"message": "m", "handle": handle, "future": other})
    loop.call_exception_handler({"message": "m", "handle": handle})
    assert seen == ["task", "future", "handle"]


def test_the_default_handler_logs_the_context_sorted_by_key(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.default_exception_handler({"message": "words", "zebra": 1, "ant": 2})
    assert caplog.messages == ["words\nant: 2\nzebra: 1"]


def test_a_failing_done_callback_is_reported_and_the_others_run(run: Run) -> None:
    reports: list[Report] = []
    ran: list[str] = []

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: fail())
        future.add_done_callback(lambda _: ran.append("second"))
        future.set_result(None)
        await asyncio.sleep(0)

    run(main, reports=reports)
    assert ran == ["second"]
    assert [type(context["exception"]) for context in reports] == [LookupError]


def test_a_failing_reader_is_reported_and_stays(run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")

        def readable() -> None:
            near.recv(1)
            raise LookupError("reader")

        loop.add_reader(near, readable)
        far.send(b"x")
        await until(lambda: len(reports) == 1)
        far.send(b"x")
        await until(lambda: len(reports) == 2)
        loop.remove_reader(near)
        near.close()
        far.close()

    run(main, reports=reports)
    assert {str(context["exception"]) for context in reports} == {"reader"}
    assert all("handle" in context for context in reports)
