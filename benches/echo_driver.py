"""Measures echo rows: a server of the loop under test, or the limit, and the load on it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benches import load
from benches.child import Worker, WorkerFailed
from benches.contestants import LIMIT, Contestant
from benches.figures import Sample
from benches.rows import EchoRow
from benches.settings import ForeignTime, Settings

FAULTS_PER_REQUEST = 0.5
"""From here on a remark says that memory is mapped anew for the requests."""


class EchoDriver:
    def __init__(
        self, row: EchoRow, contestant: Contestant, python: Path, settings: Settings
    ) -> None:
        self._row = row
        self._settings = settings
        self._scratch = tempfile.TemporaryDirectory(prefix="batuta-bench-")
        self._folder = Path(self._scratch.name)
        try:
            self._prepare()
            self._worker = self._start(contestant, python)
        except BaseException:
            self._scratch.cleanup()
            raise

    def _prepare(self) -> None:
        if self._row.place == "tls":
            load.certificate(self._folder)
        if self._row.place == "pipes":
            for name in ("to-server", "from-server"):
                os.mkfifo(self._folder / name)
        load.binary()

    def _start(self, contestant: Contestant, python: Path) -> Worker:
        row, settings = self._row, self._settings
        if contestant.name == LIMIT:
            assert row.limit is not None, "the runner asks only where there is a limit"
            command = load.serve_command(
                what=row.limit,
                place=row.place,
                folder=self._folder,
                size=row.size,
                read=row.read,
                core=settings.server_core,
            )
            return Worker.of_command(command, settings.timeout)
        start = {
            **contestant.start,
            "cores": settings.server_cores,
            "server": row.server,
            "size": row.size,
            "place": row.place,
            "folder": str(self._folder),
        }
        return Worker(python, "benches.server", start, settings.timeout)

    @property
    def identity(self) -> dict[str, Any]:
        return self._worker.identity

    def warm_up(self) -> None:
        """Fills caches, and checks that every byte comes back."""
        self._load(self._settings.warm_up, verify=True)

    def sample(self) -> Sample:
        foreign = ForeignTime(self._settings)
        used = self._used()
        raw = self._load(self._settings.seconds)
        used = {name: after - used[name] for name, after in self._used().items()}
        raw["server_total"] = used
        disturbed = foreign.complaint(
            server=used["user_s"] + used["system_s"], client=raw["client_total_s"]
        )
        if raw["lost"]:
            disturbed = f"{raw['lost']} datagrams were lost"
        remarks = []
        if used["page_faults"] > FAULTS_PER_REQUEST * raw["requests"]:
            remarks.append("the allocator maps memory anew for the requests (page faults)")
        cpu, window = raw["server_cpu_ns"], raw["window_ns"]
        latencies = {
            f"{name}_us": raw[f"{name}_ns"] / 1e3
            for name in ("p50", "p90", "p99", "p999")
            if f"{name}_ns" in raw
        }
        return Sample(
            {
                "server_cpu_us": cpu / 1e3 / raw["requests"],
                "requests_per_s": raw["requests"] / (window / 1e9),
                **latencies,
                "mb_per_s": raw["mb_per_s"],
                "server_busy_pct": 100 * cpu / window,
            },
            raw,
            disturbed,
            tuple(remarks),
        )

    def _used(self) -> dict[str, float]:
        answer = self._worker.ask(self._settings.timeout)
        return {name: answer[name] for name in ("user_s", "system_s", "page_faults")}

    def _where(self) -> dict[str, str | Path]:
        who = self._worker.identity
        match self._row.place:
            case "unix":
                return {"unix": self._folder / "socket"}
            case "pipes":
                return {"pipes": self._folder}
            case "udp":
                return {"udp": f"{who['host']}:{who['port']}"}
            case "tls":
                certificate = self._folder / "certificate.pem"
                return {"address": f"{who['host']}:{who['port']}", "tls": certificate}
        return {"address": f"{who['host']}:{who['port']}"}

    def _load(self, seconds: float, *, verify: bool = False) -> dict[str, Any]:
        row = self._row
        flags = [flag for flag, on in (("verify", verify), ("exchange", row.exchange)) if on]
        try:
            return load.run(
                self._where(),
                command=row.command,
                flags=flags,
                seconds=seconds,
                warm_up=self._settings.warm_up,
                talk=row.talk,
                connections=row.connections,
                size=row.size,
                in_flight=row.in_flight,
                server_pid=self._worker.pid,
                core=self._settings.client_core,
            )
        except load.LoadFailed as problem:
            if death := self._worker.failure():
                raise WorkerFailed(f"the server died: {death}") from problem
            raise

    def close(self) -> None:
        self._worker.close()
        self._scratch.cleanup()
