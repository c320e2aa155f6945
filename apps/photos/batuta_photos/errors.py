"""Errors of the API: reading their bodies, and what each one asks of the client.

Bodies come in several shapes: Google's `{"error": {...}}`, a bare `{"code", "message"}` from the
upload endpoint, and HTML from something in between. The text the service gave is always kept.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

MESSAGE_LENGTH = 500  # characters of an error text that are kept
STORAGE = re.compile(r"\bstorage\b", re.IGNORECASE)


class Verdict(Enum):
    """What to do about a failed request."""

    RETRY = auto()  # the service stumbled: again after a while
    SLOW_DOWN = auto()  # too much at once: everything waits
    DAY_QUOTA = auto()  # nothing more today
    SIGN_IN = auto()  # the access token is refused
    FORBIDDEN = auto()  # signed in, but not allowed
    GONE = auto()  # what was asked about is not there (any more)
    STORAGE_FULL = auto()  # the account has no room left
    REFUSED = auto()  # asking again would not help


class ApiError(Exception):
    """The service answered with an error.

    Args:
        status: the HTTP status.
        message: the service's own text.
        name: its name of the status, e.g. RESOURCE_EXHAUSTED; may be empty.
        limit: which quota was exceeded, e.g. ApiCallsPerProjectPerDay; may be empty.
        retry_after: seconds that the service asks to wait, or None.
    """

    def __init__(
        self,
        status: int,
        message: str,
        name: str = "",
        limit: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, message, name, limit, retry_after)
        self.status = status
        self.message = message
        self.name = name
        self.limit = limit
        self.retry_after = retry_after

    def __str__(self) -> str:
        return (
            f"{self.status} {self.name}: {self.message}"
            if self.name
            else f"{self.status}: {self.message}"
        )

    @property
    def verdict(self) -> Verdict:
        if self.status == 429:
            if STORAGE.search(self.message):
                return Verdict.STORAGE_FULL
            by_day = "PerDay" in self.limit or "per day" in self.message.lower()
            return Verdict.DAY_QUOTA if by_day else Verdict.SLOW_DOWN
        if self.status == 401:
            return Verdict.SIGN_IN
        if self.status == 403:
            return Verdict.FORBIDDEN
        if self.status in (404, 410):
            return Verdict.GONE
        if self.status in (408, 409) or self.status >= 500:
            return Verdict.RETRY
        if STORAGE.search(self.message):
            return Verdict.STORAGE_FULL
        return Verdict.REFUSED


class Garbled(Exception):
    """An answer that should be a success but cannot be read; what it did is unknown."""


def _limit_of(error: dict[str, Any]) -> str:
    for detail in error.get("details") or ():
        if isinstance(detail, dict):
            metadata = detail.get("metadata")
            if isinstance(metadata, dict) and metadata.get("quota_limit"):
                return str(metadata["quota_limit"])
    return ""


def _text_of(body: str) -> str:
    """What a person can read of a body that is no JSON, such as a proxy's page."""
    words = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", body, flags=re.DOTALL | re.IGNORECASE)
    return " ".join(words.split())[:MESSAGE_LENGTH] or "no text"


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after or ""))
    except ValueError:
        return None  # absent, or a date, which Google's services do not send


def read_error(status: int, body: str, retry_after: str | None = None) -> ApiError:
    """The error of a response, whatever its body is.

    Args:
        status: the HTTP status.
        body: the text of the body.
        retry_after: the header of that name.
    """
    wait = _seconds(retry_after)
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        return ApiError(status, _text_of(body), retry_after=wait)
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]
    if isinstance(parsed, dict):
        error = parsed.get("error", parsed)
        if isinstance(error, dict):
            message = str(error.get("message") or "no text")[:MESSAGE_LENGTH]
            return ApiError(status, message, str(error.get("status") or ""), _limit_of(error), wait)
        if isinstance(error, str):
            message = str(parsed.get("error_description") or error)[:MESSAGE_LENGTH]
            return ApiError(status, message, error, retry_after=wait)
    return ApiError(status, _text_of(body), retry_after=wait)


class ItemVerdict(Enum):
    """What became of one item of a batch."""

    CREATED = auto()
    EXISTS = auto()  # the service had the same bytes; the id is the item's that it has
    EXISTS_SOMEWHERE = auto()  # it had them, but did not name the item
    BYTES_AGAIN = auto()  # the upload token is not good: the bytes must go up once more
    RETRY = auto()
    REFUSED = auto()
    STORAGE_FULL = auto()


@dataclass(frozen=True)
class ItemResult:
    """The service's answer for one item of `batchCreate`."""

    verdict: ItemVerdict
    media_id: str = ""
    message: str = ""


# Codes of google.rpc.Code under which the same request may go well later:
# CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE.
_PASSING = frozenset({1, 2, 4, 8, 10, 13, 14})
_BAD_MEDIA = re.compile(r"BAD_|NOT_IMAGE|UNSUPPORTED|INVALID_IMAGE|too large", re.IGNORECASE)
_OK_WORDS = ("", "success", "ok")


def read_item(result: dict[str, Any]) -> ItemResult:
    """The meaning of one entry of `newMediaItemResults`.

    Success needs an id: without one nothing could be verified later.
    """
    status = result.get("status") or {}
    item = result.get("mediaItem") or {}
    if not isinstance(status, dict) or not isinstance(item, dict):
        return ItemResult(ItemVerdict.RETRY, message="an answer that cannot be read")
    media_id = str(item.get("id") or "")
    text = str(status.get("message") or "")[:MESSAGE_LENGTH]
    try:
        code = int(status.get("code") or 0)
    except (TypeError, ValueError):
        code = 2
    if code == 0:
        if media_id:
            return ItemResult(ItemVerdict.CREATED, media_id)
        if text.lower() in _OK_WORDS:
            text = "the service answered without the item's id"
        return ItemResult(ItemVerdict.RETRY, message=text)
    message = f"{code}: {text}" if text else f"code {code}"
    if code == 6:
        if media_id:
            return ItemResult(ItemVerdict.EXISTS, media_id)
        return ItemResult(ItemVerdict.EXISTS_SOMEWHERE, message=message)
    if STORAGE.search(text):
        return ItemResult(ItemVerdict.STORAGE_FULL, message=message)
    if code in _PASSING:
        return ItemResult(ItemVerdict.RETRY, message=message)
    if code in (3, 5, 9) and not _BAD_MEDIA.search(text):
        # An upload token that is too old or unknown is not named as the reason.
        return ItemResult(ItemVerdict.BYTES_AGAIN, message=message)
    return ItemResult(ItemVerdict.REFUSED, message=message)
