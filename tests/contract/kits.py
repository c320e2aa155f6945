"""The classes that tests compare: asyncio's own, and Batuta's in their place."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import batuta.locks
import batuta.queues
import batuta.streaming
import pytest

LOCKS = ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore")
QUEUES = ("LifoQueue", "PriorityQueue", "Queue")
STREAMS = (
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "open_connection",
    "open_unix_connection",
    "start_server",
    "start_unix_server",
)

STOCK_KIT = SimpleNamespace(
    native=False, **{name: getattr(asyncio, name) for name in LOCKS + QUEUES + STREAMS}
)
BATUTA_KIT = SimpleNamespace(
    native=True,
    **{name: getattr(batuta.locks, name) for name in LOCKS},
    **{name: getattr(batuta.queues, name) for name in QUEUES},
    **{name: getattr(batuta.streaming, name) for name in STREAMS},
)

Kit = Any
both_kits = pytest.mark.parametrize(
    "kit", [pytest.param(STOCK_KIT, id="asyncio's"), pytest.param(BATUTA_KIT, id="batuta's")]
)
