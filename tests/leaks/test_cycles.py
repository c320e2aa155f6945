"""Cycles through what asyncio makes are collected, whatever they lead through.

Each way to tie a knot makes something, lets it hold itself and a witness, and lets go of it. The
witness must then live (else there was no cycle) until garbage is collected, and no longer.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from batuta import _batuta

from leaks.knots import Knot, Loop, Witness, check, holding
from leaks.ways import Way

native: Any = _batuta


class Failure(Exception):
    pass


def own_future(loop: Loop) -> Any:
    return loop.create_future()


def native_future(loop: Loop) -> Any:
    return native.Future(loop=loop)


def sub_future(loop: Loop) -> Any:
    class Own(native.Future):  # type: ignore[misc]
        pass

    return Own(loop=loop)


def own_task(loop: Loop, coro: Any, **keywords: Any) -> Any:
    return loop.create_task(coro, **keywords)


def native_task(loop: Loop, coro: Any, **keywords: Any) -> Any:
    return native.Task(coro, loop=loop, **keywords)


def sub_task(loop: Loop, coro: Any, **keywords: Any) -> Any:
    class Own(native.Task):  # type: ignore[misc]
        pass

    return Own(coro, loop=loop, **keywords)


FUTURES = [own_future, native_future, sub_future]
TASKS = [own_task, native_task, sub_task]

# Futures


async def attribute(future: Any, witness: Witness) -> None:
    future.itself, future.witness = future, witness


async def callback(future: Any, witness: Witness) -> None:
    future.add_done_callback(functools.partial(print, future, witness))


async def several_callbacks(future: Any, witness: Witness) -> None:
    future.add_done_callback(print)
    future.add_done_callback(functools.partial(print, future, witness))
    future.add_done_callback(print)


async def context_of_a_callback(future: Any, witness: Witness) -> None:
    future.add_done_callback(print, context=holding(future, witness))


async def result(future: Any, witness: Witness) -> None:
    future.set_result((future, witness))


async def exception(future: Any, witness: Witness) -> None:
    future.set_exception(Failure(future, witness))
    future.exception()


async def frame_of_an_exception(future: Any, witness: Witness) -> None:
    try:
        raise Failure
    except Failure as error:
        future.set_exception(error)
        future.exception()


async def retrieved_exception(future: Any, witness: Witness) -> None:
    future.set_exception(Failure())
    kept = []
    try:
        future.result()
    except Failure as error:
        kept.append(error)
    witness.tied = kept, future


async def cancel_message(future: Any, witness: Witness) -> None:
    future.cancel(msg=(future, witness))


async def cancelled_error(future: Any, witness: Witness) -> None:
    future.cancel()
    try:
        future.result()
    except asyncio.CancelledError as error:
        witness.tied = error, future


async def iterator(future: Any, witness: Witness) -> None:
    future.iterator, future.witness = future.__await__(), witness


async def suspended_iterator(future: Any, witness: Witness) -> None:
    await iterator(future, witness)
    assert next(future.iterator) is future


async def waiting_task(future: Any, witness: Witness) -> None:
    async def waits() -> None:
        await witness.tied

    witness.tied = future
    task = asyncio.create_task(waits())
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    assert task._fut_waiter is future  # type: ignore[attr-defined]


FUTURE_KNOTS = [
    attribute,
    callback,
    several_callbacks,
    context_of_a_callback,
    result,
    exception,
    frame_of_an_exception,
    retrieved_exception,
    cancel_message,
    cancelled_error,
    iterator,
    suspended_iterator,
    waiting_task,
]


@pytest.mark.parametrize("make", FUTURES)
@pytest.mark.parametrize("tie", FUTURE_KNOTS)
def test_cycles_of_futures(
    way: Way, tie: Callable[[Any, Witness], Awaitable[None]], make: Callable[[Loop], Any]
) -> None:
    async def knot(loop: Loop, witness: Witness) -> None:
        await tie(make(loop), witness)

    check(way, knot)


# Tasks


MakeTask = Callable[..., Any]


async def through_the_coroutine(loop: Loop, witness: Any, make: MakeTask) -> None:
    async def waits(witness: Witness) -> None:
        await loop.create_future()

    witness.tied = make(loop, waits(witness))
    await asyncio.sleep(0)
    witness.tied._log_destroy_pending = False


async def through_a_coroutine_that_has_not_begun(loop: Loop, witness: Any, make: MakeTask) -> None:
    """Only once the loop that has the first step in its queue is closed."""

    async def waits(witness: Witness) -> None:
        pass

    other = type(loop)()
    coro = waits(witness)
    witness.tied = make(other, coro)
    witness.tied._log_destroy_pending = False
    other.close()
    # Otherwise it says that it was never awaited.
    coro.close()
    witness.tied.witness = witness


async def through_the_context(loop: Loop, witness: Any, make: MakeTask) -> None:
    async def waits() -> None:
        await loop.create_future()

    task = make(loop, waits(), context=holding(witness))
    task._log_destroy_pending = False
    witness.tied = task
    await asyncio.sleep(0)


async def through_the_name(loop: Loop, witness: Any, make: MakeTask) -> None:
    class Name(str):
        tied: Any

        def __str__(self) -> str:
            return self

    name = Name("name")
    task = make(loop, asyncio.sleep(0), name=name)
    name.tied = task, witness
    await task


async def through_the_result(loop: Loop, witness: Any, make: MakeTask) -> None:
    async def answer() -> list[object]:
        return box

    box: list[object] = [witness]
    task = make(loop, answer())
    box.append(task)
    await task


async def through_the_exception(loop: Loop, witness: Any, make: MakeTask) -> None:
    async def fails(held: list[object]) -> None:
        raise Failure

    box: list[object] = [witness]
    task = make(loop, fails(box))
    box.append(task)
    await asyncio.wait([task])
    assert task.exception() is not None


async def through_the_cancelled_error(loop: Loop, witness: Any, make: MakeTask) -> None:
    async def waits(held: list[object]) -> None:
        await loop.create_future()

    box: list[object] = [witness]
    task = make(loop, waits(box))
    box.append(task)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def through_the_message_of_a_cancellation(loop: Loop, witness: Any, make: MakeTask) -> None:
    async def waits() -> None:
        await loop.create_future()

    task = make(loop, waits())
    await asyncio.sleep(0)
    task.cancel(msg=(task, witness))
    await asyncio.wait([task])


async def through_another_task(loop: Loop, witness: Any, make: MakeTask) -> None:
    """Two tasks, each of which waits for what the other holds."""

    async def waits(held: list[Any]) -> None:
        await held[0]

    first_box: list[Any] = []
    second_box: list[Any] = [loop.create_future(), witness]
    first = make(loop, waits(first_box))
    second = make(loop, waits(second_box))
    first_box.append(second)
    second_box.append(first)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first._log_destroy_pending = second._log_destroy_pending = False
    assert first._fut_waiter is second


async def through_a_done_callback(loop: Loop, witness: Any, make: MakeTask) -> None:
    async def waits() -> None:
        await loop.create_future()

    task = make(loop, waits())
    task._log_destroy_pending = False
    task.add_done_callback(functools.partial(print, task, witness))
    await asyncio.sleep(0)


async def through_the_wakeup_function(loop: Loop, witness: Any, make: MakeTask) -> None:
    """The future that a task waits for is of a class of the program's own."""

    class Own(asyncio.Future):  # type: ignore[type-arg]
        pass

    async def waits(future: Any) -> None:
        await future

    future = Own(loop=loop)
    future.witness = witness  # type: ignore[attr-defined]
    task = make(loop, waits(future))
    future.task = task  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    task._log_destroy_pending = False
    assert task._fut_waiter is future


