"""The day's requests: counted here for the estimate, decided by the service.

A project has 10,000 requests a day, uploads included; the day is Pacific time. Our own count may be
too small (other programs, other machines), so only the service's answer ends a day, or a bound that
the user has set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from batuta_photos.schema import Statement
from batuta_photos.stops import QuotaReached

PACIFIC = ZoneInfo("America/Los_Angeles")
REQUESTS_PER_DAY = 10_000


def pacific_day(now: datetime | None = None) -> date:
    """Today, as the service counts days."""
    return (now or datetime.now(UTC)).astimezone(PACIFIC).date()


def next_day(now: datetime | None = None) -> datetime:
    """When the next day of the quota begins, in UTC."""
    following = pacific_day(now) + timedelta(days=1)
    return datetime.combine(following, datetime.min.time(), PACIFIC).astimezone(UTC)


def requests_to_send(size: int, resumable_from: int, chunk: int) -> int:
    """How many requests carry the bytes of one file: a session is opened, and goes by chunks."""
    return 1 if size < resumable_from else 1 + math.ceil(size / chunk)


def requests_for(files: int, uploads: int, batch: int = 50) -> int:
    """About how many requests it takes to upload so many files, `uploads` of them for the bytes."""
    return uploads + math.ceil(files / batch)


class Usage:
    """Counts the requests of today.

    Args:
        before: today's requests of earlier runs.
        limit: the user's own bound, or None.
    """

    def __init__(self, before: int = 0, limit: int | None = None) -> None:
        self.day = pacific_day()
        self.today = before
        self.of_run = 0
        self.limit = limit
        self._unsaved = 0

    def count(self) -> None:
        """One more request is about to be made.

        Raises:
            QuotaReached: the user's own bound is reached.
        """
        if pacific_day() != self.day:
            self.day, self.today, self._unsaved = pacific_day(), 0, 0
        if self.limit is not None and self.today >= self.limit:
            raise QuotaReached(
                f"{self.limit} requests were made today, as many as --daily-limit allows",
                next_day(),
            )
        self.today += 1
        self.of_run += 1
        self._unsaved += 1

    def unsaved(self) -> Sequence[Statement]:
        """For the journal: what was counted since the last time."""
        if not self._unsaved:
            return ()
        row = (self.day.isoformat(), self._unsaved)
        self._unsaved = 0
        return (
            Statement(
                "INSERT INTO usage VALUES (?, ?) "
                "ON CONFLICT (day) DO UPDATE SET requests = requests + excluded.requests",
                [row],
            ),
        )

    @property
    def left(self) -> int:
        """Requests that today still has, by our count."""
        return max(0, (self.limit or REQUESTS_PER_DAY) - self.today)

    def days_for(self, requests: int) -> int:
        """On how many days so many requests can be made, today included."""
        later = max(0, requests - self.left)
        return 1 + math.ceil(later / (self.limit or REQUESTS_PER_DAY))
