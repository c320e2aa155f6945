"""How a row of each kind is measured: a driver takes the samples of one loop on one row.

A sample says by itself whether it was disturbed; the bounds for that are here and in `settings`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from benches.child import Worker
from benches.contestants import LIMIT, Contestant
from benches.echo_driver import EchoDriver
from benches.figures import Sample
from benches.idle_driver import FootprintDriver, IdleDriver
from benches.peers import Peers
from benches.rows import ClientRow, EchoRow, FootprintRow, IdleRow, Row, SchedulingRow, SystemRow
from benches.settings import ForeignTime, Settings

SWITCHES_PER_SECOND = 50
SWITCHES_ALWAYS_ALLOWED = 5
"""A scheduling sample is disturbed when its thread was pushed off its core more often than this."""


class Driver(Protocol):
    """One loop on one row. Errors: `WorkerFailed`, `LoadFailed`."""

    @property
    def identity(self) -> dict[str, Any]: ...

    def warm_up(self) -> None: ...

    def sample(self) -> Sample: ...

    def close(self) -> None:
        """Ends the worker; again does nothing."""


def takes_part(row: Row, contestant: Contestant) -> bool:
    """Whether there is something to measure: the limit is a server, and only of some rows."""
    return contestant.name != LIMIT or (isinstance(row, EchoRow) and row.limit is not None)


def driver_for(
    row: Row, contestant: Contestant, python: Path, settings: Settings, peers: Peers
) -> Driver:
    match row:
        case EchoRow():
            return EchoDriver(row, contestant, python, settings)
        case IdleRow():
            return IdleDriver(row, contestant, python, settings)
        case FootprintRow():
            return FootprintDriver(row, contestant, python, settings)
        case SchedulingRow():
            return WorkDriver(row, contestant, python, settings, peers)


class WorkDriver:
    """Rows of a fixed number of operations in one process."""

    def __init__(
        self,
        row: SchedulingRow,
        contestant: Contestant,
        python: Path,
        settings: Settings,
        peers: Peers,
    ) -> None:
        self._row = row
        self._settings = settings
        self._count = max(1, round(row.count * settings.scale))
        self._peer = {"peer": peers.address(row.peer)} if isinstance(row, ClientRow) else {}
        start = {
            **contestant.start,
            "cores": settings.server_cores if row.pinned else settings.all_cores,
        }
        self._worker = Worker(python, "benches.worker", start, settings.timeout)

    @property
    def identity(self) -> dict[str, Any]:
        return self._worker.identity

    def warm_up(self) -> None:
        self._measure(max(1, self._count // 5))

    def sample(self) -> Sample:
        foreign = ForeignTime(self._settings)
        raw = self._measure(self._count)
        count = raw["operations"]
        disturbed = None
        alone = self._row.pinned and not self._row.by_turns
        if isinstance(self._row, ClientRow):
            # Not by the switches: the kernel's own thread pushes it off to free its sockets.
            disturbed = foreign.complaint(server=raw["process_cpu_ns"] / 1e9, client=None)
        elif alone:
            disturbed = _pushed_off(raw["involuntary_switches"], raw["wall_ns"] / 1e9)
        remarks = []
        elsewhere = raw["process_cpu_ns"] / raw["thread_cpu_ns"] - 1
        if self._row.kind == "scheduling" and alone and elsewhere > 0.2:
            remarks.append("also uses processor time in other threads, which is not counted here")
        return Sample(_figures(self._row, raw, count), raw, disturbed, tuple(remarks))

    def _measure(self, count: int) -> dict[str, Any]:
        return self._worker.ask(
            self._settings.timeout, row=self._row.name, count=count, **self._peer
        )

    def close(self) -> None:
        self._worker.close()


def _pushed_off(switches: int, seconds: float) -> str | None:
    if switches <= max(SWITCHES_ALWAYS_ALLOWED, SWITCHES_PER_SECOND * seconds):
        return None
    return f"{switches} involuntary context switches in {seconds:.2f} s"


def _figures(row: SchedulingRow, raw: dict[str, Any], count: int) -> dict[str, float]:
    wall, process = raw["wall_ns"] / count, raw["process_cpu_ns"] / count
    match row:
        case SystemRow():
            # Where each operation was timed by itself, a pause between two of them is not part.
            found = {"wall_us": raw.get("p50_ns", wall) / 1e3, "cpu_us": process / 1e3}
            timed = {key: raw[f"{key}_ns"] / 1e3 for key in ("p99", "p999") if f"{key}_ns" in raw}
            return {**found, **{f"{key}_us": value for key, value in timed.items()}}
        case ClientRow():
            return {"cpu_us": process / 1e3, "per_s": 1e9 / wall}
        case _:
            return {"cpu_ns": raw["thread_cpu_ns"] / count, "wall_ns": wall}
