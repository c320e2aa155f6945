"""The C slots: CPython's tests of its own C `Future` and `Task`, with Batuta's in their place.

Role: `--slots`.  CPython's tests of futures and tasks exist in two forms, for the classes written
in Python and for those written in C; the latter take their classes from `asyncio.tasks._CTask`
and `asyncio.futures._CFuture`.  A native `Future` and `Task` put there are tested by every one of
these tests, most of them on the suite's own `TestLoop`.

Invariants: the classes are put there before the tests are imported; a class of tests is a slot
class by its name; what `asyncio.Task` and `asyncio.Future` are is not changed.
"""

from __future__ import annotations

import importlib
import re
from asyncio import futures, tasks
from typing import Any

FILES = ("test_futures", "test_futures2", "test_tasks", "test_eager_task_factory")
# Tests of where asyncio keeps its tasks say nothing about the classes.
_SLOT_CLASS = re.compile(r"(?!CIntrospection)(C[A-Z]|.*CTask|.*CFuture)")
NATIVE = {"batuta": "batuta._batuta"}


def is_slot_class(test_class: type[Any]) -> bool:
    """Whether the tests of this class take `Task` or `Future` from the C slots."""
    return _SLOT_CLASS.match(test_class.__name__) is not None


def install(subject: str) -> None:
    """Put the subject's classes into the slots; stock's are there already."""
    if subject in NATIVE:
        native: Any = importlib.import_module(NATIVE[subject])
        tasks._CTask = native.Task  # type: ignore[attr-defined]
        futures._CFuture = native.Future  # type: ignore[attr-defined]
