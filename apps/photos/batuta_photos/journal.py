"""The journal: what is known of every file, every content and every album.

How it is kept safe on disk is in `database`, the tables are in `schema`, the states in `states`.
Each method that writes is one transaction, and returns when that is on disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import Any

from batuta_photos.database import Database
from batuta_photos.files import Stamp
from batuta_photos.rows import CONTENT, JOB, ContentRow, JobRow, read_content, read_job
from batuta_photos.schema import Statement, move
from batuta_photos.states import Content, Job, Placement


class Journal(Database):
    """An account's journal; see `Database` for how to open it."""

    # Reading

    async def known(self, paths: Sequence[str]) -> dict[str, list[JobRow]]:
        """What is known of these files, in whatever albums."""
        marks = ",".join("?" * len(paths))
        rows = await self._rows(
            f"SELECT {JOB} FROM job WHERE path IN ({marks})", [os.fsencode(path) for path in paths]
        )
        found: dict[str, list[JobRow]] = {}
        for row in map(read_job, rows):
            found.setdefault(row.path, []).append(row)
        return found

    async def content(self, sha: bytes) -> ContentRow:
        rows = await self._rows(f"SELECT {CONTENT} FROM content WHERE sha = ?", (sha,))
        return read_content(rows[0])

    async def albums_of(self, sha: bytes) -> dict[str, Placement]:
        """The albums that a content is in or wanted in."""
        rows = await self._rows("SELECT album, state FROM placement WHERE sha = ?", (sha,))
        return {album: Placement(state) for album, state in rows}

    async def files_of(self, sha: bytes, state: Job, run: int) -> list[JobRow]:
        """The files of a run that have a content."""
        rows = await self._rows(
            f"SELECT {JOB} FROM job WHERE sha = ? AND state = ? AND run = ?", (sha, state, run)
        )
        return [read_job(row) for row in rows]

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
            f"SELECT {JOB} FROM job WHERE ({where}) AND (path, album) > (?, ?) "
            "ORDER BY path, album LIMIT ?",
            (*parameters, path, album, size),
        )
        return [read_job(row) for row in rows]

    async def counts(self, run: int | None = None) -> dict[Job, int]:
        """Jobs by state: of one run, or all."""
        rows = await self._rows(
            "SELECT state, count(*) FROM job WHERE run = ? OR ? IS NULL GROUP BY state", (run, run)
        )
        return {Job(state): count for state, count in rows}

    # Runs

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

    async def forget_album(self, title: str, album_id: str) -> None:
        """It is not there any more: everything that was in it is wanted under its title again.

        Other albums of the title (its continuations) stay as they are.
        """
        key = (title, album_id)
        await self.write(
            Statement("DELETE FROM album WHERE title = ? AND id = ?", [key]),
            Statement(
                f"UPDATE job SET state = '{Job.PENDING}' "
                f"WHERE album = ? AND state = '{Job.DONE}' AND NOT deleted "
                "AND sha IN (SELECT sha FROM placement WHERE album = ? AND album_id = ?)",
                [(title, *key)],
            ),
            Statement(
                f"UPDATE placement SET state = '{Placement.WANTED}', album_id = NULL "
                "WHERE album = ? AND album_id = ?",
                [key],
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
            # It may have failed before because its album could not be told.
            Statement("DELETE FROM job WHERE path = ? AND album = ''", [(os.fsencode(path),)]),
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
