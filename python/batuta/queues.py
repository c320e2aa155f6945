"""`asyncio.Queue` and its kin, native: see "Queues" in asyncio's documentation."""

import asyncio
import sys
from typing import TYPE_CHECKING, ClassVar, TypeVar

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
        "_finished",
        "_queue",
    )
    if sys.version_info >= (3, 13):
        _batuta_state += ("_is_shutdown",)

    # What `_finished` is made of.
    _batuta_event = Event


class LifoQueue(Queue[_T], asyncio.LifoQueue[_T]):
    """Last in, first out. See `asyncio.LifoQueue`."""

    _batuta_order = 1


class PriorityQueue(Queue[_Ordered], asyncio.PriorityQueue[_Ordered]):
    """The least first. See `asyncio.PriorityQueue`."""

    _batuta_order = 2
