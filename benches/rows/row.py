"""The kinds of row, but for those of a server (`echo.py`).

A row of work in one process is a coroutine function that does `count` operations. It returns how
many it saw done, or how many nanoseconds each of them took; the worker measures the whole of it and
refuses a number that is not the expected one. Set-up in it is small against the operations. Nothing
in a row may favour a loop: public asyncio API only, and each name looked up as `asyncio.name` when
it is used, so that a loop that puts its own classes behind these names is measured with them.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar


class Tier(enum.IntEnum):
    """How much has to be asked for before a row is measured."""

    QUICK = 0
    USUAL = 1
    ALL = 2


@dataclass(frozen=True)
class SchedulingRow:
    """One row; an operation is what `about` says."""

    name: str
    about: str
    run: Callable[..., Awaitable[int | list[int]]]
    """Of the loop and the count; of a client row also what it talks to."""
    count: int
    """Operations in one round of a full run."""
    unit: int = 1
    """The row does whole units: a count is rounded up to a multiple."""
    pinned: bool = True
    """Whether the worker is held to one core."""
    by_turns: bool = False
    """Whether two threads work by turns, and so push each other off a core."""
    group: str = "scheduling"
    tier: Tier = Tier.USUAL

    kind: ClassVar[str] = "scheduling"

    def rounded(self, count: int) -> int:
        return max(1, -(-count // self.unit)) * self.unit


@dataclass(frozen=True)
class SystemRow(SchedulingRow):
    """Work that other threads or the kernel have a part in: time on the clock is what counts."""

    pinned: bool = False
    group: str = "threads-and-processes"

    kind: ClassVar[str] = "system"


@dataclass(frozen=True)
class ClientRow(SchedulingRow):
    """A client on the loop; what it talks to runs in another process on the other core."""

    group: str = "clients"
    peer: str = ""
    """What to start for it, as `benches.peers` names it."""
    needs: tuple[str, ...] = ()
    """Packages from PyPI beside the loop's own."""

    kind: ClassVar[str] = "client"


@dataclass(frozen=True)
class IdleRow:
    """Connections that do nothing, and what they cost."""

    name: str
    about: str
    connections: int
    group: str = "idle-connections"
    tier: Tier = Tier.USUAL

    kind: ClassVar[str] = "idle"


@dataclass(frozen=True)
class FootprintRow:
    """A process of its own that imports the loop, runs it once and says what that took."""

    name: str
    about: str
    group: str = "footprint"
    tier: Tier = Tier.QUICK

    kind: ClassVar[str] = "footprint"
