"""What stands for the frames that native coroutines do not have.

Who shows where a task waits (`repr`, `Task.get_stack`, `asyncio.print_call_graph`, `inspect`) looks
at the frame of its coroutine. A native coroutine shows one of the Python function whose place it
takes: its code, and the line where it begins, because it runs none of the lines.
"""

import importlib
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, NoReturn

__all__ = ["StandInFrame", "code", "frame"]

_MODULES: Final = (
    "tasks",
    "locks",
    "queues",
    "timeouts",
    "taskgroups",
    "streams",
    "selector_events",
    "base_events",
    "unix_events",
)


class StandInFrame:
    """The frame of a coroutine that waits, as far as frames are looked at."""

    __slots__ = ("f_code", "f_generator", "f_globals")

    f_back = None
    f_lasti = -1
    f_trace = None

    def __init__(self, function: Any, coroutine: Any) -> None:
        self.f_generator = coroutine
        self.f_code: CodeType = function.__code__
        self.f_globals: dict[str, Any] = function.__globals__

    # What prints frames asks with `isinstance` whether it is given one.
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return FrameType

    @property
    def f_lineno(self) -> int:
        """Where the function begins."""
        return self.f_code.co_firstlineno

    @property
    def f_builtins(self) -> dict[str, Any]:
        """The names of the interpreter."""
        return vars(importlib.import_module("builtins"))

    @property
    def f_locals(self) -> dict[str, Any]:
        """Nothing: there are no Python variables."""
        return {}

    def clear(self) -> NoReturn:
        """Refuse.

        Raises:
            RuntimeError: always, as with any coroutine that waits.
        """
        raise RuntimeError("cannot clear a suspended frame")

    def __repr__(self) -> str:
        code = self.f_code
        place = f"file {code.co_filename!r}, line {self.f_lineno}, code {code.co_name}"
        return f"<frame at {id(self):#x}, {place}>"


def _function(qualname: str) -> FunctionType | None:
    """The function of asyncio that a native coroutine is named for, or the native one."""
    for module in _MODULES:
        found: Any = importlib.import_module(f"asyncio.{module}")
        for name in qualname.split("."):
            found = getattr(found, name, None)
        if hasattr(found, "__code__"):
            return found  # type: ignore[no-any-return]
    return None


def code(coroutine: Any) -> CodeType | None:
    """The code of a native coroutine."""
    function = _function(coroutine.__qualname__)
    return None if function is None else function.__code__


def frame(coroutine: Any) -> StandInFrame | None:
    """The frame of a native coroutine that has not ended."""
    function = _function(coroutine.__qualname__)
    return None if function is None else StandInFrame(function, coroutine)
