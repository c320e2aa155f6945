"""What an application may do: size limits that are fixed and quotas that are counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import date

from .clock import Clock
from .errors import ApiError, quota_exceeded

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Sizes that the API documents. Tests make them small."""

    photo_bytes: int = 200 * MIB
    video_bytes: int = 20 * 1024 * MIB
    granularity: int = 262_144  # bytes: what chunks of a resumable upload are multiples of
    batch: int = 50  # items in a batch
    album_items: int = 20_000
    description: int = 1_000  # characters
    file_name: int = 255  # characters
    album_title: int = 500  # characters
    upload_token_age: float = 86_400.0  # seconds
    access_token_age: float = 3_599.0  # seconds
    code_age: float = 600.0  # seconds
    session_age: float = 7 * 86_400.0  # seconds


@dataclass(frozen=True)
class Quota:
    """How much is allowed per project and day, and optionally per user and minute.

    `writes_per_minute` is Google's WritesPerMinutePerUser (30 where it was seen); None leaves it
    out.
    """

    requests_per_day: int = 10_000
    media_bytes_per_day: int = 75_000
    writes_per_minute: int | None = None


@dataclass
class _Used:
    day: date
    requests: int = 0
    media_bytes: int = 0
    writes: deque[float] = field(default_factory=deque)


class QuotaMeter:
    """Counts each project's requests by the clock's Pacific day."""

    def __init__(self, quota: Quota, clock: Clock) -> None:
        self.quota = quota
        self._clock = clock
        self._used: dict[str, _Used] = {}

    def _today(self, project: str) -> _Used:
        day = self._clock.day()
        used = self._used.get(project)
        if used is None or used.day != day:
            used = self._used[project] = _Used(day)
        return used

    def used(self, project: str) -> int:
        """Requests of today, as counted."""
        return self._today(project).requests

    def used_in_all(self) -> int:
        """Requests of today, of all projects."""
        return sum(self._today(project).requests for project in list(self._used))

    def exhaust(self, project: str) -> None:
        """Makes today's quota used up, whatever was asked for until now."""
        used = self._today(project)
        used.requests = max(used.requests, self.quota.requests_per_day)

    def count_request(self, project: str) -> None:
        """Counts a request of the API.

        Raises:
            ApiError: the day's quota is used up.
        """
        used = self._today(project)
        if used.requests >= self.quota.requests_per_day:
            raise self.day_error(project)
        used.requests += 1

    def day_error(self, project: str) -> ApiError:
        """The answer when the day's quota is used up."""
        return quota_exceeded(
            "All requests",
            "all_requests",
            "All requests per day",
            "ApiCallsPerProjectPerDay",
            self.quota.requests_per_day,
            project,
        )

    def count_media_bytes(self, project: str) -> None:
        """Counts a request for the bytes of a picture.

        Raises:
            ApiError: the day's quota is used up.
        """
        used = self._today(project)
        if used.media_bytes >= self.quota.media_bytes_per_day:
            raise quota_exceeded(
                "Media bytes requests",
                "media_bytes_requests",
                "Media bytes requests per day",
                "MediaBytesPerProjectPerDay",
                self.quota.media_bytes_per_day,
                project,
            )
        used.media_bytes += 1

    def count_write(self, project: str) -> None:
        """Counts a write (an album or items made or moved) by the minute.

        Raises:
            ApiError: there were too many in the last 60 seconds.
        """
        allowed = self.quota.writes_per_minute
        if allowed is None:
            return
        writes = self._today(project).writes
        now = self._clock.now()
        while writes and writes[0] <= now - 60:
            writes.popleft()
        if len(writes) >= allowed:
            raise self.write_error(project)
        writes.append(now)

    def write_error(self, project: str) -> ApiError:
        """The answer to too many writes in a minute; also what a rate limit looks like."""
        return quota_exceeded(
            "Write requests",
            "write_requests",
            "Write requests per minute per user",
            "WritesPerMinutePerUser",
            self.quota.writes_per_minute or 30,
            project,
        )
