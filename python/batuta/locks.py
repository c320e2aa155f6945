"""`asyncio.Lock` and its kin, native: see "Synchronization Primitives" in asyncio's documentation.

Each class has its native half first and asyncio's own class second: what runs often is native, the
rest is the interpreter's. `Barrier` is asyncio's own on top of the native `Condition`.
"""

import asyncio

from batuta import _batuta

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore"]


class Event(_batuta.NativeEvent, asyncio.Event):
    """A flag that coroutines wait for. See `asyncio.Event`."""


class Lock(_batuta.NativeLock, asyncio.Lock):
    """A lock for coroutines. See `asyncio.Lock`."""


class Semaphore(_batuta.NativeSemaphore, asyncio.Semaphore):
    """A number of coroutines at a time. See `asyncio.Semaphore`."""


class BoundedSemaphore(Semaphore, asyncio.BoundedSemaphore):
    """A semaphore that is not released too often. See `asyncio.BoundedSemaphore`."""

    def __init__(self, value: int = 1) -> None:
        self._bound_value = value
        Semaphore.__init__(self, value)


class Condition(_batuta.NativeCondition, asyncio.Condition):
    """A condition to wait for while a lock is held. See `asyncio.Condition`."""

    def __init__(self, lock: asyncio.Lock | None = None) -> None:
        if lock is None:
            lock = Lock()
        self._lock = lock
        # As asyncio's own does it; the native half goes through these, too.
        self.locked = lock.locked  # type: ignore[method-assign]
        self.acquire = lock.acquire  # type: ignore[method-assign]
        self.release = lock.release  # type: ignore[method-assign]


class Barrier(asyncio.Barrier):
    """A point where coroutines wait for each other. See `asyncio.Barrier`."""

    def __init__(self, parties: int) -> None:
        super().__init__(parties)
        self._cond = Condition()
