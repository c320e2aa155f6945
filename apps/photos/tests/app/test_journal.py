"""The journal: transitions, damage, many writers, one process."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from batuta_photos.database import JournalLock
from batuta_photos.files import Stamp
from batuta_photos.journal import Journal
from batuta_photos.schema import Statement
from batuta_photos.states import CONTENT_BEFORE, Content, Job, Placement
from batuta_photos.stops import JournalFailed, UsageError
from world import on_batuta

SHA = bytes(32)
STAMP = Stamp(10, 20, 30)


async def with_content(journal: Journal, sha: bytes = SHA) -> None:
    await journal.take_in(1, f"/{sha.hex()}.jpg", "A", STAMP, sha, ("image/jpeg", "a.jpg"))


def test_a_content_goes_its_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with Journal(tmp_path / "j") as journal:
            await with_content(journal)
            await journal.session_opened(SHA, "https://x/", 256)
            await journal.session_at(SHA, 512)
            row = await journal.content(SHA)
            assert (row.state, row.session, row.sent) == (Content.SESSION, "https://x/", 512)
            await journal.uploaded(SHA, "token")
            await journal.creating([SHA])
            await journal.created([(SHA, "id")], [(SHA, "A", "album")])
            row = await journal.content(SHA)
            assert (row.state, row.media_id, row.token) == (Content.CREATED, "id", None)
            assert await journal.albums_of(SHA) == {"A": Placement.PLACED}
            assert await journal.counts(1) == {Job.DONE: 1}
        async with Journal(tmp_path / "j") as journal:
            assert (await journal.content(SHA)).media_id == "id"

    on_batuta(main())


@pytest.mark.parametrize("state", [Content.NEW, Content.SESSION, Content.UPLOADED, Content.FAILED])
def test_no_item_is_made_without_its_intent_on_disk(tmp_path: Path, state: Content) -> None:
    """`created` from anything but `creating` is refused, and nothing of it is written."""

    async def main() -> None:
        assert state not in CONTENT_BEFORE[Content.CREATED]
        async with Journal(tmp_path / "j") as journal:
            await with_content(journal)
            await journal.write(Statement("UPDATE content SET state = ?", [(state,)]))
            with pytest.raises(JournalFailed, match="not in the state"):
                await journal.created([(SHA, "id")], [(SHA, "A", "album")])
            assert (await journal.content(SHA)).state is state
            assert await journal.albums_of(SHA) == {"A": Placement.WANTED}
            with pytest.raises(JournalFailed):  # nothing is written after that
                await journal.start_again([SHA])

    on_batuta(main())


def test_every_state_can_be_left_for_another_try() -> None:
    assert CONTENT_BEFORE.keys() == set(Content)
    assert CONTENT_BEFORE[Content.NEW] == set(Content)
    assert Content.CREATED not in CONTENT_BEFORE[Content.FAILED]


def test_writes_of_many_tasks_share_a_commit(tmp_path: Path) -> None:
    async def main() -> None:
        async with Journal(tmp_path / "j") as journal:
            before = journal.commits
            shas = [number.to_bytes(32, "big") for number in range(1, 501)]
            await asyncio.gather(*(with_content(journal, sha) for sha in shas))
            assert journal.commits - before <= 5
            assert (await journal.counts(1))[Job.PENDING] == 500

    on_batuta(main())


def test_what_was_written_is_flushed_to_the_disk(tmp_path: Path) -> None:
    async def main() -> None:
        async with Journal(tmp_path / "j") as journal:
            assert await journal.query("PRAGMA synchronous") == [(2,)]  # FULL
            assert await journal.query("PRAGMA journal_mode") == [("wal",)]

    on_batuta(main())


@pytest.mark.parametrize("damage", ["text", "newer", "folder"])
def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "j"
    if damage == "text":
        path.write_bytes(b"these are my notes, not a journal" * 100)
    elif damage == "newer":
        database = sqlite3.connect(path)
        database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        path.mkdir()

    async def main() -> None:
        before = path.read_bytes() if path.is_file() else b""
        with pytest.raises(JournalFailed):
            async with Journal(path):
                pass
        assert before == (path.read_bytes() if path.is_file() else b"")

    on_batuta(main())


def test_the_lock_is_held_by_one_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with JournalLock(path), pytest.raises(UsageError, match=str(os.getpid())):
        with JournalLock(path):
            pass
    with JournalLock(path):
        pass


def test_paths_of_any_bytes_are_kept(tmp_path: Path) -> None:
    async def main() -> None:
        path = os.fsdecode(b"/caf\xe9/\xff.jpg")
        async with Journal(tmp_path / "j") as journal:
            await journal.take_in(1, path, "A", STAMP, SHA, ("image/jpeg", "x"))
            (row,) = (await journal.known([path, "/other"]))[path]
            assert (row.path, row.stamp, row.sha) == (path, STAMP, SHA)
            assert [row.path for row in await journal.page("1", (), None, 5)] == [path]

    on_batuta(main())


def test_a_value_that_the_journal_cannot_hold_lets_nobody_wait_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        async with Journal(tmp_path / "j") as journal:
            statement = Statement("INSERT INTO usage VALUES ('day', ?)", [(1 << 64,)])
            async with asyncio.timeout(5):
                with pytest.raises(JournalFailed, match="too large"):
                    await journal.write(statement)

    on_batuta(main())


def test_files_with_numbers_of_64_bits_and_odd_times_are_kept(tmp_path: Path) -> None:
    """Some filesystems number their files by hashes of 64 bits."""
    plain = os.stat(tmp_path)
    stamps = []
    for inode, mtime_ns in ((1 << 64) - 5, 1), (1 << 63, 10**22), (7, -(10**9)):
        values = [*plain][:10]
        values[1] = inode
        stamps.append(Stamp.of(os.stat_result(values, {"st_mtime_ns": mtime_ns})))
    assert len(set(stamps)) == 3
    assert stamps[2] == Stamp(plain.st_size, -(10**9), 7)

    async def main() -> None:
        async with Journal(tmp_path / "j") as journal:
            for stamp in stamps:
                await journal.take_in(1, "/a", "A", stamp, SHA, ("image/jpeg", "x"))
                (row,) = (await journal.known(["/a"]))["/a"]
                assert row.stamp == stamp

    on_batuta(main())
