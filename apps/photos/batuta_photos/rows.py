"""Rows of the journal as the program sees them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from batuta_photos.files import Stamp
from batuta_photos.states import Content, Job


@dataclass(frozen=True)
class JobRow:
    """What the journal knows of a file in an album."""

    path: str
    album: str
    stamp: Stamp | None
    sha: bytes | None
    state: Job
    error: str | None
    retryable: bool


@dataclass(frozen=True)
class ContentRow:
    """What the journal knows of a content."""

    sha: bytes
    size: int
    mime: str
    name: str
    state: Content
    session: str | None
    granularity: int | None
    sent: int
    token: str | None
    token_at: float | None
    media_id: str | None
    error: str | None
    retryable: bool


JOB = "path, album, size, mtime_ns, inode, sha, state, error, retryable"
CONTENT = (
    "sha, size, mime, name, state, session, granularity, sent, token, token_at, media_id, error, "
    "retryable"
)


def read_job(row: Sequence[Any]) -> JobRow:
    stamp = None if row[2] is None else Stamp(row[2], row[3], row[4])
    return JobRow(os.fsdecode(row[0]), row[1], stamp, row[5], Job(row[6]), row[7], bool(row[8]))


def read_content(row: Sequence[Any]) -> ContentRow:
    values = [*row[:4], Content(row[4]), *row[5:12], bool(row[12])]
    return ContentRow(**dict(zip(CONTENT.split(", "), values, strict=True)))
