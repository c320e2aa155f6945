"""What stock asyncio does with the same tests, and therefore which tests are counted.

Role: run every test once on stock, through the same child, watchdog and counting class as any
other subject, and keep the result.  A test is generic if it made a loop through a factory; it is
counted if stock, moreover, passes it on this machine.  A generic test that stock fails is tried
again twice, by itself, so that one unlucky moment does not take it out of the count; one that
stock still fails is named in the report, never silently dropped.

Ownership: the cache (by default under build/conformance/reference/) holds one folder per
interpreter build, tests and counting code (their digest is the folder's name), and one JSON file
per test file.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import slots
from .outcomes import CRASH, FAIL, HANG, PASS, Outcome
from .watchdog import FileJob, FileRun, run_file

ATTEMPTS = 3
COUNTING_CODE = ("child.py", "subject.py", "outcomes.py")


@dataclass
class Reference:
    """What stock did with one file."""

    file: str
    outcomes: dict[str, Outcome]
    extras: list[Outcome]
    left_out: str

    def counted(self, mode: str) -> list[str]:
        """The tests of this kind of run that stock passes, in the order of the file."""
        return [
            test
            for test, outcome in self.outcomes.items()
            if outcome.outcome == PASS and slots.counts(mode, test, outcome.loops)
        ]

    def failed(self, mode: str) -> list[Outcome]:
        """Those that stock fails here (a test that hangs may not tell of its loops)."""
        return [
            outcome
            for test, outcome in self.outcomes.items()
            if (outcome.outcome == FAIL and slots.counts(mode, test, outcome.loops))
            or (outcome.outcome in (HANG, CRASH) and slots.counts(mode, test, 1))
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "left_out": self.left_out,
            "outcomes": [o.to_json() for o in self.outcomes.values()],
            "extras": [o.to_json() for o in self.extras],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Reference:
        outcomes = [Outcome.from_json(o) for o in data["outcomes"]]
        return cls(
            data["file"],
            {o.test: o for o in outcomes},
            [Outcome.from_json(o) for o in data["extras"]],
            data["left_out"],
        )


def build_key(package_folder: Path) -> str:
    """A name for this interpreter build with these tests and this way of counting."""
    digest = hashlib.sha256()
    for part in (sys.version, platform.machine(), ssl.OPENSSL_VERSION, str(package_folder)):
        digest.update(part.encode() + b"\0")
    for path in sorted(package_folder.glob("*.py")):
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\0".encode())
    for name in COUNTING_CODE:
        digest.update((Path(__file__).parent / name).read_bytes())
    version = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    return f"{sys.implementation.name}-{version}-{digest.hexdigest()[:12]}"


def cache_path(build: Path, package_folder: Path, file: str) -> Path:
    return build / "reference" / build_key(package_folder) / f"{file}.json"


def load(path: Path) -> Reference | None:
    try:
        return Reference.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _save(path: Path, reference: Reference) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    partial.write_text(json.dumps(reference.to_json(), indent=1), encoding="utf-8")
    os.replace(partial, path)


def take(
    job: Callable[[list[str] | None, str], FileJob], file: str, path: Path
) -> tuple[Reference, FileRun]:
    """Run one file on stock and keep what it did; `job(tests, log_name)` makes the job."""
    run = run_file(job(None, file))
    reference = Reference(file, run.outcomes, run.extras, run.left_out)
    for attempt in range(1, ATTEMPTS):
        again = [o.test for o in reference.failed(slots.ACCELERATED)]
        if not again:
            break
        retried = run_file(job(again, f"{file}.again{attempt}"))
        reference.outcomes.update(
            {test: o for test, o in retried.outcomes.items() if o.outcome == PASS}
        )
    for outcome in reference.outcomes.values():
        if outcome.outcome == PASS:
            outcome.detail = ""
    _save(path, reference)
    return reference, run
