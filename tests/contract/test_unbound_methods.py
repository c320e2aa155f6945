"""Methods and properties of `asyncio.Future` and `asyncio.Task` called as functions:
`map(asyncio.Task.cancel, tasks)`. On both loops the same, whatever kind of future it is; and nobody
can see that they are led elsewhere for native ones.
"""

from __future__ import annotations

import _asyncio
import asyncio
import contextlib
import copy
import inspect
import pickle
import re
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import batuta
import pytest

from loops import Run

FUTURE: Any = _asyncio.Future
TASK: Any = _asyncio.Task
METHODS = (types.MethodDescriptorType, types.WrapperDescriptorType)
# What each method is called with beside the instance.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "add_done_callback": (print,),
    "remove_done_callback": (print,),
    "set_exception": (ValueError("set"),),
    "set_name": ("chosen",),
    "set_result": ("set",),
}


def names(base: Any, *kinds: type) -> list[str]:
    """The names of a class that lead to descriptors of these kinds."""
    hidden = {"__new__", "_asyncio_awaited_by"}
    return [n for n, value in vars(base).items() if isinstance(value, kinds) and n not in hidden]


async def sleeper() -> None:
    await asyncio.sleep(3600)


def answer(call: Callable[[], Any], known: dict[int, str]) -> str:
    """What a call gives or raises, as a text that is the same on both loops."""
    try:
        found = call()
    except (Exception, asyncio.CancelledError) as exc:
        return f"{type(exc).__name__}: {exc}"
    if id(found) in known:
        return known[id(found)]
    if inspect.isgenerator(found) or type(found).__name__ == "FutureIter":
        return "an iterator"
    if isinstance(found, list) and found and isinstance(found[0], tuple):
        return f"callbacks {[callback for callback, _context in found]}"
    return re.sub(r"0x[0-9a-f]+|\S*_batuta\.|\S*_asyncio\.", "", repr(found))


def state(future: Any) -> tuple[Any, ...]:
    """What can be seen of it by its own attributes."""
    callbacks = [callback for callback, _context in future._callbacks or []]
    seen = [future._state, callbacks, future._log_traceback, future._cancel_message]
    if hasattr(future, "get_name"):
        seen += [future.get_name(), future.cancelling(), future._must_cancel]
    return tuple(seen)


def futures(loop: asyncio.AbstractEventLoop) -> list[Any]:
    """Pending, with a result, with an exception, and cancelled; and of a subclass."""
    made: list[Any] = [loop.create_future() for _ in range(4)]
    made[1].set_result("result")
    made[2].set_exception(ValueError("exception"))
    made[3].cancel("message")

    class Own(type(made[0])):  # type: ignore[misc]
        def cancel(self, msg: object = None) -> bool:
            raise AssertionError("a function of the base has called an overridden method")

    made.append(Own(loop=loop))
    return made


def recorded(run: Run, what: Callable[[asyncio.AbstractEventLoop, list[Any]], Any]) -> list[Any]:
    """What `what` notes on the loop under test, which is then the same on a stock loop."""

    def on(runner: Run) -> list[Any]:
        seen: list[Any] = []

        async def main() -> None:
            loop = asyncio.get_running_loop()
            found = what(loop, seen)
            if inspect.isawaitable(found):
                await found
            await asyncio.sleep(0)

        runner(main, reports=[])
        return seen

    seen = on(run)
    assert seen == on(Run(asyncio.new_event_loop))
    return seen


def test_methods_of_future_on_futures(run: Run) -> None:
    def each(loop: asyncio.AbstractEventLoop, seen: list[Any]) -> None:
        for name in names(FUTURE, *METHODS):
            for future in futures(loop):
                known = {id(loop): "the loop", id(future): "itself"}
                arguments = ARGUMENTS.get(name, ())
                function = vars(FUTURE)[name]
                got = answer(lambda f=function, s=future, a=arguments: f(s, *a), known)
                seen.append((name, got, state(future)))
                future._log_traceback = False

    seen = recorded(run, each)
    assert ("result", "'result'") in {entry[:2] for entry in seen}
    assert ("get_loop", "the loop") in {entry[:2] for entry in seen}


def test_properties_of_future_on_futures(run: Run) -> None:
    def each(loop: asyncio.AbstractEventLoop, seen: list[Any]) -> None:
        for name in names(FUTURE, types.GetSetDescriptorType):
            for future in futures(loop):
                own = vars(FUTURE)[name]
                known = {id(loop): "the loop"}
                seen.append((name, answer(lambda o=own, f=future: o.__get__(f), known)))
                seen.append((name, answer(lambda o=own, f=future: o.__set__(f, False), known)))
                seen.append((name, state(future)))
                future._log_traceback = False

    seen = recorded(run, each)
    assert ("_state", "'FINISHED'") in seen


