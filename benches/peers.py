"""What client rows talk to: servers of our own making on this machine's loopback, started when
the first row needs them, kept for the others, and stopped at the end.

Each runs on the core of the load. Nothing of them outlives the run, and nothing is reachable from
outside: redis listens on loopback, PostgreSQL on a Unix socket alone.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benches import load
from benches.child import Worker

PATIENCE = 40.0
HTTP_SIZE = 1 << 10
USER = "bench"


class Missing(Exception):
    """A program that is not installed; the message says how to get it."""


class Peers:
    """The servers that run now, by name. Use it as a context manager."""

    def __init__(self, core: int | None = None) -> None:
        self._core = core
        self._stack = contextlib.ExitStack()
        self._running: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()  # drivers are made in threads

    def __enter__(self) -> Peers:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.clear()
        self._stack.close()

    def address(self, name: str) -> dict[str, Any]:
        """Where it listens. Errors: `Missing`, `LoadFailed`, `WorkerFailed`."""
        start: Callable[[], contextlib.AbstractContextManager[dict[str, Any]]] = {
            "echo": lambda: self._limit("echo"),
            "http": lambda: self._limit("http"),
            "redis": self._redis,
            "postgresql": self._postgresql,
        }[name]
        with self._lock:
            if name not in self._running:
                self._running[name] = self._stack.enter_context(start())
            return self._running[name]

    @contextlib.contextmanager
    def _limit(self, what: str) -> Iterator[dict[str, Any]]:
        # Clients close first: without a reset their ports would run out for a minute.
        command = load.serve_command(what=what, size=HTTP_SIZE, core=self._core, reset=True)
        with Worker.of_command(command) as server:
            yield {
                "host": server.identity["host"],
                "port": server.identity["port"],
                "size": HTTP_SIZE,
            }

    @contextlib.contextmanager
    def _redis(self) -> Iterator[dict[str, Any]]:
        if not shutil.which("redis-server"):
            raise Missing("redis-server is not installed: apt-get install redis-server")
        with tempfile.TemporaryDirectory(prefix="batuta-bench-") as folder, socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
            sock.close()
            arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
            with self._started(["redis-server", *arguments], Path(folder), signal.SIGTERM) as ready:
                ready(("127.0.0.1", port))
                yield {"host": "127.0.0.1", "port": port}

    @contextlib.contextmanager
    def _postgresql(self) -> Iterator[dict[str, Any]]:
        initdb, server = postgres_program("initdb"), postgres_program("postgres")
        if initdb is None or server is None:
            raise Missing("postgresql is not installed: apt-get install postgresql")
        who = _unprivileged()
        # Not a folder of ours alone: PostgreSQL runs as another user when we are root.
        folder = Path(tempfile.mkdtemp(prefix="batuta-bench-"))
        try:
            if "user" in who:
                os.chown(folder, who["user"], who["group"])
            data = folder / "data"
            made = subprocess.run(
                [initdb, "-D", data, "-U", USER, "-A", "trust", "--no-sync"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=folder,
                **who,
            )
            if made.returncode:
                raise load.LoadFailed(f"initdb failed: {made.stderr.strip()}")
            settings = ["listen_addresses=", "fsync=off", "shared_buffers=16MB"]
            options = [part for setting in settings for part in ("-c", setting)]
            command = [server, "-D", str(data), "-k", str(folder), *options]
            with self._started(command, folder, signal.SIGINT, **who) as ready:
                ready(str(folder / ".s.PGSQL.5432"))
                yield {"folder": str(folder), "user": USER}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _started(
        self, command: list[str], folder: Path, stop: signal.Signals, **who: Any
    ) -> Iterator[Callable[[tuple[str, int] | str], None]]:
        """A server process; what is yielded waits until it accepts connections somewhere."""
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **who
            )
            if self._core is not None:
                os.sched_setaffinity(process.pid, [self._core])

            def ready(address: tuple[str, int] | str) -> None:
                deadline = time.monotonic() + PATIENCE
                while not _accepts(address):
                    if process.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        said = log.read().decode(errors="replace").strip()
                        raise load.LoadFailed(f"{command[0]} did not start: {said[-500:]}")
                    time.sleep(0.02)

            try:
                yield ready
            finally:
                if process.poll() is None:
                    process.send_signal(stop)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def postgres_program(name: str) -> str | None:
    """The path of a PostgreSQL program, newest version first; Debian keeps them out of PATH."""
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = sorted(installed, key=lambda path: int("0" + path.parts[-3].partition(".")[0]))
    return str(newest[-1]) if newest else shutil.which(name)


def _unprivileged() -> dict[str, Any]:
    """Whom to run PostgreSQL as, which refuses to be root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise Missing("no user to run PostgreSQL as")


def _accepts(address: tuple[str, int] | str) -> bool:
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(1)
        return sock.connect_ex(address) == 0
