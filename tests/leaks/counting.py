"""Doing something very often, and counting what there is of everything before and after.

Batuta makes a million of what is cheap; a leak of one reference or of one small block each would
be a thousand times what is allowed. Stock asyncio does the same with fewer, to show that the bounds
are fair.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import gc
import resource
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from batuta import _batuta

from leaks.ways import Way

Loop = asyncio.AbstractEventLoop
MILLION = 1_000_000

CALLS = 0


def shared_callback(*_args: object) -> None:
    """The callback of everything here: references to it are counted."""
    global CALLS
    CALLS += 1


SHARED_CONTEXT = contextvars.copy_context()
SHARED_RESULT = object()


class Failure(Exception):
    """What fails here."""


async def nothing() -> None:
    pass


async def fails() -> None:
    raise Failure


async def forever(future: asyncio.Future[None]) -> None:
    await future


@dataclass(frozen=True)
class Work:
    """Something to do very often on Batuta, `on_stock` times on stock."""

    do: Callable[[Loop, int], Awaitable[None]]
    count: int = MILLION
    debug: bool = False

    @property
    def name(self) -> str:
        return self.do.__name__ + ("-debug" if self.debug else "")

    def times(self, way: Way) -> int:
        return max(1000, self.count // 20) if way.is_stock else self.count


def resident() -> int:
    """Bytes of memory that the process has now, without what the C library keeps for later."""
    if give_back := getattr(ctypes.CDLL(None), "malloc_trim", None):
        give_back(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@dataclass(frozen=True)
class Snapshot:
    """How much there is of everything."""

    resident: int
    blocks: int
    objects: int
    references: dict[str, int]

    @classmethod
    def take(cls, loop: Loop) -> Snapshot:
        gc.collect()
        future = loop.create_future()
        shared = {
            "None": None,
            "the loop": loop,
            "the class of the loop": type(loop),
            "the class of futures": type(future),
            "the class of its iterators": type(future.__await__()),
            "the class of handles": type(loop.call_soon(shared_callback)),
            "the class of timers": type(loop.call_later(0, shared_callback)),
            "the class of native tasks": _batuta.Task,
            "the class of sock calls": _batuta.SockOp,
            "the class of stream transports": _batuta.StreamTransport,
            "the callback": shared_callback,
            "the context": SHARED_CONTEXT,
            "the result": SHARED_RESULT,
            "CancelledError": asyncio.CancelledError,
            "the exception": Failure,
        }
        references = {name: sys.getrefcount(value) for name, value in shared.items()}
        # Where the native module was built for the debug build of Python, and counts as well.
        if sys.abiflags and f"{sys.abiflags}-" in Path(str(_batuta.__file__)).name:
            total: Callable[[], int] = vars(sys)["gettotalrefcount"]
            references["everything"] = total()
        del future, shared
        return cls(resident(), sys.getallocatedblocks(), len(gc.get_objects()), references)


def check(way: Way, work: Work) -> None:
    count = work.times(way)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        # Fills pools, caches and what Python's own allocator keeps.
        await work.do(loop, max(4000, count // 20))
        await asyncio.sleep(0)
        before = Snapshot.take(loop)
        await work.do(loop, count)
        await asyncio.sleep(0)
        after = Snapshot.take(loop)
        for name, references in before.references.items():
            more = after.references[name] - references
            # Caches of the interpreter (of source lines, say) hold a None here and there.
            allowed = 200 if name in ("None", "everything") else 2
            assert abs(more) <= allowed, f"{more} more references to {name}"
        more = after.objects - before.objects
        assert more < 100, f"{more} more objects"
        more = after.blocks - before.blocks
        assert more < 1000, f"{more} more blocks"
        more = after.resident - before.resident
        if more >= 4 << 20:
            # Memory that cannot be given back, because something small lies above it, is used by
            # the next round; where it was leaked, that one takes as much again.
            await work.do(loop, count)
            await asyncio.sleep(0)
            again = resident() - after.resident
            assert again < 1 << 20, f"{more >> 10} KiB more, then {again >> 10} KiB"

    way.run(main, debug=work.debug)
