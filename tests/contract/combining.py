"""What waits for several things or for a time: the interpreter's own and the native ones."""

from __future__ import annotations

import asyncio
import gc
import inspect
import resource
import sys
import warnings
import weakref
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from batuta import _batuta
from batuta.taskgroups import TaskGroup

NAMES = ("gather", "sleep", "wait", "wait_for", "timeout", "timeout_at", "Timeout", "TaskGroup")


def api(kind: str) -> Any:
    """The names of asyncio, `kind` being "stock" or "native"."""
    if kind == "stock":
        return SimpleNamespace(**{name: getattr(asyncio, name) for name in NAMES})
    native: Any = _batuta
    names = {name: getattr(native, name) for name in NAMES if name != "TaskGroup"}
    return SimpleNamespace(**names, TaskGroup=TaskGroup)


def both() -> Callable[[Any], Any]:
    """Makes a test run with the interpreter's functions and with the native ones, as `aio`."""
    kinds = [pytest.param(api(kind), id=f"{kind}-names") for kind in ("stock", "native")]
    return pytest.mark.parametrize("aio", kinds)


async def answer(value: object = 42) -> object:
    return value


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


class Witness:
    """Something whose death can be seen."""


async def dies(make: Callable[[Witness], Awaitable[object]]) -> None:
    """What make(witness) waits with or leaves behind does not keep the witness, the collector
    having run."""
    witness = Witness()
    reference = weakref.ref(witness)
    await make(witness)
    del witness
    # A turn, so that the loop's own last callbacks let go.
    await asyncio.sleep(0)
    gc.collect()
    assert reference() is None


async def leaves_the_memory_as_it_was(
    round_of: Callable[[int], Awaitable[object]], *, warm: int = 2_000, many: int = 20_000
) -> None:
    """`round_of(n)` does something n times, which leaves neither objects nor memory."""
    await round_of(warm)
    gc.collect()
    objects, peak = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    blocks = sys.getallocatedblocks()
    await round_of(many)
    gc.collect()
    assert len(gc.get_objects()) - objects < 100
    assert sys.getallocatedblocks() - blocks < 2_000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < 4_096, f"{grown} KiB more"


def looks_like(native: Any, stock: Any) -> None:
    """A native function answers as the interpreter's does."""
    with warnings.catch_warnings():
        # 3.14 has deprecated it, and programs still ask it.
        warnings.simplefilter("ignore", DeprecationWarning)
        assert asyncio.iscoroutinefunction(native) == asyncio.iscoroutinefunction(stock)
    assert inspect.iscoroutinefunction(native) == inspect.iscoroutinefunction(stock)
    assert inspect.signature(native) == inspect.signature(stock)
    assert native.__name__ == stock.__name__
    assert native.__qualname__ == stock.__qualname__
