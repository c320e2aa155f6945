"""The native classes and functions in the places where asyncio keeps its own, and back.

What is replaced: in `asyncio` and all its modules, each name of the table `natives`, but `Future`,
if it is bound to asyncio's own class or function. `Task` and `StreamReader` are replaced by a
stand-in, everything else by the native class or function itself.

`Future` stays: native futures and tasks are instances of asyncio's own class, which a class of
ours in its place could say of futures made before, and of tasks, only with an `isinstance` written
in Python, and libraries ask that of every value they are given. Whoever wants a future asks the
loop for one, and gets a native one.

Owns `_holders`, how many want it; any thread, under `_lock`. The first one puts everything in
place, the last one puts back exactly what was there, and leaves alone what the program has put
there meanwhile.
"""

import _asyncio
import asyncio
import contextlib
import inspect
import sys
import threading
from collections.abc import Iterator
from types import (
    GetSetDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final

from batuta import _batuta, streaming
from batuta.natives import NATIVE
from batuta.stand_in import StandInType


class _TaskType(StandInType):
    def __call__(cls, *args: Any, **keywords: Any) -> _batuta.Task[Any]:
        return _batuta.Task(*args, **keywords)


class Task(_batuta.Task, metaclass=_TaskType):  # type: ignore[type-arg]
    """What stands in for `asyncio.Task`: calling it makes a native task.

    It accepts every task written in C, those made before and those of other loops as well. As a
    base class it is the native one.
    """

    _base = _batuta.Task
    _accepted = (_asyncio.Task,)
    __signature__ = inspect.signature(_batuta.Task)

    def __new__(cls, *_: Any, **__: Any) -> _batuta.Task[Any]:  # type: ignore[misc]
        """Make one without `__init__`, for who calls `asyncio.Task.__new__(asyncio.Task)`."""
        return _batuta.Task.__new__(_batuta.Task)


def _take_functions() -> None:
    """Give the stand-in the methods and properties of asyncio's own class.

    As functions, in `map(asyncio.Task.cancel, tasks)` or in the `__init__` of a subclass that was
    defined before, they take every task: native ones they lead to the native methods.
    """
    kinds = (MethodDescriptorType, GetSetDescriptorType, WrapperDescriptorType)
    for base in (_asyncio.Future, _asyncio.Task):
        for name, value in vars(base).items():
            if isinstance(value, kinds):
                setattr(Task, name, value)


_take_functions()
_batuta._set_task_stand_in(Task)


class _StreamReaderType(StandInType):
    def __call__(cls, *args: Any, **keywords: Any) -> streaming.StreamReader:
        return streaming.StreamReader(*args, **keywords)


class StreamReader(streaming.StreamReader, metaclass=_StreamReaderType):
    """What stands in for `asyncio.StreamReader`: calling it makes a native reader.

    asyncio's `StreamWriter` refuses a reader that is no instance of what has this name; so it
    accepts every reader, those made before as well. As a base class it is the native one.
    """

    _base = streaming.StreamReader
    _accepted = (asyncio.StreamReader,)
    __signature__ = inspect.signature(asyncio.StreamReader)

    def __new__(cls, *_: Any, **__: Any) -> streaming.StreamReader:  # type: ignore[misc]
        """Make one without `__init__`, for who calls `asyncio.StreamReader.__new__`."""
        return streaming.StreamReader.__new__(streaming.StreamReader)


_REPLACEMENTS: Final[dict[str, Any]] = {**NATIVE, "Task": Task, "StreamReader": StreamReader}
del _REPLACEMENTS["Future"]


def _stock() -> dict[str, Any]:
    """What asyncio itself has under these names, as far as no program has changed it."""
    found = {name: getattr(asyncio, name, None) for name in _REPLACEMENTS}
    found["Task"] = _asyncio.Task
    return {
        name: value
        for name, value in found.items()
        if getattr(value, "__module__", "").partition(".")[0] in ("asyncio", "_asyncio")
    }


_STOCK: Final = _stock()

_lock: Final = threading.Lock()
_holders = 0
# Where the program had put a replacement itself, before acceleration did.
_kept: set[tuple[str, str]] = set()


def _places() -> Iterator[tuple[ModuleType, str]]:
    """Where asyncio has each of the names; its modules may be imported at any time."""
    for module_name, module in sys.modules.copy().items():
        if module_name.partition(".")[0] == "asyncio" and isinstance(module, ModuleType):
            for name in _STOCK:
                if name in vars(module):
                    yield module, name


def hold() -> None:
    """Put the native classes and functions in place, for as long as it is not released."""
    global _holders
    with _lock:
        _holders += 1
        if _holders > 1:
            return
        _batuta._coalesce_by_default(True)
        for module, name in _places():
            value = vars(module)[name]
            if value is _REPLACEMENTS[name]:
                _kept.add((module.__name__, name))
            elif value is _STOCK[name]:
                setattr(module, name, _REPLACEMENTS[name])


def release() -> None:
    """Undo one `hold`; the last one puts everything back."""
    global _holders
    with _lock:
        _holders -= 1
        if _holders:
            return
        _batuta._coalesce_by_default(False)
        for module, name in _places():
            ours = vars(module)[name] is _REPLACEMENTS[name]
            if ours and (module.__name__, name) not in _kept:
                setattr(module, name, _STOCK[name])
        _kept.clear()


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold it during a `with` block."""
    hold()
    try:
        yield
    finally:
        release()
