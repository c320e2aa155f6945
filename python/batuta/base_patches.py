"""Methods that a program has replaced in ``asyncio.BaseEventLoop``.

Role: tracers wrap `create_task` there, and frameworks `run_in_executor`, to carry context variables
into threads. Batuta's loop has native methods of these names, which come before those of the base.
Once one is replaced there, the loop's class gets an attribute that leads to what stands in the base
class, and to the native method again when that is gone.

`adopt` is called when a loop is made and when it begins to run, and by native code when the loop's
class has changed. A function is asyncio's own as long as its code is: some tools put other code
into it. `call_at` is left out: asyncio's own, which a wrapper calls, keeps timers where a native
loop does not look.
"""

from __future__ import annotations

import asyncio
from types import FunctionType
from typing import Any

from batuta import _batuta

NAMES = (
    "call_later",
    "call_soon",
    "call_soon_threadsafe",
    "create_connection",
    "create_future",
    "create_task",
    "getaddrinfo",
    "run_in_executor",
    "time",
)


def _code(function: Any) -> Any:
    return function.__code__ if type(function) is FunctionType else None


def _originals() -> dict[str, Any]:
    """The code of each method that was asyncio's own when Batuta was imported."""
    codes = {name: _code(vars(asyncio.BaseEventLoop).get(name)) for name in NAMES}
    return {
        name: code
        for name, code in codes.items()
        if code is not None and code.co_qualname == f"BaseEventLoop.{name}"
    }


_ORIGINALS = _originals()


def _replacement(name: str) -> Any:
    """What stands in the base class instead of asyncio's own function; None if that does."""
    found = vars(asyncio.BaseEventLoop).get(name)
    own = _ORIGINALS.get(name)
    return None if own is not None and _code(found) is own else found


class Replaced:
    """An attribute of the loop's class: the base's method while it is replaced."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._native = vars(_batuta.NativeLoop)[name]

    def __get__(self, loop: Any, owner: Any = None) -> Any:
        found = _replacement(self._name)
        if found is None:
            found = self._native
        bind = getattr(type(found), "__get__", None)
        return found if bind is None else bind(found, loop, owner)


def adopt(loop_class: type) -> None:
    """Have the loop's class show what has been replaced in asyncio's."""
    for name in NAMES:
        if name not in vars(loop_class) and _replacement(name) is not None:
            setattr(loop_class, name, Replaced(name))
