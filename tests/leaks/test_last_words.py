"""What is said of tasks and futures that die unfinished or unseen: the log, word for word.

Each case runs on stock asyncio and on Batuta with the same code; what asyncio's logger and Python's
warnings say must be the same text (`last_words` says what may differ).
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from batuta import _batuta

from leaks.last_words import Case, Failure, Loop, last_words, masked, on_stock, steps
from leaks.ways import WAYS, Way
from loops import Child

native: Any = _batuta


class Reprless:
    def __repr__(self) -> str:
        raise Failure("no repr")


async def forever(future: Awaitable[Any] | None = None) -> None:
    await (future or asyncio.get_running_loop().create_future())


async def fails(message: object = "it failed") -> None:
    raise Failure(message)


async def fails_later() -> None:
    await asyncio.sleep(0)
    await fails()


# Pending


async def pending_task(loop: Loop) -> None:
    task = loop.create_task(forever())
    await steps()
    del task


async def pending_task_with_a_name(loop: Loop) -> None:
    task = loop.create_task(forever(), name="the name")
    await steps()
    del task


async def pending_tasks_that_wait_for_each_other(loop: Loop) -> None:
    inner = loop.create_task(forever())
    outer = loop.create_task(forever(inner))
    await steps()
    del inner
    await steps()
    gc.collect()
    del outer


async def pending_task_that_shields(loop: Loop) -> None:
    task = loop.create_task(forever(asyncio.shield(loop.create_future())))
    await steps()
    del task


async def pending_task_that_gathers(loop: Loop) -> None:
    task = loop.create_task(forever(asyncio.gather(loop.create_future(), loop.create_future())))
    await steps()
    del task


async def pending_task_with_callbacks(loop: Loop) -> None:
    task = loop.create_task(forever())
    task.add_done_callback(print)
    await steps()
    del task


async def task_with_cancellation_requested(loop: Loop) -> None:
    async def deaf() -> None:
        while True:
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                pass

    task = loop.create_task(deaf())
    await steps()
    task.cancel("message")
    await steps()
    del task


async def task_that_nobody_shall_hear_of(loop: Loop) -> None:
    task: Any = loop.create_task(forever())
    task._log_destroy_pending = False
    await steps()
    del task


async def pending_future(loop: Loop) -> None:
    """Of which nothing is said."""
    loop.create_future()


# Unseen


async def unseen_exception_of_a_task(loop: Loop) -> None:
    loop.create_task(fails())
    await steps()


async def unseen_exception_of_a_nested_call(loop: Loop) -> None:
    loop.create_task(fails_later(), name="the name")
    await steps()


async def unseen_exception_with_a_cause(loop: Loop) -> None:
    async def chained() -> None:
        try:
            await fails("first")
        except Failure as error:
            raise LookupError("second") from error

    loop.create_task(chained())
    await steps()


async def unseen_group(loop: Loop) -> None:
    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails("one"))
            tasks.create_task(fails("two"))

    loop.create_task(group())
    await steps(8)


async def unseen_exception_of_a_future(loop: Loop) -> None:
    loop.create_future().set_exception(Failure("unseen"))


async def unseen_exception_class_of_a_future(loop: Loop) -> None:
    loop.create_future().set_exception(Failure)


async def unseen_exception_with_a_traceback(loop: Loop) -> None:
    try:
        await fails()
    except Failure as error:
        loop.create_future().set_exception(error)


async def unseen_exception_that_was_reset(loop: Loop) -> None:
    future: Any = loop.create_future()
    future.set_exception(Failure())
    future._log_traceback = False


async def exception_that_was_seen(loop: Loop) -> None:
    task = loop.create_task(fails())
    await asyncio.wait([task])
    assert task.exception()
    future = loop.create_future()
    future.set_exception(Failure())
    future.cancel()


async def unseen_exception_of_a_gather(loop: Loop) -> None:
    asyncio.gather(fails("one"), fails("two"))
    await steps()


async def unseen_exceptions_of_the_children_of_a_gather(loop: Loop) -> None:
    """Its second child's is taken as seen."""
    try:
        await asyncio.gather(fails("one"), fails("two"))
    except Failure:
        pass
    await steps()


async def unseen_exception_behind_a_shield(loop: Loop) -> None:
    async def shields() -> None:
        await asyncio.shield(fails_later())

    task = loop.create_task(shields())
    await asyncio.sleep(0)
    task.cancel()
    await steps()
    del task


async def unseen_exception_after_a_wait(loop: Loop) -> None:
    task = loop.create_task(fails())
    await asyncio.wait([task])
    del task


async def unseen_exception_in_a_cycle(loop: Loop) -> None:
    box: list[object] = []

    async def fails_with(box: list[object]) -> None:
        raise Failure("in a cycle")

    box.append(loop.create_task(fails_with(box)))
    await steps()


async def unseen_exception_without_repr(loop: Loop) -> None:
    loop.create_task(fails(Reprless()))
    await steps()


async def failing_callback_of_a_future(loop: Loop) -> None:
    def raises(_: object) -> None:
        raise Failure("callback")

    future = loop.create_future()
    future.add_done_callback(raises)
    future.set_result("x" * 1000)
    del future
    await steps()


