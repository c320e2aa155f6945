"""`asyncio.Queue` and its kin, native: see "Queues" in asyncio's documentation."""

import asyncio
from typing import TypeVar

from batuta import _batuta

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]

_T = TypeVar("_T")


class Queue(_batuta.NativeQueue[_T], asyncio.Queue[_T]):
    """First in, first out. See `asyncio.Queue`."""


class LifoQueue(Queue[_T], asyncio.LifoQueue[_T]):
    """Last in, first out. See `asyncio.LifoQueue`."""

    _batuta_order = 1


class PriorityQueue(Queue[_T], asyncio.PriorityQueue[_T]):
    """The least first. See `asyncio.PriorityQueue`."""

    _batuta_order = 2
