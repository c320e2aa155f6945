"""Cycles through handles that waited in a running loop, alone or in a crowd, are collected.

Batuta's loop hides what waits in it from the collector while it runs. Whatever leaves it, or is
in it when a run ends, must be collected like everything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from leaks.knots import Knot, Loop, Witness, check, collect_twice
from leaks.ways import Way

CROWD = 3000  # more than from which on a loop hides what handles hold, too

HELD: contextvars.ContextVar[object] = contextvars.ContextVar("held")


def holding_in_its_context(witness: Any, make: Callable[[], Any]) -> None:
    """Tie the witness to a handle whose own copy of the context holds both."""

    def made() -> None:
        HELD.set(witness)
        witness.tied = make()

    contextvars.copy_context().run(made)


@contextlib.contextmanager
def crowd(loop: Loop) -> Iterator[None]:
    """Many wait while the body runs: in the queue and among the timers, from now on."""
    for _ in range(CROWD):
        loop.call_soon(len, ())
    timers = [loop.call_later(3600, len, ()) for _ in range(CROWD)]
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


async def handle(loop: Loop, witness: Any) -> None:
    with crowd(loop):
        holding_in_its_context(witness, lambda: loop.call_soon(len, ()))
        await asyncio.sleep(0)


async def cancelled_handle(loop: Loop, witness: Any) -> None:
    with crowd(loop):
        holding_in_its_context(witness, lambda: loop.call_soon(len, ()))
        witness.tied.cancel()
        await asyncio.sleep(0)


async def timer(loop: Loop, witness: Any) -> None:
    with crowd(loop):
        holding_in_its_context(witness, lambda: loop.call_later(0, len, ()))
        await asyncio.sleep(0.001)


async def cancelled_timer(loop: Loop, witness: Any) -> None:
    with crowd(loop):
        holding_in_its_context(witness, lambda: loop.call_later(3600, len, ()))
        witness.tied.cancel()


async def threadsafe_handle(loop: Loop, witness: Any) -> None:
    def caller() -> None:
        holding_in_its_context(witness, lambda: loop.call_soon_threadsafe(len, ()))

    with crowd(loop):
        thread = threading.Thread(target=caller)
        thread.start()
        thread.join()
        await asyncio.sleep(0)


async def handle_that_gives_its_context_away(loop: Loop, witness: Any) -> None:
    with crowd(loop):
        handle = loop.call_soon(len, ())
        await asyncio.sleep(0)
        context = handle.get_context()  # type: ignore[attr-defined,unused-ignore]
        context.run(HELD.set, (witness, context))
        witness.tied = context


async def context_that_a_callback_fills(loop: Loop, witness: Any) -> None:
    with crowd(loop):
        witness.tied = loop.call_soon(HELD.set, witness)
        await asyncio.sleep(0)


async def handle_that_fails(loop: Loop, witness: Any) -> None:
    """The exception handler is who keeps the handle."""

    def fail() -> None:
        HELD.set(witness)
        raise OSError

    def keep(_: Loop, context: dict[str, Any]) -> None:
        witness.tied = context["handle"]

    former = loop.get_exception_handler()
    loop.set_exception_handler(keep)
    loop.call_soon(fail)
    await asyncio.sleep(0)
    loop.set_exception_handler(former)


async def handle_that_is_run_by_hand(loop: Loop, witness: Any) -> None:
    with crowd(loop):
        holding_in_its_context(witness, lambda: loop.call_later(3600, len, ()))
        witness.tied._run()
        witness.tied.cancel()


KNOTS = [
    handle,
    cancelled_handle,
    timer,
    cancelled_timer,
    threadsafe_handle,
    context_that_a_callback_fills,
    handle_that_fails,
    handle_that_is_run_by_hand,
]
if hasattr(asyncio.Handle, "get_context"):
    KNOTS.append(handle_that_gives_its_context_away)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("knot", KNOTS)
def test_cycles_of_what_waited_in_a_crowd(loop_way: Way, knot: Knot, debug: bool) -> None:
    check(loop_way, knot, debug=debug)


@pytest.mark.parametrize("others", [0, CROWD])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("kind", ["handle", "timer", "threadsafe handle"])
def test_a_loop_whose_run_ended_before_what_it_made_is_collected(
    loop_way: Way, kind: str, kept: bool, others: int
) -> None:
    """Nothing closes the loop; `kept`: somebody in the cycle holds the handle as well."""

    def abandoned() -> weakref.ref[Witness]:
        loop = loop_way.new_loop()
        make = {
            "handle": loop.call_soon,
            "timer": lambda *call: loop.call_later(3600, *call),
            "threadsafe handle": loop.call_soon_threadsafe,
        }[kind]
        witness: Any = Witness()

        def end() -> None:
            loop.stop()
            for _ in range(others):
                make(len, ())
            holding_in_its_context(witness, lambda: make(len, (witness, loop)))
            if not kept:
                witness.tied = loop

        loop.call_soon(end)
        loop.run_forever()
        return weakref.ref(witness)

    reference = abandoned()
    assert reference() is not None
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        collect_twice()
    assert reference() is None


def test_what_short_runs_add_to_many_timers_is_collected(loop_way: Way) -> None:
    """A run that makes one timer while thousands wait, and ends."""

    def abandoned() -> list[weakref.ref[Witness]]:
        loop = loop_way.new_loop()
        references = []

        async def add(count: int) -> None:
            for _ in range(count):
                loop.call_later(3600, len, ())
            witness: Any = Witness()
            holding_in_its_context(witness, lambda: loop.call_later(3600, print, witness))
            references.append(weakref.ref(witness))

        for count in (CROWD, 0, 1, 0, CROWD, 0):
            loop.run_until_complete(add(count))
        return references

    references = abandoned()
    assert all(reference() is not None for reference in references)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        collect_twice()
    assert [reference() for reference in references] == [None] * 6


def test_what_waits_in_a_crowd_outlives_collections(loop_way: Way) -> None:
    """Nothing but the loop holds the callbacks, their arguments and contexts."""
    count = 3 * CROWD
    seen: list[tuple[int, object]] = []

    class Held:
        def __init__(self, number: int) -> None:
            self.number = number
            self.itself = self  # only the collector would end it

        def note(self, done: asyncio.Future[None]) -> None:
            seen.append((self.number, HELD.get()))
            if len(seen) == 2 * count:
                done.set_result(None)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        for number in range(count):
            HELD.set((number,))
            loop.call_soon(Held(number).note, done)
            loop.call_later(0.001, Held(-number).note, done)
            if number % CROWD == CROWD - 1:
                gc.collect()
        HELD.set(None)
        gc.collect()
        await asyncio.sleep(0)
        gc.collect()
        await done

    loop_way.run(main)
    assert sorted(seen) == sorted(
        [(number, (number,)) for number in range(count)]
        + [(-number, (number,)) for number in range(count)]
    )


def test_what_is_cancelled_in_a_crowd_and_forgotten_ends_there(loop_way: Way) -> None:
    """It leaves the queue without having run, and nobody else has it."""
    references: list[weakref.ref[Witness]] = []

    def cancelled(loop: Loop) -> None:
        witness = Witness()
        HELD.set(witness)
        references.append(weakref.ref(witness))
        loop.call_soon(len, ()).cancel()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CROWD):
            loop.call_soon(len, ())
        for _ in range(100):
            contextvars.copy_context().run(cancelled, loop)
        assert all(reference() is not None for reference in references)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(reference() is None for reference in references)

    loop_way.run(main)
