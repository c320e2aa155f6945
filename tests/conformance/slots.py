"""What is tested beside the loop: futures and tasks in the C slots, and the accelerated names.

Role: `--slots` and `--accelerated`.  CPython's tests of futures and tasks exist in two forms, for
the classes written in Python and for those written in C; the latter take their classes from
`asyncio.tasks._CTask` and `asyncio.futures._CFuture`.  A native `Future` and `Task` put there are
tested by every one of these tests, most of them on the suite's own `TestLoop`.

`--accelerated` runs the whole suite: with the subject's loop, the native names in the places where
asyncio keeps its own, and in the four files that test them also the classes in the slots.  Counted
are the tests of slot classes and those that make a loop.

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
# Tests of where asyncio keeps its tasks say nothing about the classes.
_SLOT_CLASS = re.compile(r"(?!CIntrospection)(C[A-Z]|.*CTask|.*CFuture)")
NATIVE = {"batuta": "batuta._batuta"}
ACCELERATION = {"batuta": "batuta.acceleration"}


def concerns(mode: str, file: str) -> bool:
    """Whether this mode runs tests of this file."""
    return mode != SLOTS or file in _SLOT_FILES


def is_slot_test(test: str) -> bool:
    """Whether a test, named as `file.Class.test`, takes `Task` or `Future` from the C slots."""
    file, class_name = test.split(".")[:2]
    return file in _SLOT_FILES and _SLOT_CLASS.match(class_name) is not None


def counts(mode: str, test: str, loops: int) -> bool:
    """Whether this mode counts a test that has made so many loops on stock."""
    slot = mode != GENERIC and is_slot_test(test)
    return slot or (mode != SLOTS and loops > 0)


def install(subject: str, mode: str, file: str) -> None:
    """Put the subject's classes and functions in place; stock's are there already."""
    if mode != GENERIC and file in _SLOT_FILES and subject in NATIVE:
        native: Any = importlib.import_module(NATIVE[subject])
        tasks._CTask = native.Task  # type: ignore[attr-defined]
        futures._CFuture = native.Future  # type: ignore[attr-defined]
    if mode == ACCELERATED and subject in ACCELERATION:
        importlib.import_module(ACCELERATION[subject]).hold()
