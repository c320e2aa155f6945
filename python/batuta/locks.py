"""`asyncio.Lock` and its kin, native: see "Synchronization Primitives" in asyncio's documentation.

Each class has its native half first and asyncio's own class second: what runs often is native, the
rest is the interpreter's. `Barrier` is asyncio's own on top of the native `Condition`.
"""

import asyncio
import functools
from typing import Any

from batuta import _batuta
from batuta.copying import Copied

# Looked up once: acceleration puts ours there, which also get objects of asyncio's own classes to
# initialise, from subclasses that were defined before.
_Barrier, _Condition = asyncio.Barrier, asyncio.Condition
_BoundedSemaphore = asyncio.BoundedSemaphore

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "Semaphore"]


class _Shown:
    """`repr()` shows our classes by asyncio's names, as it shows asyncio's own."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not isinstance(self, _Shown):
            return _stock_repr(self)
        text = super().__repr__()
        if type(self).__module__ == __name__:
            return text.replace(f"<{__name__}.", "<asyncio.locks.", 1)
        return text


def _stock_repr(early: Any) -> str:
    """Of an object of asyncio's own classes, by a subclass that was made before ours took over."""
    for stock in type(early).__mro__:
        if stock.__module__ == "asyncio.locks" and "__repr__" in vars(stock):
            text: str = vars(stock)["__repr__"](early)
            return text
    raise TypeError(f"not an object of asyncio.locks: {type(early).__name__}")


class Event(_batuta.NativeEvent, Copied, _Shown, asyncio.Event):
    """A flag that coroutines wait for. See `asyncio.Event`."""

    _batuta_state = ("_waiters", "_value")


class Lock(_batuta.NativeLock, Copied, _Shown, asyncio.Lock):
    """A lock for coroutines. See `asyncio.Lock`."""

    _batuta_state = ("_waiters", "_locked")


class Semaphore(_batuta.NativeSemaphore, Copied, _Shown, asyncio.Semaphore):
    """A number of coroutines at a time. See `asyncio.Semaphore`."""

    _batuta_state = ("_bound_value", "_waiters", "_value")


class BoundedSemaphore(Semaphore, asyncio.BoundedSemaphore):
    """A semaphore that is not released too often. See `asyncio.BoundedSemaphore`."""

    def __init__(self, value: int = 1) -> None:
        Semaphore.__init__(self, value)
        self._bound_value = value


class Condition(_batuta.NativeCondition, Copied, _Shown, asyncio.Condition):
    """A condition to wait for while a lock is held. See `asyncio.Condition`."""

    _batuta_state = ("_waiters",)

    def __init__(self, lock: asyncio.Lock | None = None) -> None:
        if not isinstance(self, _batuta.NativeCondition):
            return _Condition.__init__(self, lock)
        if lock is None:
            lock = Lock()
        self._lock = lock
        # As asyncio's own does it; the native half goes through these, too.
        self.locked = lock.locked  # type: ignore[method-assign]
        self.acquire = lock.acquire  # type: ignore[method-assign]
        self.release = lock.release  # type: ignore[method-assign]

    def __getstate__(self) -> Any:
        """Without the lock's methods, which a deep copy would take from the old lock."""
        state = super().__getstate__()
        attributes = state[0] if isinstance(state, tuple) else state
        for name in ("locked", "acquire", "release"):
            if attributes.get(name) == getattr(self._lock, name):
                del attributes[name]
        return state

    def __setstate__(self, state: Any) -> None:
        """With the methods of the lock."""
        super().__setstate__(state)
        for name in ("locked", "acquire", "release"):
            if name not in vars(self):
                setattr(self, name, getattr(self._lock, name))


class Barrier(_Shown, asyncio.Barrier):
    """A point where coroutines wait for each other. See `asyncio.Barrier`."""

    def __init__(self, parties: int) -> None:
        _Barrier.__init__(self, parties)
        self._cond = Condition()


# `inspect` shows what it shows of asyncio's own.
functools.update_wrapper(BoundedSemaphore.__init__, _BoundedSemaphore.__init__)
functools.update_wrapper(Condition.__init__, _Condition.__init__)
functools.update_wrapper(Barrier.__init__, _Barrier.__init__)