@pytest.mark.parametrize("base", [TASK, FUTURE], ids=["Task", "Future"])
def test_everything_of_both_on_tasks(run: Run, base: Any) -> None:
    async def each(loop: asyncio.AbstractEventLoop, seen: list[Any]) -> None:
        for name in names(base, *METHODS, types.GetSetDescriptorType):
            coroutine = sleeper()
            task: Any = loop.create_task(coroutine, name="name")
            await asyncio.sleep(0)
            known = {id(loop): "the loop", id(task): "itself", id(coroutine): "the coroutine"}
            function = vars(base)[name]
            if not isinstance(function, METHODS):
                function = function.__get__
            elif name == "__init__":
                task._log_destroy_pending = False
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
                other = sleeper()
                arguments = {"loop": loop} if base is FUTURE else {"coro": other, "loop": loop}
                # (From 3.15 on none is initialised twice.)
                got = answer(lambda f=function, t=task, a=arguments: f(t, **a), {})
                seen.append((name, got, state(task)[0], task.get_coro() is other))
                other.close()
                task._log_destroy_pending = False
                continue
            got = answer(lambda f=function, t=task, n=name: f(t, *ARGUMENTS.get(n, ())), known)
            if name in ("get_stack", "get_context", "_fut_waiter", "print_stack"):
                got = got[:8]
            seen.append((name, got, state(task)))
            if not task.done():
                TASK.cancel(task, "enough")
                seen.append((task.cancelling(), task._must_cancel))
            task._log_destroy_pending = False
            await asyncio.sleep(0)
            coroutine.close()

    seen = recorded(run, each)
    assert ("cancel", "True") in {entry[:2] for entry in seen}


def test_the_future_of_a_gather(run: Run) -> None:
    def each(loop: asyncio.AbstractEventLoop, seen: list[Any]) -> None:
        child = loop.create_future()
        native = isinstance(loop, batuta.EventLoop)
        outer: Any = (batuta.gather if native else asyncio.gather)(child)
        assert (type(outer).__module__ == "batuta._batuta") == native
        seen.append((FUTURE.done(outer), FUTURE.__repr__(outer)[:24], FUTURE._state.__get__(outer)))
        # As a future's: the child is not cancelled.
        seen.append((FUTURE.cancel(outer), outer.cancelled(), child.cancelled()))

    recorded(run, each)


def test_a_method_that_calls_its_base_by_name(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: Any = loop.create_future()

        class Own(type(made)):  # type: ignore[misc]
            def __init__(self) -> None:
                FUTURE.__init__(self, loop=loop)

            def __repr__(self) -> str:
                return "own " + FUTURE.__repr__(self)

            def set_result(self, result: Any) -> None:
                FUTURE.set_result(self, result + 1)

        own = Own()
        own.set_result(1)
        assert await own == 2
        assert repr(own) == "own <Own finished result=2>"

    run(main)


def test_tasks_are_cancelled_by_map(run: Run) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(sleeper()) for _ in range(3)]
        await asyncio.sleep(0)
        assert list(map(asyncio.Task.cancel, tasks)) == [True] * 3
        await asyncio.wait(tasks)
        assert all(map(asyncio.Task.cancelled, tasks))
        assert all(map(asyncio.Future.done, tasks))

    run(main)


@pytest.mark.parametrize("base", [FUTURE, TASK], ids=["Future", "Task"])
def test_the_descriptors_are_what_they_were(base: Any) -> None:
    program = """
import _asyncio, inspect, sys
def look():
    seen = []
    for base in (_asyncio.Future, _asyncio.Task):
        for name, value in vars(base).items():
            try:
                signature = str(inspect.signature(value))
            except (TypeError, ValueError):
                signature = None
            seen.append((id(value), name, repr(value), value.__doc__, signature))
    return seen
before = look()
import batuta
assert look() == before
assert type(_asyncio.Future.result).__name__ == "method_descriptor"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    for name in names(base, *METHODS):
        value = vars(base)[name]
        assert value.__objclass__ is base
        if sys.version_info >= (3, 12) or not name.startswith("__"):
            assert copy.copy(value) is value
            assert pickle.loads(pickle.dumps(value)) == getattr(base, name)
    with pytest.raises(TypeError, match=r"requires|apply"):
        vars(base)["cancel"](object())
