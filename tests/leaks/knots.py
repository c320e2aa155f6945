"""How a knot is tied and looked at: something that holds itself and a witness of its death."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from leaks.ways import Way

Loop = asyncio.AbstractEventLoop
Knot = Callable[[Loop, Any], Awaitable[None]]


class Witness:
    """Something whose death can be seen, and that can hold what it is tied to."""

    tied: Any


def holding(*values: object) -> contextvars.Context:
    """A context that holds the values."""
    variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, values)
    return context


def collect_twice() -> None:
    """What finalizers have let go of dies in the second round."""
    gc.collect()
    gc.collect()


def check(way: Way, knot: Knot, *, debug: bool = False) -> None:
    """Tie the knot, see the witness live, collect, see it gone."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        witness = Witness()
        reference = weakref.ref(witness)
        await knot(loop, witness)
        del witness
        # What the loop had for the last turns, it has let go of now.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert reference() is not None, "there was no cycle"
        collect_twice()
        assert reference() is None

    way.run(main, debug=debug)
