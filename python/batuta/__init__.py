"""Batuta: asyncio's event loop, re-implemented in Rust.

The public names. `run` and `EventLoop` are for programs that choose Batuta in their code;
`install` puts it behind asyncio's own names; the command `batuta` (module `cli`) does the latter
for a program that is not to be changed at all.
"""

import sys

from batuta._batuta import __version__
from batuta.installer import install, uninstall
from batuta.loop import EventLoop
from batuta.runners import new_event_loop, run

__all__ = ["EventLoop", "__version__", "install", "new_event_loop", "run", "uninstall"]

if sys.version_info < (3, 16):
    from batuta.policy import EventLoopPolicy

    __all__ += ["EventLoopPolicy"]
