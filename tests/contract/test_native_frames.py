"""Where a task waits that is made of a native coroutine: shown as asyncio's own, but for the line.

The line is the first of the function, which in asyncio's own is the one that waits.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import re
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from batuta.natives import NATIVE

from loops import Run

STOCK = {name: getattr(asyncio, name) for name in NATIVE}
Names = dict[str, Any]


async def locked(names: Names) -> Any:
    lock = names["Lock"]()
    await lock.acquire()
    return lock.acquire()


async def full(names: Names) -> Any:
    queue = names["Queue"](1)
    await queue.put(1)
    return queue.put(2)


async def exhausted(names: Names) -> Any:
    return names["Semaphore"](0).acquire()


async def condition(names: Names) -> Any:
    made = names["Condition"]()
    await made.acquire()
    return made.wait()


def ready(make: Callable[[Names], Any]) -> Callable[[Names], Coroutine[Any, Any, Any]]:
    async def call(names: Names) -> Any:
        return make(names)

    return call


WAITING: dict[str, Callable[[Names], Coroutine[Any, Any, Any]]] = {
    "sleep": ready(lambda names: names["sleep"](60)),
    "wait_for": ready(lambda names: names["wait_for"](names["sleep"](60), 30)),
    "wait": ready(lambda names: names["wait"]([asyncio.ensure_future(names["sleep"](0.01))])),
    "Event.wait": ready(lambda names: names["Event"]().wait()),
    "Queue.get": ready(lambda names: names["Queue"]().get()),
    "Queue.put": full,
    "Lock.acquire": locked,
    "Semaphore.acquire": exhausted,
    "Condition.wait": condition,
}


def without_lines(text: str) -> str:
    """Without addresses, lines and their source."""
    text = re.sub(r"0x[0-9a-f]+|line \d+|\.py:\d+", "N", text)
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


async def shown(names: Names, make: Callable[[Names], Coroutine[Any, Any, Any]]) -> list[Any]:
    """What can be seen of a task before it runs, while it waits, and after its end."""
    coroutine = await make(names)
    seen: list[Any] = [inspect.getcoroutinestate(coroutine)]
    task = asyncio.create_task(coroutine, name="task")
    seen.append(without_lines(repr(task)))
    for _ in range(2):
        await asyncio.sleep(0)
    seen += [inspect.getcoroutinestate(coroutine), without_lines(repr(task))]
    frame = coroutine.cr_frame
    seen += [inspect.isframe(frame), inspect.getframeinfo(frame).function, frame.f_back]
    seen += [coroutine.cr_code is frame.f_code, frame.f_globals["__name__"]]
    for write in (
        lambda text: task.print_stack(file=text),
        lambda text: traceback.print_stack(frame, file=text),
    ):
        text = io.StringIO()
        write(text)
        seen.append(without_lines(text.getvalue()))
    seen.append([stacked.f_code.co_qualname for stacked in task.get_stack()])
    if sys.version_info >= (3, 14):
        graph = asyncio.capture_call_graph(task)
        assert graph is not None
        # What it calls inside has no frame.
        seen.append(graph.call_stack[-1].frame.f_code.co_qualname)
        assert f"in async {coroutine.__qualname__}()" in asyncio.format_call_graph(task)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The end is shown with the line where the function begins: that is the same.
    seen += [inspect.getcoroutinestate(coroutine), repr(task), coroutine.cr_frame]
    return seen


@pytest.mark.parametrize("qualname", WAITING)
def test_where_a_task_waits(run: Run, qualname: str) -> None:
    make = WAITING[qualname]
    ours = run(lambda: shown(NATIVE, make))
    stock = run(lambda: shown(STOCK, make))
    assert ours == stock
    assert f"coro=<{qualname}() running at " in ours[1]
    assert f"coro=<{qualname}() done, defined at " in ours[-2]


def test_a_native_frame_cannot_be_cleared(run: Run) -> None:
    async def main() -> None:
        coroutine = NATIVE["sleep"](0)
        frame = coroutine.cr_frame
        assert repr(frame).startswith("<frame at 0x")
        assert frame.f_lineno == coroutine.cr_code.co_firstlineno
        assert "print" in frame.f_builtins
        with pytest.raises(RuntimeError, match="suspended"):
            frame.clear()
        await coroutine

    run(main)
