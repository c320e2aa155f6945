"""What is tested beside the loop: futures and tasks in the C slots, and the accelerated names.

Role: `--slots` and `--accelerated`.  CPython's tests of futures and tasks exist in two forms, for
the classes written in Python and for those written in C; the latter take their classes from
`asyncio.tasks._CTask` and `asyncio.futures._CFuture`.  A native `Future` and `Task` put there are
tested by every one of these tests, most of them on the suite's own `TestLoop`.

`--accelerated` runs whole files: with the classes in the slots, the native names in the places
where asyncio keeps its own, and the subject's loop.  Counted are the tests of slot classes and
those that make a loop.

Invariants: the classes are put there before the tests are imported; a class of tests is a slot
class by its name; `--slots` changes neither `asyncio.Task` nor `asyncio.Future`.
"""

from __future__ import annotations

import importlib
import re
from asyncio import futures, tasks
from typing import Any

GENERIC, SLOTS, ACCELERATED, ALL = "generic", "slots", "accelerated", "all"
MODES = {
    SLOTS: "test Future and Task in the place of the C ones",
    ACCELERATED: "test every native class and function in the place of asyncio's own",
}
_SLOT_FILES = ("test_futures", "test_futures2", "test_tasks", "test_eager_task_factory")
_ACCELERATED_FILES = (
    *_SLOT_FILES,
    "test_locks",
    "test_queues",
    "test_taskgroups",
    "test_timeouts",
    "test_waitfor",
)
# Tests of where asyncio keeps its tasks say nothing about the classes.
_SLOT_CLASS = re.compile(r"(?!CIntrospection)(C[A-Z]|.*CTask|.*CFuture)")
NATIVE = {"batuta": "batuta._batuta"}
ACCELERATION = {"batuta": "batuta.acceleration"}


def concerns(mode: str, file: str) -> bool:
    """Whether this mode runs tests of this file."""
    files = {SLOTS: _SLOT_FILES, ACCELERATED: _ACCELERATED_FILES}.get(mode)
    return files is None or file in files


def is_slot_class(test_class: type[Any]) -> bool:
    """Whether the tests of this class take `Task` or `Future` from the C slots."""
    return _SLOT_CLASS.match(test_class.__name__) is not None


def install(subject: str, mode: str) -> None:
    """Put the subject's classes and functions in place; stock's are there already."""
    if mode != GENERIC and subject in NATIVE:
        native: Any = importlib.import_module(NATIVE[subject])
        tasks._CTask = native.Task  # type: ignore[attr-defined]
        futures._CFuture = native.Future  # type: ignore[attr-defined]
    if mode == ACCELERATED and subject in ACCELERATION:
        importlib.import_module(ACCELERATION[subject]).hold()
