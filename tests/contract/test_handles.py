"""Handle and TimerHandle as user code sees them: type, order, equality, repr, attributes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import weakref
from typing import Any

import pytest


def callback(*args: object) -> None:
    """A callback whose name shows in a repr."""


def test_the_types_are_those_of_asyncio(loop: asyncio.AbstractEventLoop) -> None:
    soon = loop.call_soon(callback)
    later = loop.call_later(1, callback)
    at = loop.call_at(1, callback)
    threadsafe = loop.call_soon_threadsafe(callback)
    assert isinstance(soon, asyncio.Handle)
    assert isinstance(threadsafe, asyncio.Handle)
    assert isinstance(later, asyncio.TimerHandle)
    assert isinstance(at, asyncio.TimerHandle)
    assert not isinstance(soon, asyncio.TimerHandle)


def test_when_is_the_time_on_the_clock_of_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    assert loop.call_at(1234.5, callback).when() == 1234.5
    before = loop.time()
    handle = loop.call_later(10, callback)
    assert before + 10 <= handle.when() <= loop.time() + 10


def test_cancelled_says_so(loop: asyncio.AbstractEventLoop) -> None:
    for handle in (loop.call_soon(callback), loop.call_later(1, callback)):
        assert handle.cancelled() is False
        handle.cancel()
        assert handle.cancelled() is True
        handle.cancel()
        assert handle.cancelled() is True


def test_timer_handles_compare_by_time(loop: asyncio.AbstractEventLoop) -> None:
    early = loop.call_at(100, callback)
    late = loop.call_at(200, callback)
    twin = loop.call_at(100, callback)
    other = loop.call_at(100, callback, "argument")
    assert early < late
    assert late > early
    assert early <= twin
    assert early >= twin
    assert not early < twin
    assert early == twin
    assert early != other
    assert early != late
    assert sorted([late, early]) == [early, late]
    assert hash(early) == hash(twin) == hash(100.0)


def test_timer_handles_do_not_compare_with_other_things(loop: asyncio.AbstractEventLoop) -> None:
    timer = loop.call_at(100, callback)
    assert timer != 100
    assert (timer == loop.call_soon(callback)) is False
    with pytest.raises(TypeError):
        timer < 100  # type: ignore[operator]  # noqa: B015


def test_cancelled_timers_are_not_equal_to_live_ones(loop: asyncio.AbstractEventLoop) -> None:
    live = loop.call_at(100, callback)
    cancelled = loop.call_at(100, callback)
    cancelled.cancel()
    assert live != cancelled


@pytest.mark.parametrize("debug", [False, True])
def test_the_repr_names_the_callback_and_where_it_is(
    loop: asyncio.AbstractEventLoop, debug: bool
) -> None:
    """As the interpreter's own handles do; whether arguments show depends on version and debug."""
    loop.set_debug(debug)

    def words(handle: asyncio.Handle) -> str:
        return re.sub(r" created at .*", "", repr(handle))

    own = asyncio.Handle(callback, (1, "x"), loop)
    assert words(loop.call_soon(callback, 1, "x")) == words(own)
    assert words(own).startswith("<Handle callback(")
    timer = asyncio.TimerHandle(123.5, callback, ("y",), loop)
    assert words(loop.call_at(123.5, callback, "y")) == words(timer)
    assert words(timer).startswith("<TimerHandle when=123.5 callback(")


def test_the_repr_of_a_cancelled_handle_says_so(loop: asyncio.AbstractEventLoop) -> None:
    soon, timer = loop.call_soon(callback), loop.call_at(5, callback)
    soon.cancel()
    timer.cancel()
    assert repr(soon) == "<Handle cancelled>"
    assert repr(timer) == "<TimerHandle cancelled when=5>"


def test_the_repr_in_debug_mode_says_where_the_handle_was_made(
    loop: asyncio.AbstractEventLoop,
) -> None:
    loop.set_debug(True)
    for handle in (loop.call_soon(callback), loop.call_later(1, callback)):
        assert re.search(r"created at \S*test_handles\.py:\d+>$", repr(handle)), repr(handle)
    cancelled = loop.call_soon(callback)
    cancelled.cancel()
    assert re.search(
        r"<Handle cancelled callback\(\).* created at \S*test_handles\.py:\d+>$", repr(cancelled)
    ), repr(cancelled)


def test_handles_can_be_referred_to_weakly(loop: asyncio.AbstractEventLoop) -> None:
    for handle in (loop.call_soon(callback), loop.call_later(1, callback)):
        assert weakref.ref(handle)() is handle


