"""Runs one test file in a process of its own and survives whatever the tests do to it.

Role: the parent side.  `run_file(job)` starts `child.py`, follows its announcements and returns an
`Outcome` for every test.  A test that exceeds its time limit is a HANG: the child's stacks are
dumped (by a signal that faulthandler handles even while the interpreter is stuck), the child and
everything it started are killed, and a new child goes on with the tests that are left.  A child
that dies is a CRASH of the test that was running, and is replaced in the same way.  The time
between tests (class fixtures), the import of the file and the exit of the process are watched by
the same limit.

Ownership: each child leads a process group of its own, which is killed when the child has ended,
so no test leaves a process behind; its files live under a temporary folder that is removed.

Thread: one thread per file; nothing is shared between files but the set of live children.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import slots
from .outcomes import CRASH, FAIL, HANG, LOST, Outcome

ROOT = Path(__file__).resolve().parents[2]
DUMP_SIGNAL = signal.SIGRTMIN + 7  # no test and no library is known to use it
POLL_SECONDS = 0.25  # only bounds how late the death of a child with orphans is noticed
DETAIL_LIMIT = 8000
# Variables that would change what the interpreter or asyncio does in the tests.
FOREIGN = ("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONWARNINGS", "PYTHONTRACEMALLOC")

_live: set[int] = set()
_live_lock = threading.Lock()
_stopping = threading.Event()


class SubjectMissing(Exception):
    """The child could not get the subject; nothing can be run."""


class Stopped(Exception):
    """The run was interrupted; no further child is started."""


@dataclass
class FileJob:
    """What to run: `tests` None means every test of the file."""

    package: str
    file: str
    subject: str
    tests: list[str] | None
    timeout: float
    log: Path
    path: list[str] = field(default_factory=list)
    mode: str = slots.GENERIC
    max_restarts: int = 40


@dataclass
class FileRun:
    """What came of it: `extras` are failures that belong to no single test."""

    file: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    extras: list[Outcome] = field(default_factory=list)
    left_out: str = ""
    seconds: float = 0.0


def kill_all() -> None:
    """Kill every child that still runs and start no other: the run is being given up."""
    _stopping.set()
    with _live_lock:
        for pid in _live:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


class Child:
    """One child process: its pipe, its log and its stack dump."""

    def __init__(self, job: FileJob, tests: list[str] | None, tmp: Path) -> None:
        self._dump_path = tmp / "stacks"
        self._log = open(job.log, "ab")  # closed in end()
        dump = os.open(self._dump_path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_TRUNC)
        self.pipe, writer = os.pipe()
        os.set_blocking(self.pipe, False)
        order = {
            "package": job.package, "file": job.file, "subject": job.subject, "tests": tests,
            "path": job.path, "mode": job.mode, "tmp": str(tmp),
            "pipe": writer, "dump": dump, "dump_signal": int(DUMP_SIGNAL),
        }  # fmt: skip
        job_path = tmp / "job.json"
        job_path.write_text(json.dumps(order), encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        env["TMPDIR"] = str(tmp)
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.child", str(job_path)],
            cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            pass_fds=(writer, dump), start_new_session=True,
        )  # fmt: skip
        os.close(writer)
        os.close(dump)
        self._buffer = b""
        self._limit = job.timeout
        self._deadline = 0.0
        self.rewind()
        with _live_lock:
            _live.add(self._process.pid)

    def rewind(self) -> None:
        """Start the time limit again."""
        self._deadline = time.monotonic() + self._limit

    def log_size(self) -> int:
        return os.fstat(self._log.fileno()).st_size

    def exited(self) -> bool:
        """Whether the process has ended; it stays unreaped so that its group number stays ours."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def stacks(self) -> str:
        """Where every thread of the child is, as far as the child can still tell."""
        os.kill(self._process.pid, DUMP_SIGNAL)
        size = -1
        for _ in range(10):
            time.sleep(0.2)
            if 0 < self._dump_path.stat().st_size == size:
                break
            size = self._dump_path.stat().st_size
        return _innermost(self._dump_path.read_text(errors="replace"))

    def end(self) -> int:
        """Kill what is left of the process group; returns the child's exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        with _live_lock:
            _live.discard(self._process.pid)
        os.close(self.pipe)
        self._log.close()
        return code

    def events(self) -> Iterator[dict[str, Any] | None]:
        """The child's announcements; None when the time limit has passed; ends with the child."""
        while True:
            wait = min(POLL_SECONDS, max(0.0, self._deadline - time.monotonic()))
            readable, _, _ = select.select([self.pipe], [], [], wait)
            gone = self.exited()  # asked before reading: what it wrote last is then still read
            data = b""
            with contextlib.suppress(BlockingIOError):
                data = os.read(self.pipe, 1 << 16)
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            for line in lines:
                yield json.loads(line)
            if gone and not data:
                return
            if readable and not data:
                time.sleep(0.02)  # the pipe is closed: the process is on its way out
            if time.monotonic() > self._deadline:
                yield None


