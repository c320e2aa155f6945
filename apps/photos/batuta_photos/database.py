"""The journal's file: opening it, reading, and commits that many tasks share.

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
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiosqlite

from batuta_photos.schema import TABLES, VERSION, Statement
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


class Database:
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

    async def __aenter__(self) -> Self:
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

    async def _rows(self, sql: str, parameters: Iterable[Any] = ()) -> list[Any]:
        return list(await self._db.execute_fetchall(sql, parameters))

    async def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Any other question, for reports."""
        return await self._rows(sql, parameters)

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
        except Exception as error:
            # Whatever it is, such as a number that SQLite cannot hold: those who wait must hear it.
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
