"""What a run has done so far: numbers for the screen and the last word, and events for `--json`.

Only written by the pipeline, only read by what shows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from batuta_photos.states import Job


def _nothing(event: dict[str, Any]) -> None:
    pass


@dataclass
class Tally:
    """Attributes: counts of files unless said otherwise.

    found: met so far; `scanned` says that there will be no more.
    unchanged: known from an earlier run, nothing to do.
    read, read_bytes: hashed.
    ended: by their state.
    duplicates: files whose content was up or under way because of another file.
    wanted_bytes: bytes that are to go up (each content once); `sent_bytes` that have.
    contents: contents created; `creates` requests that did it.
    """

    found: int = 0
    scanned: bool = False
    unchanged: int = 0
    read: int = 0
    read_bytes: int = 0
    ended: dict[Job, int] = field(default_factory=lambda: dict.fromkeys(Job, 0))
    duplicates: int = 0
    wanted_bytes: int = 0
    sent_bytes: int = 0
    uploads: int = 0
    contents: int = 0
    creates: int = 0
    deleted: int = 0
    retries: int = 0
    to_upload: int = 0
    to_upload_requests: int = 0
    waiting: str = ""
    waiting_until: float = 0.0
    began: float = field(default_factory=time.monotonic)
    cpu_began: float = field(default_factory=time.process_time)
    on_event: Callable[[dict[str, Any]], None] = _nothing

    @property
    def wants_events(self) -> bool:
        """Whether anybody looks at single files."""
        return self.on_event is not _nothing

    def begin_again(self) -> None:
        """The files will be met once more, in another pass of the same run."""
        self.found = self.unchanged = self.duplicates = 0
        self.scanned = False
        self.ended = dict.fromkeys(Job, 0)
        self.wanted_bytes = self.sent_bytes
        self.waiting = ""

    def end(self, state: Job, count: int = 1) -> None:
        self.ended[state] += count

    def file(self, state: Job, path: str, album: str, error: str = "") -> None:
        """A file has come to its end."""
        if self.wants_events:
            event: dict[str, Any] = {"event": "file", "state": state, "path": path, "album": album}
            if error:
                event["error"] = error
            self.on_event(event)

    @property
    def files_ended(self) -> int:
        return self.unchanged + sum(self.ended.values())

    def wait(self, seconds: float, why: str) -> None:
        """Everything waits, because the service asked for it."""
        self.waiting, self.waiting_until = why, time.monotonic() + seconds
