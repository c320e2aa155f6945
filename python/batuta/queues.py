"""`asyncio.Queue` and its kin, native: see "Queues" in asyncio's documentation."""

import asyncio
from typing import TYPE_CHECKING, TypeVar

from batuta import _batuta

if TYPE_CHECKING:
    from _typeshed import SupportsRichComparison

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]

_T = TypeVar("_T")
_Ordered = TypeVar("_Ordered", bound="SupportsRichComparison")


class Queue(_batuta.NativeQueue[_T], asyncio.Queue[_T]):
    """First in, first out. See `asyncio.Queue`."""


class LifoQueue(Queue[_T], asyncio.LifoQueue[_T]):
    """Last in, first out. See `asyncio.LifoQueue`."""

    _batuta_order = 1


class PriorityQueue(Queue[_Ordered], asyncio.PriorityQueue[_Ordered]):
    """The least first. See `asyncio.PriorityQueue`."""

    _batuta_order = 2