TASK_KNOTS = [
    through_the_coroutine,
    through_a_coroutine_that_has_not_begun,
    through_the_context,
    through_the_name,
    through_the_result,
    through_the_exception,
    through_the_cancelled_error,
    through_the_message_of_a_cancellation,
    through_another_task,
    through_a_done_callback,
    through_the_wakeup_function,
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("make", TASKS)
@pytest.mark.parametrize("tie", TASK_KNOTS)
def test_cycles_of_tasks(way: Way, tie: Any, make: MakeTask, debug: bool) -> None:
    async def knot(loop: Loop, witness: Witness) -> None:
        await tie(loop, witness, make)

    check(way, knot, debug=debug)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager start is new in Python 3.12")
@pytest.mark.parametrize("make", [native_task, sub_task])
@pytest.mark.parametrize("tie", [through_the_coroutine, through_the_result, through_the_exception])
def test_cycles_of_eager_tasks(way: Way, tie: Any, make: MakeTask) -> None:
    async def knot(loop: Loop, witness: Witness) -> None:
        await tie(loop, witness, functools.partial(make, eager_start=True))

    check(way, knot)


# Handles


async def handle_that_ran(loop: Loop, witness: Any) -> None:
    witness.tied = loop.call_soon(len, (witness,))
    await asyncio.sleep(0)


async def handle_with_many_arguments(loop: Loop, witness: Any) -> None:
    witness.tied = loop.call_soon(max, (witness,), (), ())
    await asyncio.sleep(0)


async def callback_of_a_handle(loop: Loop, witness: Any) -> None:
    witness.tied = loop.call_soon(functools.partial(len, (witness,)))
    await asyncio.sleep(0)


async def context_of_a_handle(loop: Loop, witness: Any) -> None:
    witness.tied = loop.call_soon(len, (), context=holding(witness))
    await asyncio.sleep(0)


async def context_of_a_cancelled_handle(loop: Loop, witness: Any) -> None:
    witness.tied = loop.call_soon(len, (), context=holding(witness))
    witness.tied.cancel()
    await asyncio.sleep(0)


async def timer_that_fired(loop: Loop, witness: Any) -> None:
    witness.tied = loop.call_later(0, len, (witness,))
    await asyncio.sleep(0.001)


async def timer_of_odd_time(loop: Loop, witness: Any) -> None:
    class Time(float):
        tied: Any

    when = Time(loop.time())
    timer = loop.call_at(when, len, ())
    when.tied = timer, witness
    await asyncio.sleep(0.001)


async def context_of_a_cancelled_timer(loop: Loop, witness: Any) -> None:
    witness.tied = loop.call_later(3600, len, (), context=holding(witness))
    witness.tied.cancel()
    # Stock keeps cancelled timers until there are more of them.
    for _ in range(300):
        loop.call_later(3600, len, ()).cancel()
    await asyncio.sleep(0.001)


async def threadsafe_handle(loop: Loop, witness: Any) -> None:
    def caller() -> None:
        witness.tied = loop.call_soon_threadsafe(len, (witness,))

    thread = threading.Thread(target=caller)
    thread.start()
    thread.join()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


HANDLE_KNOTS = [
    handle_that_ran,
    handle_with_many_arguments,
    callback_of_a_handle,
    context_of_a_handle,
    context_of_a_cancelled_handle,
    timer_that_fired,
    timer_of_odd_time,
    context_of_a_cancelled_timer,
    threadsafe_handle,
]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("knot", HANDLE_KNOTS)
def test_cycles_of_handles(way: Way, knot: Knot, debug: bool) -> None:
    check(way, knot, debug=debug)
