"""`--delete-after-verified`: only what the service confirmed by id, only what is still the same."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from batuta_photos.files import Disk, FileTrouble, Stamp
from batuta_photos.library import Library
from batuta_photos.stops import Exit
from batuta_photos.verified_delete import delete_if_same
from fake_google_photos import At, Fault, FaultPlan, Kind, Quota
from test_items import refuse
from world import on_batuta, sha, world

DELETE: dict[str, Any] = {"delete_after_verified": True}


def test_verified_files_are_removed_and_no_others(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(60)
            bad = here.folder / "broken.gif"
            bad.write_bytes(b"GIF89a" + b"\0" * 100)
            notes = here.folder / "notes.txt"
            notes.write_text("keep me")
            refuse(here, bad)
            wanted = sorted(map(sha, paths))
            run = await here.upload(**DELETE)
            assert run.outcome.exit_code is Exit.SOME_FAILED
            assert run.tally.deleted == 60
            assert here.hashes_in() == wanted
            assert sorted(here.folder.iterdir()) == sorted([bad, notes])

    on_batuta(main())


def test_what_the_service_does_not_confirm_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(10)
            await here.up()
            library = here.fake.library
            lost = library.items_of(sha(paths[3]))[0]
            del library._items[lost.id]  # as if it had never arrived
            run = await here.upload(**DELETE)
            assert run.tally.deleted == 9
            assert [path for path in paths if path.exists()] == [paths[3]]

    on_batuta(main())


def test_an_item_without_an_id_is_never_enough(tmp_path: Path) -> None:
    """The service says that it has the bytes but names no item: the file stays."""

    async def main() -> None:
        async with world(tmp_path, duplicates="already_exists") as here:
            paths = here.pictures(5)
            await here.up()
            here.account.journal_file.unlink()
            run = await here.upload(**DELETE)
            assert run.outcome.exit_code is Exit.ALL_UP
            assert run.tally.deleted == 0
            assert all(path.exists() for path in paths)

    on_batuta(main())


def test_a_lost_answer_deletes_nothing_too_early(tmp_path: Path) -> None:
    plan = FaultPlan(listed=[At(Kind.CREATE_ITEMS, 1, Fault.CUT_AFTER)])

    async def main() -> None:
        async with world(tmp_path, faults=plan) as here:
            paths = here.pictures(5)
            wanted = sorted(map(sha, paths))
            run = await here.upload(**DELETE)
            assert run.tally.deleted == 5
            assert here.hashes_in() == wanted

    on_batuta(main())


def edit_when_verified(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let a file change at the moment when the service is asked for its item."""
    existing = Library.existing

    async def existing_then_edit(self: Library, media_ids: Any) -> set[str]:
        there = await existing(self, media_ids)
        path.write_bytes(b"edited")
        return there

    monkeypatch.setattr(Library, "existing", existing_then_edit)


def test_a_file_that_has_changed_since_and_a_link_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(4)
            outside = here.root / "outside.jpg"
            paths[0].rename(outside)
            paths[0].symlink_to(outside)
            edit_when_verified(monkeypatch, paths[1])
            run = await here.upload(**DELETE)
            assert run.tally.deleted == 2
            assert paths[0].is_symlink()
            assert outside.exists()
            assert paths[1].read_bytes() == b"edited"

    on_batuta(main())


def test_unlinking_looks_once_more(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(b"first")
        first = bytes.fromhex(sha(path))
        disk = Disk()
        path.write_bytes(b"other")
        with pytest.raises(FileTrouble, match="content"):
            await delete_if_same(disk, str(path), Stamp.of(os.stat(path)), first)
        assert path.exists()
        path.write_bytes(b"first")
        await delete_if_same(disk, str(path), Stamp.of(os.stat(path)), first)
        assert not path.exists()
        disk.close()

    asyncio.run(main())


def test_a_quota_that_ends_while_items_are_confirmed_is_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path / "measured") as here:
            here.pictures(3)
            await here.up()
            used = here.fake.meter.used_in_all()
        async with world(tmp_path / "used up", quota=Quota(requests_per_day=used)) as here:
            paths = here.pictures(3)
            running = asyncio.ensure_future(here.upload(quota_check=0.1, **DELETE))
            while here.fake.meter.used_in_all() < used:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert all(path.exists() for path in paths)
            here.fake.advance_to_next_day()
            run = await running
            assert run.outcome.exit_code is Exit.ALL_UP
            assert run.tally.deleted == 3

    on_batuta(main())
