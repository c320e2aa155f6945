"""How a row of each kind is measured: one driver holds one worker and takes samples from it.

A sample says by itself whether it was disturbed. The bounds are here, in one place.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from benches import load, machine
from benches.child import Worker, WorkerFailed
from benches.contestants import Contestant
from benches.rows import Row
from benches.rows.echo import EchoRow
from benches.rows.scheduling import SchedulingRow

SWITCHES_PER_SECOND = 50
SWITCHES_ALWAYS_ALLOWED = 5
"""A scheduling sample is disturbed when its thread was pushed off its core more often than this."""

FOREIGN_SHARE = 0.10
"""An echo sample is disturbed when others used more than this share of the server's core, or of
the client's."""

FAULTS_PER_REQUEST = 0.5
"""From here on a remark says that memory is mapped anew for the requests."""

FOREIGN_TICKS = 5
"""Clock ticks of others' time that are never held against a short sample (they are coarse)."""


@dataclass(frozen=True)
class Figure:
    """A kind of number that a group of rows yields; the first of a group is the one compared."""

    key: str
    title: str
    higher_is_better: bool = False
    digits: int = 0
    compared: bool = True


FIGURES: dict[str, tuple[Figure, ...]] = {
    "scheduling": (
        Figure("cpu_ns", "CPU time of the loop's thread, ns per operation"),
        Figure("wall_ns", "Time on the clock, ns per operation"),
    ),
    "echo": (
        Figure("server_cpu_us", "CPU time of the server, µs per request", digits=2),
        Figure("requests_per_s", "Requests per second", higher_is_better=True),
        Figure("p50_us", "Median latency, µs", digits=1),
        Figure("p99_us", "99th percentile of latency, µs", digits=1),
        Figure("server_busy_pct", "How busy the server's core was with it, %", compared=False),
    ),
}


@dataclass(frozen=True)
class Sample:
    """One measurement: the figures by key, what they were made from, and what disturbed it."""

    figures: dict[str, float]
    raw: dict[str, Any]
    disturbed: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How much to measure, and on which cores; None where there are not two to separate."""

    rounds: int = 7
    scale: float = 1.0
    """Of each scheduling row's operations."""
    seconds: float = 1.0
    warm_up: float = 0.2
    server_core: int | None = None
    client_core: int | None = None
    all_cores: list[int] = field(default_factory=lambda: sorted(os.sched_getaffinity(0)))
    timeout: float = 60.0

    @property
    def server_cores(self) -> list[int]:
        return self.all_cores if self.server_core is None else [self.server_core]


class Driver(Protocol):
    """One loop on one row. Errors: `WorkerFailed`, `LoadFailed`."""

    @property
    def identity(self) -> dict[str, Any]: ...

    def warm_up(self) -> None: ...

    def sample(self) -> Sample: ...

    def __enter__(self) -> Driver: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def driver_for(row: Row, contestant: Contestant, python: Path, settings: Settings) -> Driver:
    if isinstance(row, SchedulingRow):
        return SchedulingDriver(row, contestant, python, settings)
    return EchoDriver(row, contestant, python, settings)


class _WithWorker:
    """The life of the worker, and what it said of itself."""

    def __init__(self, module: str, start: dict[str, Any], python: Path, timeout: float) -> None:
        self._timeout = timeout
        self._worker = Worker(python, module, start, timeout)

    @property
    def identity(self) -> dict[str, Any]:
        return self._worker.identity

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._worker.close()


