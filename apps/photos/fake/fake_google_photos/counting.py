"""What the service saw: the numbers that tests check and that the page shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .faults import UPLOADS, WRITES, Fault, Kind


class RequestLog:
    """Counts of requests.

    Attributes:
        counts: requests by kind, those that failed included.
        statuses: the same by kind and HTTP status of the answer; status 0 where the connection was
            cut instead.
        faults: faults that the plan caused.
        session_bytes: bytes that arrived for each resumable session, by its id, bytes that were
            thrown away included.
        bytes_received: bytes of uploads that arrived, raw and resumable.
        max_uploads: how many requests with bytes were under way at the same moment, at most.
        max_creates: how many `batchCreate` were under way at the same moment, at most.
        max_writes: how many writes of any kind were under way at the same moment, at most.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.faults: Counter[str] = Counter()
        self.session_bytes: Counter[str] = Counter()
        self.bytes_received = 0
        self.max_uploads = 0
        self.max_creates = 0
        self.max_writes = 0
        self._running: Counter[Kind] = Counter()

    @contextmanager
    def running(self, kind: Kind) -> Iterator[int]:
        """Counts a request of `kind` while it is under way; gives its number, from 1."""
        self.counts[kind] += 1
        number = self.counts[kind]
        self._running[kind] += 1
        self.max_uploads = max(self.max_uploads, self.uploads_running)
        self.max_creates = max(self.max_creates, self._running[Kind.CREATE_ITEMS])
        self.max_writes = max(self.max_writes, self.writes_running)
        try:
            yield number
        finally:
            self._running[kind] -= 1

    @property
    def uploads_running(self) -> int:
        """Requests with bytes that are under way now."""
        return sum(self._running[kind] for kind in UPLOADS)

    @property
    def writes_running(self) -> int:
        """Writes that are under way now."""
        return sum(self._running[kind] for kind in WRITES)

    def fault(self, fault: Fault) -> None:
        """Counts a fault that was caused."""
        self.faults[fault] += 1

    @property
    def total(self) -> int:
        """All requests."""
        return self.counts.total()
