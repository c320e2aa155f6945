"""Measures what loops cost while they do nothing: idle connections, and the loop itself.

Each sample is a new process: memory that was in use once is seldom given back.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benches import environments, load, wire
from benches.child import Worker, WorkerFailed
from benches.contestants import Contestant
from benches.figures import Sample
from benches.rows import FootprintRow, IdleRow
from benches.settings import ForeignTime, Settings

TICK = 0.0113
"""Seconds between two expiries of the timer: no multiple of the kernel's ticks, by which it counts
processor time. One that were would always, or never, be at work when it looks."""
SETTLE = 0.1
"""Seconds for what is left of opening the connections."""
RESERVED = 100
"""Descriptors that are not connections."""


class _NewProcesses:
    """What both have in common: no worker that lives from one sample to the next."""

    identity: dict[str, Any]

    def close(self) -> None:
        """There is nothing left between two samples."""


class IdleDriver(_NewProcesses):
    def __init__(
        self, row: IdleRow, contestant: Contestant, python: Path, settings: Settings
    ) -> None:
        allowed = wire.raise_descriptors()
        self._connections = min(row.connections, allowed - RESERVED)
        self._remarks: tuple[str, ...] = ()
        if self._connections < row.connections:
            self._remarks = (
                f"with {self._connections:,} connections: a process may have {allowed:,} "
                "descriptors here",
            )
        self._python = python
        self._settings = settings
        self._start = {
            **contestant.start,
            "cores": settings.server_cores,
            "server": "protocol",
            "size": 64,
            "tick": TICK,
        }
        with self._server() as server:
            self.identity = server.identity

    def _server(self) -> Worker:
        return Worker(self._python, "benches.server", self._start, self._settings.timeout)

    def warm_up(self) -> None:
        """Nothing to warm: a server in use would hold on to its memory."""

    def sample(self) -> Sample:
        timeout = self._settings.timeout
        with self._server() as server:
            before = server.ask(timeout)
            command = load.idle_command(
                server.identity["host"],
                server.identity["port"],
                self._connections,
                self._settings.client_core,
            )
            try:
                holder = Worker.of_command(command, timeout)
            except WorkerFailed as problem:
                if death := server.failure():
                    raise WorkerFailed(f"the server died: {death}") from problem
                raise load.LoadFailed(str(problem)) from None
            with holder:
                time.sleep(SETTLE)
                first = server.ask(timeout)
                foreign = ForeignTime(self._settings)
                time.sleep(max(self._settings.seconds, 20 * TICK))
                last = server.ask(timeout)
                used = {name: last[name] - first[name] for name in ("user_s", "system_s", "ticks")}
                cpu = used["user_s"] + used["system_s"]
                disturbed = foreign.complaint(server=cpu, client=0.0)
        if not used["ticks"]:
            raise WorkerFailed("the timer did not go off")
        return Sample(
            {
                "rss_kib": (first["rss_kib"] - before["rss_kib"]) / self._connections,
                "tick_us": cpu / used["ticks"] * 1e6,
            },
            {"before": before, "first": first, "last": last, "held": holder.identity},
            disturbed,
            self._remarks,
        )


class FootprintDriver(_NewProcesses):
    def __init__(
        self, row: FootprintRow, contestant: Contestant, python: Path, settings: Settings
    ) -> None:
        # Not in the project's own environment: how much is in that would count.
        try:
            self._python = python if contestant.requirement else environments.small()
        except environments.NotInstallable as problem:
            raise WorkerFailed(str(problem)) from None
        self._settings = settings
        self._contestant = contestant
        self.identity = self._run()["identity"]

    def warm_up(self) -> None:
        """The first run has read everything from the disk and written the byte code."""

    def sample(self) -> Sample:
        foreign = ForeignTime(self._settings)
        raw = self._run()
        disturbed = foreign.complaint(server=raw["cpu_s"], client=0.0)
        keys = ("import_ms", "first_ms", "rss_mib", "loop_kib")
        return Sample({key: raw[key] for key in keys}, raw, disturbed)

    def _run(self) -> dict[str, Any]:
        start = {
            **self._contestant.start,
            "cores": self._settings.server_cores,
            "since_ns": time.monotonic_ns(),
        }
        with Worker(self._python, "benches.footprint", start, self._settings.timeout) as worker:
            return worker.identity
