"""The service's clock: real time that tests can move forward.

Everything that ages here (access tokens, authorisation codes, upload tokens, the day's quota, the
minute of the write limit) reads this clock and nothing else, so a test reaches the next day with
one call. Quotas of Google's API roll over at midnight Pacific time.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:
        # A machine without time zone data: standard time is at most one hour off.
        return timezone(timedelta(hours=-8), "PST")


class Clock:
    """Unix time in seconds, with an offset that only grows.

    Args:
        start: the Unix time (seconds) that the clock shows at first; None for the time of day.
    """

    def __init__(self, start: float | None = None) -> None:
        self._zone = _pacific()
        # From here on the monotonic clock counts, so that a step of the machine's clock under way
        # expires nothing.
        self._origin = (time.time() if start is None else start) - time.monotonic()

    def now(self) -> float:
        """The time in Unix seconds."""
        return self._origin + time.monotonic()

    def advance(self, seconds: float) -> None:
        """Moves the clock `seconds` forward.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"the clock moves forward only, not by {seconds} s")
        self._origin += seconds

    def day(self) -> date:
        """The day in Pacific time: the one that daily quotas are counted by."""
        return datetime.fromtimestamp(self.now(), self._zone).date()

    def until_next_day(self) -> float:
        """Seconds until midnight Pacific time, when daily quotas begin anew."""
        now = datetime.fromtimestamp(self.now(), self._zone)
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), self._zone)
        # Both sides in UTC: a difference within one zone would leave the change of summer time out.
        return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()

    def timestamp(self, at: float | None = None) -> str:
        """`at` (Unix seconds; None for now) as Google writes times: 2026-03-01T12:30:00Z."""
        moment = datetime.fromtimestamp(self.now() if at is None else at, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
