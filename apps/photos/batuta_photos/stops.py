"""Why a run ends before its work is done, and the exit codes of the command.

A `Stop` ends the whole run, whatever else is under way; what concerns one file only never is one.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of `batuta-photos`."""

    ALL_UP = 0
    SOME_FAILED = 1
    USAGE = 2
    SIGN_IN = 3
    QUOTA = 4
    INTERRUPTED = 130


class Stop(Exception):
    """Ends the run; the text is for the user."""

    code = Exit.SOME_FAILED


class UsageError(Stop):
    """The command cannot be carried out as it was given."""

    code = Exit.USAGE


class SignInNeeded(Stop):
    """There is no valid sign-in, or it lacks a permission."""

    code = Exit.SIGN_IN


class QuotaReached(Stop):
    """The day's requests are used up; `until` is when the next day of the quota begins."""

    code = Exit.QUOTA

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class ServiceUnreachable(Stop):
    """There is no answer from the service; nothing is wrong with the files."""


class StorageFull(Stop):
    """The account has no room left."""


class JournalFailed(Stop):
    """The journal cannot be written; going on would lose what was done."""


# What the user is told when several things end a run at once: the first of these.
_ORDER = (JournalFailed, SignInNeeded, QuotaReached, StorageFull, Stop)


def foremost(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception to tell of, when several tasks have ended at once."""
    flat: list[BaseException] = []
    waiting: list[BaseException] = [errors]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            flat.append(error)
    for error in flat:
        if not isinstance(error, Stop | asyncio.CancelledError):
            return error  # a fault of this program must be seen
    for kind in _ORDER:
        for error in flat:
            if isinstance(error, kind):
                return error
    return flat[0]
