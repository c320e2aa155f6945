"""How much to measure, on which cores, and when a sample counts as disturbed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace

from benches import machine

FOREIGN_SHARE = 0.10
"""A sample with a core of its own is disturbed when others used more than this share of it."""

FOREIGN_TICKS = 5
"""Clock ticks of others' time that are never held against a short sample (they are coarse)."""


@dataclass(frozen=True)
class Settings:
    """How much to measure, and on which cores; None where there are not two to separate."""

    rounds: int = 5
    scale: float = 1.0
    """Of the operations of rows with a fixed number of them."""
    seconds: float = 0.4
    warm_up: float = 0.15
    server_core: int | None = None
    client_core: int | None = None
    all_cores: list[int] = field(default_factory=lambda: sorted(os.sched_getaffinity(0)))
    timeout: float = 120.0

    @property
    def server_cores(self) -> list[int]:
        return self.all_cores if self.server_core is None else [self.server_core]


def settings_for(quick: bool, rounds: int | None, seconds: float | None = None) -> Settings:
    """What the options of the command line come to.

    Args:
        quick: less work, for rough figures.
        rounds: undisturbed samples wanted; None for the default.
        seconds: length of the windows under load; None for the default.
    """
    settings = Settings()
    if len(settings.all_cores) >= 2:
        # The first core is where machines like to serve interrupts: the server gets another.
        settings = replace(
            settings, server_core=settings.all_cores[-1], client_core=settings.all_cores[0]
        )
    if quick:
        settings = replace(settings, rounds=3, scale=0.1, seconds=0.12, warm_up=0.04)
    if seconds:
        settings = replace(settings, seconds=seconds)
    return replace(settings, rounds=rounds) if rounds else settings


class ForeignTime:
    """Time that others used on the two cores between its making and the complaint."""

    def __init__(self, settings: Settings) -> None:
        self._cores = {
            role: core
            for role, core in (("server", settings.server_core), ("client", settings.client_core))
            if core is not None
        }
        self._busy = self._busy_now()
        self._since = time.monotonic()

    def _busy_now(self) -> dict[str, float]:
        return {role: machine.core_busy_seconds(core) for role, core in self._cores.items()}

    def complaint(self, *, server: float, client: float | None) -> str | None:
        """What is to be said of the time since the making; None if nothing is.

        Args:
            server: seconds of processor time that the server used itself.
            client: the same of the client; None where its core does not count.
        """
        elapsed = time.monotonic() - self._since
        own = {"server": server, "client": client}
        tolerated = max(FOREIGN_SHARE * elapsed, FOREIGN_TICKS / os.sysconf("SC_CLK_TCK"))
        for role, busy in self._busy_now().items():
            if (used := own[role]) is None:
                continue
            foreign = busy - self._busy[role] - used
            if foreign > tolerated:
                return f"others used {foreign / elapsed:.0%} of the {role}'s core"
        return None