class FileRunner:
    """Follows the children that run one file, one after the other."""

    def __init__(self, job: FileJob, note: Callable[[Outcome], None]) -> None:
        self._job = job
        self._note = note
        self._run = FileRun(job.file)
        self._left = job.tests  # None until a child has announced its plan

    def _record(self, outcome: Outcome) -> None:
        self._run.outcomes[outcome.test] = outcome
        if self._left is not None and outcome.test in self._left:
            self._left.remove(outcome.test)
        self._note(outcome)

    def _extra(self, name: str, outcome: str, detail: str) -> None:
        self._run.extras.append(Outcome(f"{self._job.file}.{name}", outcome, detail=detail))

    def _give_up(self, outcome: str, detail: str) -> None:
        """No child will do better with the tests that are left."""
        for test in list(self._left or ()):
            self._record(Outcome(test, outcome, detail=detail))
        self._left = []

    def _interrupted(self, running: str | None, phase: str, word: str, detail: str) -> None:
        """A child hung or died: charge it to what it was doing."""
        if running is not None:
            self._record(Outcome(running, word, detail=detail))
        elif phase == "import":
            self._extra("<import>", word, detail)
            self._give_up(word, f"while importing the file\n{detail}")
        elif phase == "exit":
            self._extra("<exit>", word, detail)
            self._give_up(LOST, "the process ended without having run it")
        elif self._left:
            # Before the next test began: in a class fixture, or cleaning up after the last test.
            # A fixture that hangs would do so for every test of its class.
            owner = self._left[0].rpartition(".")[0] + "."
            same = [test for test in self._left if test.startswith(owner)]
            for test in same if word == HANG else same[:1]:
                self._record(Outcome(test, word, detail=f"before the test began\n{detail}"))
        else:
            self._extra("<last fixture>", word, detail)

    def _attempt(self, tmp: Path) -> None:
        job, child = self._job, Child(self._job, self._left, tmp)
        running: str | None = None
        phase, log_mark = "import", child.log_size()
        ended = False
        try:
            for event in child.events():
                if event is None:
                    detail = f"no end after {job.timeout:g} s; its stacks:\n{child.stacks()}"
                    self._interrupted(running, phase, HANG, detail)
                    ended = True
                    break
                child.rewind()
                kind = event.pop("event")
                if kind == "plan":
                    phase = "tests"
                    unknown = [t for t in self._left or () if t not in set(event["tests"])]
                    for test in unknown:
                        self._record(Outcome(test, FAIL, detail="no such test on this subject"))
                    self._left = event["tests"]
                elif kind == "start":
                    running, log_mark = event["test"], child.log_size()
                elif kind == "end":
                    running = None
                    self._record(Outcome.from_json(event))
                elif kind == "extra":
                    self._extra(event["test"], FAIL, event["detail"])
                elif kind == "nothing":
                    phase = "exit"
                    self._nothing(event["outcome"], event["detail"])
                elif kind == "done":
                    phase = "exit"
                    self._give_up(LOST, "it was not run, and no fixture says why")
        finally:
            code = child.end()
        if not ended and (phase != "exit" or code != 0):
            how = f"killed by {_signal_name(-code)}" if code < 0 else f"exit code {code}"
            detail = f"the process ended: {how}; last output:\n{_tail(job.log, log_mark)}"
            self._interrupted(running, phase, CRASH, detail)

    def _nothing(self, outcome: str, detail: str) -> None:
        if outcome == "subject":
            raise SubjectMissing(detail)
        self._run.left_out = detail
        if outcome == FAIL:
            self._extra("<import>", FAIL, detail)
        self._give_up(outcome, f"the whole file: {detail}")
        self._left = []

    def run(self) -> FileRun:
        began = time.monotonic()
        self._job.log.parent.mkdir(parents=True, exist_ok=True)
        self._job.log.unlink(missing_ok=True)
        for _ in range(self._job.max_restarts + 1):
            if _stopping.is_set():
                raise Stopped
            with tempfile.TemporaryDirectory(prefix="conf-", ignore_cleanup_errors=True) as tmp:
                self._attempt(Path(tmp))
            if not self._left:
                break
        self._give_up(LOST, f"not run: {self._job.max_restarts} hangs and crashes in this file")
        self._run.seconds = time.monotonic() - began
        return self._run


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _innermost(dump: str, frames: int = 12) -> str:
    """The innermost frames of every thread (faulthandler writes them first)."""
    kept: list[str] = []
    depth = 0
    for line in dump.splitlines():
        depth = depth + 1 if line.startswith("  ") else 0
        if depth <= frames and line.strip():
            kept.append(line)
    return "\n".join(kept)[:DETAIL_LIMIT]


def _tail(log: Path, offset: int) -> str:
    with open(log, "rb") as stream:
        stream.seek(offset)
        return stream.read().decode(errors="replace")[-DETAIL_LIMIT:]


def run_file(job: FileJob, note: Callable[[Outcome], None] = lambda outcome: None) -> FileRun:
    """Run the tests of one file and say how each of them ended."""
    return FileRunner(job, note).run()