class SchedulingDriver(_WithWorker):
    def __init__(
        self, row: SchedulingRow, contestant: Contestant, python: Path, settings: Settings
    ) -> None:
        self._row = row
        self._count = max(1, round(row.count * settings.scale))
        start = {
            **contestant.start,
            "cores": settings.server_cores if row.pinned else settings.all_cores,
        }
        super().__init__("benches.worker", start, python, settings.timeout)

    def __enter__(self) -> SchedulingDriver:
        return self

    def warm_up(self) -> None:
        self._measure(max(1, self._count // 5))

    def sample(self) -> Sample:
        raw = self._measure(self._count)
        operations = raw["operations"]
        seconds = raw["wall_ns"] / 1e9
        allowed = max(SWITCHES_ALWAYS_ALLOWED, SWITCHES_PER_SECOND * seconds)
        switches = raw["involuntary_switches"]
        disturbed = None
        # Where two threads take turns, they push each other off: no sign of disturbance.
        if self._row.pinned and switches > allowed:
            disturbed = f"{switches} involuntary context switches in {seconds:.2f} s"
        remarks = []
        elsewhere = raw["process_cpu_ns"] / raw["thread_cpu_ns"] - 1
        if self._row.pinned and elsewhere > 0.2:
            remarks.append("also uses processor time in other threads, which is not counted here")
        return Sample(
            {"cpu_ns": raw["thread_cpu_ns"] / operations, "wall_ns": raw["wall_ns"] / operations},
            raw,
            disturbed,
            tuple(remarks),
        )

    def _measure(self, count: int) -> dict[str, Any]:
        return self._worker.ask(self._timeout, row=self._row.name, count=count)


class EchoDriver(_WithWorker):
    def __init__(
        self, row: EchoRow, contestant: Contestant, python: Path, settings: Settings
    ) -> None:
        self._row = row
        self._settings = settings
        load.binary()
        start = {
            **contestant.start,
            "cores": settings.server_cores,
            "server": row.server,
            "size": row.size,
        }
        super().__init__("benches.server", start, python, settings.timeout)

    def __enter__(self) -> EchoDriver:
        return self

    def warm_up(self) -> None:
        """Fills caches, and checks that every byte comes back."""
        self._load(self._settings.warm_up, verify=True)

    def sample(self) -> Sample:
        foreign = _ForeignTime(self._settings)
        used = self._used()
        raw = self._load(self._settings.seconds)
        used = {name: after - used[name] for name, after in self._used().items()}
        raw["server_total"] = used
        disturbed = foreign.complaint(used["user_s"] + used["system_s"], raw["client_total_s"])
        remarks = []
        if used["page_faults"] > FAULTS_PER_REQUEST * raw["requests"]:
            remarks.append("the allocator maps memory anew for the requests (page faults)")
        requests, cpu, window = raw["requests"], raw["server_cpu_ns"], raw["window_ns"]
        return Sample(
            {
                "server_cpu_us": cpu / 1e3 / requests,
                "requests_per_s": requests / (window / 1e9),
                "p50_us": raw["p50_ns"] / 1e3,
                "p99_us": raw["p99_ns"] / 1e3,
                "server_busy_pct": 100 * cpu / window,
            },
            raw,
            disturbed,
            tuple(remarks),
        )

    def _used(self) -> dict[str, float]:
        return self._worker.ask(self._timeout)

    def _load(self, seconds: float, *, verify: bool = False) -> dict[str, Any]:
        who = self._worker.identity
        try:
            return load.run(
                who["host"],
                who["port"],
                connections=self._row.connections,
                size=self._row.size,
                in_flight=self._row.in_flight,
                seconds=seconds,
                warm_up=self._settings.warm_up,
                server_pid=self._worker.pid,
                core=self._settings.client_core,
                verify=verify,
            )
        except load.LoadFailed as problem:
            if death := self._worker.failure():
                raise WorkerFailed(f"the server died: {death}") from problem
            raise


class _ForeignTime:
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

    def complaint(self, server_used: float, client_used: float) -> str | None:
        elapsed = time.monotonic() - self._since
        own = {"server": server_used, "client": client_used}
        tolerated = max(FOREIGN_SHARE * elapsed, FOREIGN_TICKS / os.sysconf("SC_CLK_TCK"))
        for role, busy in self._busy_now().items():
            foreign = busy - self._busy[role] - own[role]
            if foreign > tolerated:
                return f"others used {foreign / elapsed:.0%} of the {role}'s core"
        return None
