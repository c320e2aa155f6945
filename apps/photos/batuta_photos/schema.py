"""The journal's tables, and the statements that change states.

Paths are kept as bytes: file names need not be valid UTF-8. Every statement that changes the state
of a content names the states it may come from, by the table in `states`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from batuta_photos.states import CONTENT_BEFORE, Content

VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS content (
    sha BLOB PRIMARY KEY,          -- SHA-256 of the bytes
    size INTEGER NOT NULL,
    mime TEXT NOT NULL,
    name TEXT NOT NULL,            -- the file name that the service is told
    state TEXT NOT NULL,
    session TEXT,                  -- SESSION: URL of the resumable upload
    granularity INTEGER,           -- SESSION: the unit of its chunks, in bytes
    sent INTEGER NOT NULL DEFAULT 0,  -- SESSION: bytes that the service had when last heard of
    token TEXT,                    -- UPLOADED, CREATING: the upload token
    token_at REAL,                 -- when it was given, Unix seconds
    media_id TEXT,                 -- CREATED: the id that the service gave
    error TEXT,                    -- FAILED: what the service said
    retryable INTEGER              -- FAILED: whether the next run may try by itself
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS placement (
    sha BLOB NOT NULL,
    album TEXT NOT NULL,           -- the title that was asked for
    state TEXT NOT NULL,
    album_id TEXT,                 -- PLACED: the album, or its continuation
    PRIMARY KEY (sha, album)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS job (
    path BLOB NOT NULL,
    album TEXT NOT NULL,
    size INTEGER,                  -- these three: the file when it was last looked at
    mtime_ns INTEGER,
    inode INTEGER,
    sha BLOB,                      -- its content; NULL if it was not read
    state TEXT NOT NULL,
    error TEXT,
    retryable INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,  -- removed from the disk by --delete-after-verified
    run INTEGER NOT NULL,          -- the last run that saw it
    PRIMARY KEY (path, album)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_by_sha ON job (sha, album);
CREATE INDEX IF NOT EXISTS job_by_run ON job (run, state);

CREATE TABLE IF NOT EXISTS album (
    title TEXT NOT NULL,           -- as asked for
    volume INTEGER NOT NULL,       -- 1, and more once 20,000 items are in
    id TEXT NOT NULL,
    PRIMARY KEY (title, volume)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS usage (
    day TEXT PRIMARY KEY,          -- in Pacific time, as the service counts
    requests INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS run (
    id INTEGER PRIMARY KEY,
    began REAL NOT NULL,
    ended REAL,
    folder BLOB NOT NULL,
    album TEXT NOT NULL,
    outcome TEXT
);
"""


@dataclass(frozen=True)
class Statement:
    """One SQL statement for any number of rows.

    With `exact`, each row must change exactly one row of the table: a state was not what the
    program takes it for otherwise.
    """

    sql: str
    rows: Sequence[Sequence[Any]]
    exact: bool = False


def move(new: Content, assignments: str, rows: Iterable[Sequence[Any]]) -> Statement:
    """A change of state of contents.

    Args:
        new: the state after it.
        assignments: what else is set, as SQL.
        rows: parameters of the assignments, then the SHA-256.
    """
    # In an order of its own, so that equal statements are equal texts and can be put together.
    before = ", ".join(f"'{state}'" for state in Content if state in CONTENT_BEFORE[new])
    extra = f", {assignments}" if assignments else ""
    sql = f"UPDATE content SET state = '{new}'{extra} WHERE sha = ? AND state IN ({before})"
    return Statement(sql, [tuple(row) for row in rows], exact=True)
