"""Each callback runs in a copy of the context that it was scheduled in, which is its own.

Batuta makes most of the copies late, and one for many: nothing of that may show.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import socket
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from loops import Run

NAME: contextvars.ContextVar[Any] = contextvars.ContextVar("name", default="nobody")
OTHER: contextvars.ContextVar[Any] = contextvars.ContextVar("other", default=0)


class Value:
    """Can be referred to weakly."""


def soon(loop: Any, callback: Callable[..., object], *args: object) -> Any:
    return loop.call_soon(callback, *args)


def later(loop: Any, callback: Callable[..., object], *args: object) -> Any:
    return loop.call_later(0, callback, *args)


def threadsafe(loop: Any, callback: Callable[..., object], *args: object) -> Any:
    return loop.call_soon_threadsafe(callback, *args)


each_way = pytest.mark.parametrize("schedule", [soon, later, threadsafe])


async def settled() -> None:
    """Everything that was scheduled has run."""
    for _ in range(3):
        await asyncio.sleep(0.001)


@each_way
def test_what_one_sets_the_others_do_not_see(run: Run, schedule: Any) -> None:
    seen: list[object] = []

    def see_and_set(number: int) -> None:
        seen.append(NAME.get())
        if number % 3 == 1:
            NAME.set(number)

    async def main() -> None:
        NAME.set("main")
        for number in range(20):
            schedule(asyncio.get_running_loop(), see_and_set, number)
        NAME.set("changed since")
        await settled()
        assert NAME.get() == "changed since"

    run(main)
    assert seen == ["main"] * 20


@each_way
def test_what_is_scheduled_in_a_callback_has_what_it_has_set(run: Run, schedule: Any) -> None:
    seen: list[object] = []

    def step(number: int) -> None:
        loop = asyncio.get_running_loop()
        seen.append(NAME.get())
        if number < 6:
            if number % 2:
                NAME.set(number)
            schedule(loop, step, number + 1)
            NAME.set("too late")

    async def main() -> None:
        NAME.set("main")
        step(0)
        for _ in range(4):
            await settled()

    run(main)
    assert seen == ["main", "main", 1, 1, 3, 3, 5]


@each_way
def test_a_token_is_of_one_callback_only(run: Run, schedule: Any) -> None:
    tokens: list[contextvars.Token[Any]] = []
    refused: list[str] = []

    def take() -> None:
        tokens.append(NAME.set("taken"))

    def give_back() -> None:
        try:
            NAME.reset(tokens[0])
        except ValueError as error:
            refused.append(str(error))

    def to_and_fro() -> None:
        tokens.append(OTHER.set(1))
        OTHER.reset(tokens.pop())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for callback in (to_and_fro, take, give_back, to_and_fro, give_back):
            schedule(loop, callback)
        await settled()

    run(main)
    assert len(refused) == 2
    assert all("different Context" in text for text in refused)


def test_a_token_of_a_context_that_is_as_it_was_is_still_of_that_one(run: Run) -> None:
    tokens: list[contextvars.Token[Any]] = []
    refused: list[object] = []

    def take() -> None:
        first = NAME.set(1)
        tokens.append(NAME.set(2))
        NAME.reset(first)

    def give_back() -> None:
        try:
            NAME.reset(tokens[0])
        except ValueError:
            refused.append(NAME.get())

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def within() -> None:
            for callback in (len, take, give_back, give_back, give_back):
                loop.call_soon(callback, *[()] * (callback is len))

        contextvars.Context().run(within)
        await settled()

    run(main)
    assert refused == ["nobody"] * 3


@each_way
def test_each_handle_has_a_context_of_its_own(run: Run, schedule: Any) -> None:
    ran: list[object] = []

    def note(name: str) -> None:
        ran.append(NAME.get())
        NAME.set(name)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        NAME.set("main")
        handles = [schedule(loop, note, f"callback {number}") for number in range(5)]
        before = handles[1]._context
        assert before is handles[1]._context
        assert before is not handles[2]._context
        assert isinstance(before, contextvars.Context)
        assert before[NAME] == "main"
        before.run(NAME.set, "from outside")
        await settled()
        contexts = [handle._context for handle in handles]
        assert contexts[1] is before
        assert len({id(context) for context in contexts}) == 5
        assert [context[NAME] for context in contexts] == [f"callback {n}" for n in range(5)]

    run(main)
    assert ran == ["main", "from outside", "main", "main", "main"]


@each_way
def test_who_asks_in_the_callback_gets_where_it_runs(run: Run, schedule: Any) -> None:
    handles: list[Any] = []
    contexts: list[contextvars.Context] = []

    def ask() -> None:
        context = handles[len(contexts)]._context
        NAME.set(len(contexts))
        assert context[NAME] == len(contexts)
        contexts.append(context)

    async def main() -> None:
        for _ in range(4):
            handles.append(schedule(asyncio.get_running_loop(), ask))
        await settled()
        assert [context[NAME] for context in contexts] == [0, 1, 2, 3]
        assert [handle._context for handle in handles] == contexts

    run(main)


@each_way
def test_the_exception_handler_sees_what_the_callback_has_set(run: Run, schedule: Any) -> None:
    seen: list[object] = []

    def fail(name: str) -> None:
        NAME.set(name)
        raise OSError(name)

    def handler(_: asyncio.AbstractEventLoop, report: dict[str, Any]) -> None:
        seen.append(report["handle"]._context[NAME])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(handler)
        for number in range(3):
            schedule(loop, fail, f"failure {number}")
            schedule(loop, len, ())
        await settled()

    run(main)
    assert seen == ["failure 0", "failure 1", "failure 2"]


def test_a_handle_that_another_one_runs_has_its_own(run: Run) -> None:
    seen: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def inner() -> None:
            seen.append(NAME.get())
            NAME.set("inner")

        def outer() -> None:
            NAME.set("outer")
            handles[1]._run()
            seen.append(NAME.get())

        NAME.set("main")
        handles: list[Any] = [loop.call_soon(outer), loop.call_soon(inner), loop.call_soon(inner)]
        await settled()

    run(main)
    # The one that was run by hand runs again in the same context.
    assert seen == ["main", "outer", "inner", "main"]


def test_a_watcher_keeps_its_context_from_call_to_call(run: Run) -> None:
    counts: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        near.setblocking(False)

        def readable() -> None:
            near.recv(1)
            OTHER.set(OTHER.get() + 1)
            counts.append(OTHER.get())

        loop.add_reader(near, readable)
        for _ in range(3):
            loop.call_soon(len, ())
        for _ in range(3):
            far.send(b"x")
            await settled()
        loop.remove_reader(near)
        near.close()
        far.close()
        assert OTHER.get() == 0

    run(main)
    assert counts == [1, 2, 3]


def test_threads_have_their_own(run: Run) -> None:
    seen: dict[int, list[object]] = {number: [] for number in range(4)}

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def note(number: int) -> None:
            seen[number].append(NAME.get())
            NAME.set("noted")

        def call(number: int) -> None:
            for _ in range(100):
                loop.call_soon_threadsafe(note, number)
            NAME.set(number)
            for _ in range(100):
                loop.call_soon_threadsafe(note, number)

        contexts = [contextvars.Context() for _ in seen]
        threads = [
            threading.Thread(target=context.run, args=(call, number))
            for number, context in enumerate(contexts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        await settled()

    run(main)
    assert seen == {number: ["nobody"] * 100 + [number] * 100 for number in seen}


def test_a_handle_that_is_run_by_hand_may_be_run_again(loop_factory: Any) -> None:
    """Also when the caller's variable is the only reference to it."""
    ran: list[object] = []

    def note() -> None:
        ran.append(NAME.get())
        NAME.set(len(ran))

    loop = loop_factory()
    handle = loop.call_soon(note)
    others = [loop.call_soon(note) for _ in range(3)]
    loop.close()
    handle._run()
    context = handle._context
    assert context[NAME] == 1
    handle._run()
    assert handle._context is context
    assert ran == ["nobody", 1]
    assert others[0]._context.get(NAME) is None


