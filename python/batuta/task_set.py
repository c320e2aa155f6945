"""asyncio's own set of tasks, made to learn of native tasks when somebody looks at it.

Before Python 3.14 `asyncio.all_tasks()` reads a `WeakSet` that every task is put into when it is
made. Native tasks are listed where that costs nearly nothing, and go into the set when it is
read: by `all_tasks()`, or by whoever reads the set itself.

Ownership: the set stays asyncio's, and the very same object: the C code of asyncio holds it, too.
Thread: any, under the interpreter's lock.
"""

from __future__ import annotations

import sys
from asyncio import tasks
from typing import TYPE_CHECKING, Any, Final
from weakref import ReferenceType, WeakSet, ref

assert sys.version_info < (3, 14)

from batuta._batuta import take_unregistered_tasks  # noqa: E402

_NAMES: Final = ("_scheduled_tasks", "_all_tasks")


class TaskSet(WeakSet["tasks.Task[Any]"] if TYPE_CHECKING else WeakSet):  # type: ignore[misc]
    """A `WeakSet` of tasks; all its methods get at its content through `data`."""

    @property
    def data(self) -> set[ReferenceType[tasks.Task[Any]]]:
        """References to the tasks, native ones included."""
        seen: set[ReferenceType[tasks.Task[Any]]] = self.__dict__["data"]
        for task in take_unregistered_tasks():
            seen.add(ref(task, self.__dict__["_remove"]))
        return seen

    @data.setter
    def data(self, value: object) -> None:
        self.__dict__["data"] = value

    def add(self, item: tasks.Task[Any]) -> None:
        """Add a task, as asyncio does for each one that is not native."""
        self.__dict__["data"].add(ref(item, self.__dict__["_remove"]))

    def copy(self) -> WeakSet[tasks.Task[Any]]:
        """Return a plain `WeakSet` of the same tasks."""
        return WeakSet(self)


def _remover(of: Any) -> Any:
    """What a reference calls when its task has died; it has no need to see new ones."""
    weakly = ref(of)

    def remove(dead: ReferenceType[tasks.Task[Any]]) -> None:
        tasks_seen = weakly()
        if tasks_seen is not None:
            state = tasks_seen.__dict__
            if state["_iterating"]:
                state["_pending_removals"].append(dead)
            else:
                state["data"].discard(dead)

    return remove


def adopt() -> None:
    """Turn asyncio's set of tasks into a `TaskSet`. A second call does nothing."""
    for name in _NAMES:
        known: Any = getattr(tasks, name, None)
        if type(known) is WeakSet:
            remover = _remover(known)
            known.__class__ = TaskSet
            known.__dict__["_remove"] = remover
