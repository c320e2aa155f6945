"""Batuta: asyncio's event loop, re-implemented in Rust.

The public names. `run` and `EventLoop` are for programs that choose Batuta in their code;
`install` puts it behind asyncio's own names; the command `batuta` (module `cli`) does the latter
for a program that is not to be changed at all.

All of asyncio's public names are here, too, so that `import batuta as asyncio` does for a program:
those that Batuta has natively (module `natives`), and asyncio's own otherwise. `__init__.pyi` says
the same to type checkers.
"""

import asyncio as _stock
import sys
from typing import Any

from batuta._batuta import __version__
from batuta.installer import SelectorEventLoop, install, uninstall
from batuta.loop import EventLoop
from batuta.natives import NATIVE as _NATIVE
from batuta.runners import Runner, get_event_loop, new_event_loop, run

__all__ = [
    "EventLoop",
    "Runner",
    "SelectorEventLoop",
    "TaskGroup",  # CPython 3.11 has forgotten it in its own list
    "__version__",
    "get_event_loop",
    "install",
    "new_event_loop",
    "run",
    "uninstall",
]

if sys.version_info < (3, 16):
    from batuta.policy import EventLoopPolicy

    __all__ += ["EventLoopPolicy"]

__all__ += sorted({*_stock.__all__}.difference(__all__))
globals().update(
    {name: getattr(_stock, name) for name in __all__ if name not in globals()},
)
globals().update({name: value for name, value in _NATIVE.items() if name in __all__})


def __getattr__(name: str) -> Any:
    """What else asyncio has: its modules, such as `subprocess`, and what it deprecates."""
    if not name.startswith("__") and hasattr(_stock, name):
        return getattr(_stock, name)
    raise AttributeError(f"module 'batuta' has no attribute {name!r}")