def test_weak_references_tell_contexts_apart(run: Run) -> None:
    handles: list[Any] = []
    seen: list[bool] = []
    references: list[weakref.ref[contextvars.Context]] = []

    def look() -> None:
        context = handles.pop(0)._context
        seen.extend(reference() is None for reference in references)
        references.append(weakref.ref(context))

    async def main() -> None:
        handles.extend(asyncio.get_running_loop().call_soon(look) for _ in range(4))
        await settled()

    run(main)
    assert seen == [True] * 6


def test_what_the_collector_runs_may_ask_for_contexts(run: Run) -> None:
    """Up to Python 3.11 it may run while a context is copied, for the next callback here."""
    asked: list[tuple[int, contextvars.Context]] = []
    handles: list[Any] = []
    kept: list[object] = []

    def ask(phase: str, _: object) -> None:
        if phase == "start" and gc.isenabled():
            gc.disable()
            number = len(asked) + 1
            asked.append((number, handles[number]._context))

    def run_one(number: int) -> None:
        NAME.set(number)
        if number < 5:
            gc.enable()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        thresholds = gc.get_threshold()
        gc.disable()
        gc.set_threshold(1, 1000, 1000)
        # More than the interpreter keeps for the next ones, so that memory is asked for.
        kept.extend(contextvars.copy_context() for _ in range(600))
        handles.extend(loop.call_soon(run_one, number) for number in range(6))
        gc.callbacks.append(ask)
        try:
            await asyncio.sleep(0)
        finally:
            gc.callbacks.remove(ask)
            gc.set_threshold(*thresholds)
            gc.enable()

    run(main)
    assert len(asked) == 5
    for number, context in asked:
        assert handles[number]._context is context
        assert context[NAME] == number