async def system_exit_of_a_task(loop: Loop) -> None:
    def handler(loop: Loop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(dict(context, message=f"handled: {context['message']}"))

    loop.set_exception_handler(handler)
    loop.create_task(fails())
    await steps()


async def handler_that_fails(loop: Loop) -> None:
    def handler(loop: Loop, context: dict[str, Any]) -> None:
        raise LookupError(sorted(context))

    loop.set_exception_handler(handler)
    loop.create_task(fails())
    await steps()
    task = loop.create_task(forever())
    await steps()
    del task


async def handler_that_keeps_what_it_is_told(loop: Loop) -> None:
    kept: list[Any] = []
    loop.set_exception_handler(lambda _, context: kept.append(context))
    loop.create_task(fails())
    task = loop.create_task(forever())
    await steps()
    del task
    gc.collect()
    logger = logging.getLogger("asyncio")
    for context in kept:
        logger.error("%s", {name: repr(value) for name, value in context.items()})
    for context in kept:
        if "task" in context:
            context["task"].cancel()
    await steps()
    kept.clear()


# Other last words


async def coroutine_of_a_task_that_never_began(loop: Loop) -> None:
    other = type(loop)()
    task = other.create_task(forever())
    other.close()
    del task


async def failing_callbacks(loop: Loop) -> None:
    def raises(*args: object) -> None:
        raise Failure(args)

    loop.call_soon(raises, 1)
    await steps()
    loop.call_later(0, raises, "later")
    await asyncio.sleep(0.001)
    loop.call_soon_threadsafe(raises)
    await steps()


async def bad_yield(loop: Loop) -> None:
    class Seven:
        def __await__(self) -> Any:
            yield 7

    async def wrong() -> None:
        await Seven()

    loop.create_task(wrong())
    await steps()


async def native_pending_task(loop: Loop) -> None:
    """Beside the loop's own: the class that stands behind Task on Batuta."""
    task_class: Any = asyncio.tasks.Task
    if isinstance(loop, native.NativeLoop):
        task_class = native.Task
    task = task_class(forever(), loop=loop, name="native")
    await steps()
    del task
    task = task_class(fails(), loop=loop, name="native")
    await steps()
    del task


CASES: list[Case] = [
    pending_task,
    pending_task_with_a_name,
    pending_tasks_that_wait_for_each_other,
    pending_task_that_shields,
    pending_task_that_gathers,
    pending_task_with_callbacks,
    task_with_cancellation_requested,
    task_that_nobody_shall_hear_of,
    pending_future,
    unseen_exception_of_a_task,
    unseen_exception_of_a_nested_call,
    unseen_exception_with_a_cause,
    unseen_group,
    unseen_exception_of_a_future,
    unseen_exception_class_of_a_future,
    unseen_exception_with_a_traceback,
    unseen_exception_that_was_reset,
    exception_that_was_seen,
    unseen_exception_of_a_gather,
    unseen_exceptions_of_the_children_of_a_gather,
    unseen_exception_behind_a_shield,
    unseen_exception_after_a_wait,
    unseen_exception_in_a_cycle,
    unseen_exception_without_repr,
    failing_callback_of_a_future,
    system_exit_of_a_task,
    handler_that_fails,
    handler_that_keeps_what_it_is_told,
    coroutine_of_a_task_that_never_began,
    failing_callbacks,
    bad_yield,
    native_pending_task,
]
SILENT = {
    task_that_nobody_shall_hear_of,
    pending_future,
    unseen_exception_that_was_reset,
    exception_that_was_seen,
    unseen_exceptions_of_the_children_of_a_gather,
}


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_last_words_are_those_of_stock(way: Way, case: Case, debug: bool) -> None:
    expected = on_stock(way, case, debug=debug)
    assert bool(expected) == (case not in SILENT), expected
    assert last_words(way, case, debug=debug) == expected


def test_the_mask_hides_no_words() -> None:
    other = Path(asyncio.__file__).parent / "events.py"
    text = (
        "Task-12 at 0x7f00 when=12.5\n"
        f'  File "{other}", line 84, in _run\n'
        "    self._context.run(self._callback, *self._args)\n"
        f'  File "{__file__}", line 3, in last_words\n'
        "    runner.run(main())\n"
        f'  File "{__file__}", line 4, in work\n'
        "    raise Failure\n"
        "Failure: text"
    )
    assert masked(text) == (
        f'Task-N at 0x when=T\n  File "{__file__}", line 4, in work\n'
        "    raise Failure\nFailure: text"
    )


PROGRAMS = {
    "pending at the end": """
        import asyncio
        async def forever(): await loop.create_future()
        loop = new_event_loop()
        task = loop.create_task(forever(), name="lost")
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    """,
    "unseen at the end": """
        import asyncio
        async def fails(): raise LookupError("unseen")
        loop = new_event_loop()
        task = loop.create_task(fails(), name="unseen")
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    """,
    "never began": """
        import asyncio
        async def work(): pass
        loop = new_event_loop()
        task = loop.create_task(work(), name="idle")
        loop.close()
    """,
    "a cycle at the end": """
        import asyncio
        async def fails(box): raise LookupError("unseen")
        loop = new_event_loop()
        box = []
        box.append(loop.create_task(fails(box), name="unseen"))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        del box
    """,
    "nobody awaits at the end": """
        import sys
        loop = new_event_loop()
        loop.close()
        # asyncio's own queue, or Batuta's.
        module = sys.modules[type(loop).__module__.partition(".")[0]]
        lost = module.Queue().get()
    """,
    "a failing run": """
        async def main(): raise LookupError("run")
        run(main())
    """,
}


@pytest.mark.parametrize("options", [(), ("-X", "dev")], ids=["", "dev"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_ends_with_the_words_of_stock(name: str, options: tuple[str, ...]) -> None:
    def end(way: Way) -> tuple[int, str]:
        done = Child(way.spec)(PROGRAMS[name], *options)
        return done.returncode, masked(done.stderr)

    stock = end(WAYS["stock"])
    assert stock[1]
    assert end(WAYS["batuta"]) == stock
