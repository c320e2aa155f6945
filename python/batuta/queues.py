"""`asyncio.Queue` and its kin, native: see "Queues" in asyncio's documentation."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from batuta import _batuta
from batuta.copying import Copied
from batuta.locks import Event

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]

_T = TypeVar("_T")
_Ordered = TypeVar("_Ordered", bound="SupportsRichComparison")


class Queue(_batuta.NativeQueue[_T], Copied, asyncio.Queue[_T]):
    """First in, first out. See `asyncio.Queue`."""

    _batuta_state: ClassVar[tuple[str, ...]] = (
        "_maxsize",
        "_getters",
        "_putters",
        "_unfinished_tasks",
        "_queue",
    )
    if sys.version_info >= (3, 13):
        _batuta_state += ("_is_shutdown",)

    def __getstate__(self) -> Any:
        """With a public event, which can be copied itself, in the place of the native one."""
        state = super().__getstate__()
        finished = Event()
        finished._value, finished._waiters = self._finished._value, self._finished._waiters
        (state[0] if isinstance(state, tuple) else state)["_finished"] = finished
        return state

    def __setstate__(self, state: Any) -> None:
        """The native event takes over what the public one knows."""
        attributes, slots = state if isinstance(state, tuple) else (state, None)
        attributes = dict(attributes)
        finished = attributes.pop("_finished", None)
        super().__setstate__((attributes, slots))
        if finished is not None:
            self._finished._value = finished._value
            self._finished._waiters = finished._waiters


class LifoQueue(Queue[_T], asyncio.LifoQueue[_T]):
    """Last in, first out. See `asyncio.LifoQueue`."""

    _batuta_order = 1


class PriorityQueue(Queue[_Ordered], asyncio.PriorityQueue[_Ordered]):
    """The least first. See `asyncio.PriorityQueue`."""

    _batuta_order = 2