# How long values live


def within_context_of_a_value(do: Callable[[], None]) -> weakref.ref[Value]:
    value = Value()

    def within() -> None:
        NAME.set(value)
        do()

    contextvars.copy_context().run(within)
    return weakref.ref(value)


def cancelled(loop: Any) -> None:
    loop.call_soon(len, ()).cancel()


def timer_cancelled(loop: Any) -> None:
    loop.call_later(3600, len, ()).cancel()


def timer_cancelled_among_others(loop: Any) -> None:
    timers = [loop.call_later(3600, len, ()) for _ in range(3)]
    for timer in timers:
        timer.cancel()


def some_cancelled(loop: Any) -> None:
    handles = [loop.call_soon(len, ()) for _ in range(5)]
    for handle in handles[2:]:
        handle.cancel()


def asked(loop: Any) -> None:
    handles = [loop.call_soon(len, ()) for _ in range(5)]
    _ = [handle._context for handle in handles[::2]]


def failing(loop: Any) -> None:
    def fail() -> None:
        raise OSError

    for _ in range(3):
        loop.call_soon(fail)


def one(loop: Any) -> None:
    loop.call_soon(len, ())


def several(loop: Any) -> None:
    for _ in range(5):
        loop.call_soon(len, ())
        loop.call_later(0, len, ())
        loop.call_soon_threadsafe(len, ())


def replaced(loop: Any) -> None:
    handles = [loop.call_soon(len, ()) for _ in range(3)]
    for handle in handles:
        handle._context = contextvars.Context()


@pytest.mark.parametrize(
    "schedule",
    [
        cancelled,
        timer_cancelled,
        timer_cancelled_among_others,
        some_cancelled,
        asked,
        failing,
        one,
        several,
        replaced,
    ],
)
def test_a_value_goes_with_the_last_callback_that_could_see_it(run: Run, schedule: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        reference = within_context_of_a_value(lambda: schedule(loop))
        if schedule in (some_cancelled, asked, failing, one, several):
            assert reference() is not None
        if schedule is replaced:
            assert reference() is None
        # Timers that were cancelled may wait for their time on stock.
        loop._scheduled.clear()
        await settled()
        gc.collect()
        assert reference() is None

    run(main)


def test_values_of_what_a_closed_loop_still_had_go_with_it(loop_factory: Any) -> None:
    loop = loop_factory()

    def schedule() -> None:
        for _ in range(3):
            loop.call_soon(len, ())
            loop.call_later(3600, len, ())

    reference = within_context_of_a_value(schedule)
    gc.collect()
    assert reference() is not None
    loop.close()
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("seed", range(20))
def test_programs_of_chance(run: Run, seed: int) -> None:
    """Each callback sees what there was when it was scheduled, whatever the others do."""
    chance = random.Random(seed)
    ran = 0

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        kept: list[Any] = []

        def callback(name: object, other: object, depth: int) -> None:
            nonlocal ran
            ran += 1
            assert (NAME.get(), OTHER.get()) == (name, other)
            for _ in range(chance.randrange(4)):
                act(depth)

        def act(depth: int) -> None:
            kind = chance.randrange(10)
            if kind == 0:
                NAME.set(chance.randrange(3))
            elif kind == 1:
                OTHER.reset(OTHER.set(chance.randrange(3)))
            elif kind == 2 and kept:
                chance.choice(kept).cancel()
            elif kind == 3 and kept:
                context = chance.choice(kept)._context
                assert context.copy() == context
            elif kind == 4:
                contextvars.copy_context().run(act, depth)
            elif depth < 6:
                schedule = chance.choice([soon, later, threadsafe])
                handle = schedule(loop, callback, NAME.get(), OTHER.get(), depth + 1)
                if chance.randrange(3) == 0:
                    kept.append(handle)

        for _ in range(200):
            act(0)
        for _ in range(10):
            await settled()

    run(main)
    assert ran > 150
