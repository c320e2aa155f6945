"""A worker process as the runner sees it: started, asked, and ended for certain.

Every question has a time limit. A worker that dies or hangs becomes a `WorkerFailed` that says
how, with the last lines it wrote to standard error.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STDERR_SHOWN = 2000


class WorkerFailed(Exception):
    """The worker gave no answer; the message says why."""


def clean_environment() -> dict[str, str]:
    """The environment without what changes how Python, its memory allocator or Batuta runs, and
    with one hash seed for all."""
    changing = ("PYTHON", "BATUTA_", "MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(changing)}
    return {**kept, "PYTHONHASHSEED": "0"}


class Worker:
    """One worker process; `identity` is the first thing it said. Use it as a context manager."""

    identity: dict[str, Any]

    def __init__(
        self, python: str | Path, module: str, start: dict[str, Any], timeout: float = 60.0
    ) -> None:
        self._run([str(python), "-m", module, json.dumps(start)], timeout)

    @classmethod
    def of_command(cls, command: list[str], timeout: float = 60.0) -> Worker:
        """A program that speaks as workers do."""
        worker = cls.__new__(cls)
        worker._run(command, timeout)
        return worker

    def _run(self, command: list[str], timeout: float) -> None:
        self._stderr = tempfile.TemporaryFile()
        self._pending = b""
        self._ended: str | None = None
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        try:
            self.identity = self._answer(timeout)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, timeout: float, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerFailed(self._last_words()) from None
        return self._answer(timeout)

    def failure(self) -> str | None:
        """How the process ended, if it has ended; also after `close()`."""
        if self._ended is None and self._process.poll() is not None:
            self._ended = self._last_words()
        return self._ended

    def close(self) -> None:
        """End the process, by force if it does not go by itself."""
        if self._process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self.failure()  # reads the last words while they can be read
        self._stderr.close()

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        descriptor = self._process.stdout.fileno()
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not poller.poll(left * 1000):
                self._process.kill()
                self._process.wait()
                raise WorkerFailed(f"no answer within {timeout:g} s{self._stderr_tail()}")
            data = os.read(descriptor, 65536)
            if not data:
                raise WorkerFailed(self._last_words())
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        try:
            code = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return f"closed its output and hung{self._stderr_tail()}"
        if code < 0:
            return f"killed by {signal.Signals(-code).name}{self._stderr_tail()}"
        return f"exit code {code}{self._stderr_tail()}"

    def _stderr_tail(self) -> str:
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - STDERR_SHOWN))
        text = self._stderr.read().decode(errors="replace").strip()
        return f": {text}" if text else ""

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
