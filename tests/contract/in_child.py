"""What every program that the tests run in a child process starts with.

LOOP_UNDER_TEST names the loop as "module:factory".
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import warnings
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
LOOP = os.environ["LOOP_UNDER_TEST"]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop of the kind under test."""
    module, _, name = LOOP.partition(":")
    loop: asyncio.AbstractEventLoop = getattr(importlib.import_module(module), name)()
    return loop


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """asyncio.run on the loop under test."""
    with asyncio.Runner(loop_factory=new_event_loop, debug=debug) as runner:
        return runner.run(main)


async def _answer() -> int:
    await asyncio.sleep(0.001)
    return 42


def _work(_: int) -> int:
    return run(_answer())


def run_in_workers(method: str) -> list[int]:
    """What two worker processes, started by `method`, get from a loop of their own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork in a process with threads
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map(_work, range(2))
