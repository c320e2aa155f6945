"""The journal: what is known of every file, every content and every album, on disk.

SQLite in WAL mode with synchronous=FULL: what `write` has returned from survives a power cut. Many
tasks write at once; what they ask for while one commit is under way goes into the next together, so
that the disk is waited for a few times a second and not for each file.

Owns the connection and the task that writes. Used on the loop's thread. One process at a time: the
caller holds a `JournalLock`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import aiosqlite

from batuta_photos.files import Stamp
from batuta_photos.schema import TABLES, VERSION, Statement, move
from batuta_photos.states import Content, Job, Placement
from batuta_photos.stops import JournalFailed, UsageError


def copy_journal(path: Path, folder: Path) -> Path:
    """A copy that may be changed; empty if there is no journal yet. Blocking."""
    copy = folder / "journal.sqlite3"
    if path.exists():
        try:
            with (
                contextlib.closing(
                    sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
                ) as old,
                contextlib.closing(sqlite3.connect(copy)) as new,
            ):
                old.backup(new)
        except sqlite3.Error as error:
            raise JournalFailed(f"cannot read the journal {path}: {error}") from error
    return copy


class JournalLock:
    """Held by the one process that may write a journal; let go by the kernel if that dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> JournalLock:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise UsageError(
                f"another batuta-photos (process {holder or 'unknown'}) works with this account"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


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


_JOB = "path, album, size, mtime_ns, inode, sha, state, error, retryable"
_CONTENT = (
    "sha, size, mime, name, state, session, granularity, sent, token, token_at, media_id, error, "
    "retryable"
)


def _job(row: Sequence[Any]) -> JobRow:
    stamp = None if row[2] is None else Stamp(row[2], row[3], row[4])
    return JobRow(os.fsdecode(row[0]), row[1], stamp, row[5], Job(row[6]), row[7], bool(row[8]))


def _content(row: Sequence[Any]) -> ContentRow:
    values = [*row[:4], Content(row[4]), *row[5:12], bool(row[12])]
    return ContentRow(**dict(zip(_CONTENT.split(", "), values, strict=True)))


class Journal:
    """Use as an asynchronous context manager.

    Args:
        path: the file; made if it is not there.

    Raises:
        JournalFailed: the file is no journal, or of a newer version, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: list[tuple[Sequence[Statement], asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._failed: JournalFailed | None = None
        self.each_commit: Callable[[], Sequence[Statement]] = tuple
        self.commits = 0

    async def __aenter__(self) -> Journal:
        try:
            self._path.touch(mode=0o600)
            if not self._path.is_file():
                raise JournalFailed(f"{self._path} is no file")
            self._db = await aiosqlite.connect(self._path, isolation_level=None, timeout=10)
        except (OSError, sqlite3.Error) as error:
            raise JournalFailed(f"cannot open the journal {self._path}: {error}") from error
        try:
            version = (await self._rows("PRAGMA user_version"))[0][0]
            if version > VERSION:
                raise JournalFailed(f"{self._path} was written by a newer batuta-photos")
            await self._db.execute("PRAGMA journal_mode = WAL")
            await self._db.execute("PRAGMA synchronous = FULL")
            await self._db.executescript(TABLES)
            await self._db.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException as error:
            await self._db.close()
            if isinstance(error, sqlite3.Error):
                raise JournalFailed(f"{self._path} is not usable: {error}") from error
            raise
        self._writer = asyncio.get_running_loop().create_task(self._write_on(), name="journal")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        self._wake.set()
        try:
            await self._writer
        finally:
            await self._db.close()

    # Reading

    async def _rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        return list(await self._db.execute_fetchall(sql, parameters))

    async def known(self, paths: Sequence[str]) -> dict[str, list[JobRow]]:
        """What is known of these files, in whatever albums."""
        marks = ",".join("?" * len(paths))
        rows = await self._rows(
            f"SELECT {_JOB} FROM job WHERE path IN ({marks})", [os.fsencode(path) for path in paths]
        )
        found: dict[str, list[JobRow]] = {}
        for row in map(_job, rows):
            found.setdefault(row.path, []).append(row)
        return found

    async def content(self, sha: bytes) -> ContentRow:
        rows = await self._rows(f"SELECT {_CONTENT} FROM content WHERE sha = ?", (sha,))
        return _content(rows[0])

    async def albums_of(self, sha: bytes) -> dict[str, Placement]:
        """The albums that a content is in or wanted in."""
        rows = await self._rows("SELECT album, state FROM placement WHERE sha = ?", (sha,))
        return {album: Placement(state) for album, state in rows}

    async def files_of(self, sha: bytes, state: Job, run: int) -> list[JobRow]:
        """The files of a run that have a content."""
        rows = await self._rows(
            f"SELECT {_JOB} FROM job WHERE sha = ? AND state = ? AND run = ?", (sha, state, run)
        )
        return [_job(row) for row in rows]

    async def album_ids(self, title: str) -> list[str]:
        """The ids of an album and its continuations, in order."""
        rows = await self._rows("SELECT id FROM album WHERE title = ? ORDER BY volume", (title,))
        return [row[0] for row in rows]

    async def requests_of(self, day: str) -> int:
        rows = await self._rows("SELECT requests FROM usage WHERE day = ?", (day,))
        return int(rows[0][0]) if rows else 0

    async def page(
        self, where: str, parameters: Sequence[Any], after: tuple[str, str] | None, size: int
    ) -> list[JobRow]:
        """One page of jobs in order of path and album; `after` is the last of the page before."""
        path, album = (os.fsencode(after[0]), after[1]) if after else (b"", "")
        rows = await self._rows(
            f"SELECT {_JOB} FROM job WHERE ({where}) AND (path, album) > (?, ?) "
            "ORDER BY path, album LIMIT ?",
            (*parameters, path, album, size),
        )
        return [_job(row) for row in rows]

    async def counts(self, run: int | None = None) -> dict[Job, int]:
        """Jobs by state: of one run, or all."""
        rows = await self._rows(
            "SELECT state, count(*) FROM job WHERE run = ? OR ? IS NULL GROUP BY state", (run, run)
        )
        return {Job(state): count for state, count in rows}

    async def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Any other question, for reports."""
        return await self._rows(sql, parameters)

    # Writing

    async def write(self, *statements: Statement) -> None:
        """Carry out statements in one transaction; back when it is safe on disk.

        Raises:
            JournalFailed: the disk is full, or a state was not what it had to be.
        """
        if self._failed is not None:
            raise self._failed
        done = asyncio.get_running_loop().create_future()
        self._pending.append((statements, done))
        self._wake.set()
        await done

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._pending:
                group, self._pending = self._pending, []
                await self._commit(group)
            if self._closing and not self._pending:
                return

    async def _commit(self, group: list[tuple[Sequence[Statement], asyncio.Future[None]]]) -> None:
        merged: dict[tuple[str, bool], list[Sequence[Any]]] = {}
        for statement in (
            *(one for statements, _ in group for one in statements),
            *self.each_commit(),
        ):
            merged.setdefault((statement.sql, statement.exact), []).extend(statement.rows)
        failed = None
        try:
            await self._db.execute("BEGIN IMMEDIATE")
            for (sql, exact), rows in merged.items():
                if not rows:
                    continue
                cursor = await self._db.executemany(sql, rows)
                if exact and cursor.rowcount != len(rows):
                    raise JournalFailed(
                        f"the journal is not in the state it must be: {cursor.rowcount} of "
                        f"{len(rows)} rows for {sql!r}"
                    )
            await self._db.execute("COMMIT")
            self.commits += 1
        except (sqlite3.Error, JournalFailed) as error:
            failed = (
                error
                if isinstance(error, JournalFailed)
                else JournalFailed(f"cannot write the journal {self._path}: {error}")
            )
            self._failed = failed
            with contextlib.suppress(sqlite3.Error):
                await self._db.execute("ROLLBACK")
        for _, done in group:
            if done.done():
                continue
            if failed is None:
                done.set_result(None)
            else:
                done.set_exception(failed)

    async def begin_run(self, folder: str, album: str) -> int:
        """A new run; its number."""
        await self.write(
            Statement(
                "INSERT INTO run (began, folder, album) VALUES (?, ?, ?)",
                [(time.time(), os.fsencode(folder), album)],
            )
        )
        return int((await self._rows("SELECT max(id) FROM run"))[0][0])

    async def end_run(self, run: int, outcome: str) -> None:
        await self.write(
            Statement(
                "UPDATE run SET ended = ?, outcome = ? WHERE id = ?", [(time.time(), outcome, run)]
            )
        )

    # Contents

    async def session_opened(self, sha: bytes, url: str, granularity: int) -> None:
        row = (url, granularity, sha)
        await self.write(move(Content.SESSION, "session = ?, granularity = ?, sent = 0", [row]))

    async def session_at(self, sha: bytes, sent: int) -> None:
        await self.write(move(Content.SESSION, "sent = ?", [(sent, sha)]))

    async def uploaded(self, sha: bytes, token: str) -> None:
        row = (token, time.time(), sha)
        await self.write(move(Content.UPLOADED, "token = ?, token_at = ?, session = NULL", [row]))

    async def creating(self, shas: Iterable[bytes]) -> None:
        """Before the request that makes the items."""
        await self.write(move(Content.CREATING, "", [(sha,) for sha in shas]))

    async def not_created(self, shas: Iterable[bytes]) -> None:
        """The service said that these were not made; their tokens are still good."""
        await self.write(move(Content.UPLOADED, "", [(sha,) for sha in shas]))

    async def created(
        self,
        items: Iterable[tuple[bytes, str | None]],
        placed: Iterable[tuple[bytes, str, str]],
    ) -> None:
        """The service has made these items.

        Args:
            items: content and media item id; None if the service only said that it has it.
            placed: content, album title and album id of those known to be in the album, whose
                files are done with that.
        """
        rows = [(media_id, sha) for sha, media_id in items]
        await self.write(
            move(Content.CREATED, "media_id = ?, token = NULL, session = NULL", rows),
            *_placed(list(placed)),
        )

    async def placed(self, placed: Iterable[tuple[bytes, str, str]]) -> None:
        """These are in their albums: content, title and album id. Their files are done."""
        await self.write(*_placed(list(placed)))

    async def start_again(self, shas: Iterable[bytes]) -> None:
        """Their bytes must go up again."""
        cleared = "session = NULL, token = NULL, sent = 0, media_id = NULL, error = NULL"
        await self.write(move(Content.NEW, cleared, [(sha,) for sha in shas]))

    async def content_failed(self, sha: bytes, error: str, *, retryable: bool) -> None:
        """Given up; the files that have it fail with it."""
        row = (error, retryable, sha)
        await self.write(
            move(Content.FAILED, "error = ?, retryable = ?, session = NULL, token = NULL", [row]),
            Statement(
                f"UPDATE job SET state = '{Job.FAILED}', error = ?, retryable = ? "
                f"WHERE sha = ? AND state = '{Job.PENDING}'",
                [row],
            ),
        )

    async def jobs_failed(self, sha: bytes, error: str, *, retryable: bool) -> None:
        """The item exists, but its files cannot be had in their albums."""
        await self.write(
            Statement(
                f"UPDATE job SET state = '{Job.FAILED}', error = ?, retryable = ? "
                f"WHERE sha = ? AND state = '{Job.PENDING}'",
                [(error, retryable, sha)],
            )
        )

    async def finish(self, sha: bytes, albums: Iterable[str]) -> None:
        """The files of a content that is in these albums are done."""
        await self.write(_done((sha, album) for album in albums))

    async def keep_album(self, title: str, volume: int, album_id: str) -> None:
        await self.write(
            Statement("INSERT OR REPLACE INTO album VALUES (?, ?, ?)", [(title, volume, album_id)])
        )

    async def forget_album(self, title: str) -> None:
        """It is not there any more: everything that was in it is wanted in it again."""
        await self.write(
            Statement("DELETE FROM album WHERE title = ?", [(title,)]),
            Statement(
                f"UPDATE placement SET state = '{Placement.WANTED}', album_id = NULL "
                "WHERE album = ?",
                [(title,)],
            ),
            Statement(
                f"UPDATE job SET state = '{Job.PENDING}' "
                f"WHERE album = ? AND state = '{Job.DONE}' AND NOT deleted",
                [(title,)],
            ),
        )

    # Jobs

    async def seen(self, run: int, rows: Iterable[tuple[str, str]]) -> None:
        """This run met these files (path, album) and has nothing to do for them."""
        await self.write(
            Statement(
                "UPDATE job SET run = ? WHERE path = ? AND album = ?",
                [(run, os.fsencode(path), album) for path, album in rows],
            )
        )

    async def take_in(
        self,
        run: int,
        path: str,
        album: str,
        stamp: Stamp,
        sha: bytes,
        media: tuple[str, str] | None,
    ) -> None:
        """A file whose content is known is wanted in an album.

        Args:
            media: its type and name, if the journal may not have the content yet. Where it has, the
                first file's name stays.
        """
        content = [] if media is None else [(sha, stamp.size, *media)]
        await self.write(
            Statement(
                "INSERT OR IGNORE INTO content (sha, size, mime, name, state) "
                f"VALUES (?, ?, ?, ?, '{Content.NEW}')",
                content,
            ),
            Statement(
                f"INSERT OR IGNORE INTO placement VALUES (?, ?, '{Placement.WANTED}', NULL)",
                [(sha, album)],
            ),
            self._job(run, path, album, stamp, sha, Job.PENDING, None, False),
        )

    async def pretend(self, sha: bytes, albums: Iterable[str]) -> None:
        """For the copy that a dry run works on: this content is up."""
        await self.write(
            Statement(f"UPDATE content SET state = '{Content.CREATED}' WHERE sha = ?", [(sha,)]),
            *_placed([(sha, album, "") for album in albums]),
        )

    async def job_ended(
        self,
        run: int,
        path: str,
        album: str,
        stamp: Stamp | None,
        state: Job,
        error: str,
        *,
        retryable: bool = True,
        sha: bytes | None = None,
    ) -> None:
        """A file that is left out or failed by itself, whatever its content."""
        await self.write(self._job(run, path, album, stamp, sha, state, error, retryable))

    def _job(
        self,
        run: int,
        path: str,
        album: str,
        stamp: Stamp | None,
        sha: bytes | None,
        state: Job,
        error: str | None,
        retryable: bool,
    ) -> Statement:
        # In the place of an older row: the file may have been another one then.
        look = (stamp.size, stamp.mtime_ns, stamp.inode) if stamp else (None, None, None)
        return Statement(
            "INSERT OR REPLACE INTO job "
            "(path, album, size, mtime_ns, inode, sha, state, error, retryable, run) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(os.fsencode(path), album, *look, sha, state, error, retryable, run)],
        )

    async def path_lost(
        self, path: str, sha: bytes, state: Job, error: str, *, retryable: bool = True
    ) -> list[str]:
        """A file does not have this content any more; returns the albums it was wanted in."""
        where = f"path = ? AND sha = ? AND state = '{Job.PENDING}'"
        key = (os.fsencode(path), sha)
        rows = await self._rows(f"SELECT album FROM job WHERE {where}", key)
        await self.write(
            Statement(
                "UPDATE job SET state = ?, error = ?, retryable = ?, sha = NULL, size = NULL, "
                f"mtime_ns = NULL, inode = NULL WHERE {where}",
                [(state, error, retryable, *key)],
            )
        )
        return [row[0] for row in rows]

    async def deleted(self, path: str, sha: bytes) -> None:
        await self.write(
            Statement(
                "UPDATE job SET deleted = 1 WHERE path = ? AND sha = ?", [(os.fsencode(path), sha)]
            )
        )


def _done(rows: Iterable[tuple[bytes, str]]) -> Statement:
    return Statement(
        f"UPDATE job SET state = '{Job.DONE}', error = NULL "
        f"WHERE sha = ? AND album = ? AND state = '{Job.PENDING}'",
        list(rows),
    )


def _placed(placed: Sequence[tuple[bytes, str, str]]) -> tuple[Statement, Statement]:
    return (
        Statement(
            f"UPDATE placement SET state = '{Placement.PLACED}', album_id = ? "
            "WHERE sha = ? AND album = ?",
            [(album_id, sha, album) for sha, album, album_id in placed],
            exact=True,
        ),
        _done((sha, album) for sha, album, _ in placed),
    )