def test_private_names_that_libraries_read_are_there(loop: asyncio.AbstractEventLoop) -> None:
    handle = loop.call_soon(callback, 1)
    assert handle._callback is callback  # type: ignore[attr-defined]
    assert tuple(handle._args) == (1,)  # type: ignore[attr-defined]
    assert handle._cancelled is False  # type: ignore[attr-defined]
    assert handle._loop is loop  # type: ignore[attr-defined]
    timer = loop.call_at(77, callback)
    assert timer._when == 77  # type: ignore[attr-defined]
    assert timer._scheduled is True  # type: ignore[attr-defined]


def test_the_context_of_a_handle_can_be_read_where_python_has_that(
    loop: asyncio.AbstractEventLoop,
) -> None:
    if not hasattr(asyncio.Handle, "get_context"):
        pytest.skip("Handle.get_context is new in Python 3.12")
    context = contextvars.copy_context()
    assert loop.call_soon(callback, context=context).get_context() is context
    assert loop.call_later(1, callback, context=context).get_context() is context


def test_a_handle_made_by_hand_works_with_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Libraries build asyncio.Handle themselves and run it."""
    ran: list[int] = []
    handle = asyncio.Handle(ran.append, (1,), loop)
    loop.call_soon(handle._run)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == [1]


def test_parameters_may_be_named(loop: asyncio.AbstractEventLoop) -> None:
    called: list[object] = []
    context = contextvars.copy_context()
    some: Any = loop
    some.call_soon(callback=lambda: called.append("soon"))
    some.call_soon(context=context, callback=lambda: called.append("context"))
    some.call_soon_threadsafe(callback=lambda: called.append("threadsafe"))
    some.call_later(delay=0, callback=lambda: called.append("later"))
    some.call_later(0.01, callback=lambda: called.append("last"), context=context)
    some.call_at(when=0, callback=lambda: called.append("at"))
    loop.call_later(0.05, loop.stop)
    loop.run_forever()
    assert sorted(called) == sorted(["soon", "context", "threadsafe", "later", "at", "last"])
    assert called[-1] == "last"


def test_parameters_that_do_not_fit_are_named(loop: asyncio.AbstractEventLoop) -> None:
    some: Any = loop
    with pytest.raises(
        TypeError, match=r"call_soon\(\) got multiple values for argument 'callback'"
    ):
        some.call_soon(print, callback=print)
    with pytest.raises(TypeError, match=r"call_later\(\) missing 1 required .* 'callback'"):
        some.call_later(delay=1)
    with pytest.raises(TypeError, match=r"call_at\(\) missing 1 required .* 'when'"):
        some.call_at(callback=print)
    with pytest.raises(
        TypeError, match=r"call_soon\(\) got an unexpected keyword argument 'delay'"
    ):
        some.call_soon(print, delay=1)
    with pytest.raises(TypeError, match=r"add_reader\(\) got an unexpected keyword .* 'context'"):
        some.add_reader(0, print, context=None)


def test_debug_mode_keeps_the_arguments_of_a_cancelled_handle(
    loop: asyncio.AbstractEventLoop,
) -> None:
    loop.set_debug(True)
    for handle in (loop.call_soon(callback, 1, [2]), loop.call_later(1, callback, 1, [2])):
        handle.cancel()
        assert re.search(r"cancelled.* callback\(1, \[2\]\) at .*test_handles", repr(handle))
        assert handle._args is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("args", [[7, 8], (7, 8), range(7, 9)])
def test_arguments_that_a_program_has_put_there(loop: asyncio.AbstractEventLoop, args: Any) -> None:
    seen: list[tuple[Any, ...]] = []
    handle: Any = loop.call_soon(lambda *given: seen.append(given), 1)
    handle._args = args
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert seen == [(7, 8)]


def test_arguments_that_are_none_at_all(loop: asyncio.AbstractEventLoop) -> None:
    """An error. Up to 3.13 no report can be made of it, which needs the arguments as well."""
    errors: list[Exception] = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    handle: Any = loop.call_soon(callback, 1)
    handle._args = 5
    loop.call_soon(loop.stop)
    try:
        loop.run_forever()
    except TypeError as error:
        errors.append(error)
    assert [type(error) for error in errors] == [TypeError]


@pytest.mark.parametrize("name", ["_repr", "_source_traceback", "_args"])
def test_a_cycle_through_an_attribute_is_collected(
    loop: asyncio.AbstractEventLoop, name: str
) -> None:
    class Witness:
        pass

    handle: Any = loop.call_soon(callback)
    witness = Witness()
    gone = weakref.ref(witness)
    setattr(handle, name, (handle, witness))
    loop.call_soon(loop.stop)
    loop.run_forever()
    del handle, witness
    gc.collect()
    assert gone() is None
