"""The words for how a test ended, used by both sides of the pipe.

Role: one vocabulary.  `child.py` says PASS, FAIL or SKIP; `watchdog.py` adds HANG and CRASH for
tests whose process did not live to say anything, and LOST for tests that were never started.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PASS = "pass"
FAIL = "fail"
SKIP = "skip"
HANG = "hang"
CRASH = "crash"
LOST = "lost"


@dataclass
class Outcome:
    """How one test ended: `loops` counts the loops it made through a factory."""

    test: str
    outcome: str
    seconds: float = 0.0
    loops: int = 0
    skipped_subtests: int = 0
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        return cls(**data)
