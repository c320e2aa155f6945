"""Files as they lie in real folders: unreadable, empty, huge, renamed, changed, no pictures."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path

import pytest

from batuta_photos.album_template import AlbumTemplate
from batuta_photos.journal import Journal
from batuta_photos.report import failed_rows
from batuta_photos.sniff import Media, sniff
from batuta_photos.states import Job
from batuta_photos.stops import Exit
from fake_google_photos.samples import samples, write_odd_files
from world import ALBUM, World, on_batuta, sha, world


async def reasons(here: World) -> dict[str, str]:
    """The failed files by name, and why."""
    async with Journal(here.account.journal_file) as journal:
        return {Path(row.path).name: row.error or "" async for row in failed_rows(journal)}


def test_odd_files_each_end_as_they_should(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            odd = write_odd_files(here.folder)
            odd["unreadable"].unlink()
            # A file that everybody may open and nobody can read, root included.
            (here.folder / "unreadable.jpg").symlink_to("/proc/self/mem")
            (here.folder / "leads nowhere.jpg").symlink_to("/nowhere/at/all.jpg")
            run = await here.upload()
            assert run.outcome.exit_code is Exit.SOME_FAILED
            up = ["original", "duplicate", "png_named_jpg", "capitals", "foreign_script", "nested"]
            here.assert_all_up([odd[name] for name in up])
            assert run.outcome.counts[Job.DONE] == 6
            assert run.outcome.counts[Job.SKIPPED] == 1
            assert run.tally.uploads == 5
            failed = await reasons(here)
            assert failed.keys() == {
                "empty.jpg",
                "really text.jpg",
                "unreadable.jpg",
                "leads nowhere.jpg",
            }
            assert "empty" in failed["empty.jpg"]
            assert "content" in failed["really text.jpg"]
            assert "cannot be read" in failed["unreadable.jpg"]
            (png,) = [i for i in here.fake.library.items if i.file_name == "really a png.jpg"]
            assert png.mime_type == "image/png"

    on_batuta(main())


def test_a_photo_larger_than_the_service_takes_is_not_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            huge = here.folder / "huge.jpg"
            huge.write_bytes(next(samples(1)).data)
            os.truncate(huge, 201 << 20)
            run = await here.upload()
            assert run.outcome.exit_code is Exit.SOME_FAILED
            assert "200 MiB" in (await reasons(here))["huge.jpg"]
            assert here.fake.requests.bytes_received == 0

    on_batuta(main())


def test_the_same_content_goes_up_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(10)
            for number in range(40):
                (here.folder / f"copy-{number}.jpg").write_bytes(paths[number % 10].read_bytes())
            run = await here.upload()
            assert run.outcome.counts == {Job.DONE: 50}
            assert here.fake.requests.counts["upload_raw"] == 10
            here.assert_all_up(paths)
            # Another album: the items are put into it, and no bytes are sent.
            await here.up("Best of")
            assert here.fake.requests.counts["upload_raw"] == 10
            assert here.hashes_in("Best of") == here.hashes_in(ALBUM)
            assert len(here.fake.library.items) == 10

    on_batuta(main())


def test_a_renamed_file_is_recognised(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(5)
            await here.up()
            for path in paths:
                path.rename(path.with_name(f"moved-{path.name}"))
            run = await here.upload()
            assert run.outcome.counts == {Job.DONE: 5}
            assert run.tally.uploads == 0
            assert len(here.fake.library.items) == 5

    on_batuta(main())


def test_a_changed_file_goes_up_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(3)
            await here.up()
            old = sha(paths[0])
            paths[0].write_bytes(next(samples(1, seed=9)).data)
            await here.up()
            assert here.hashes_in() == sorted([old, *map(sha, paths)])

    on_batuta(main())


def test_a_file_that_changes_while_it_is_uploaded_ends_as_it_is_then(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.2) as here:
            (path,) = here.pictures(1)
            padded = path.read_bytes() + bytes(3 << 20)
            path.write_bytes(padded)
            running = asyncio.ensure_future(here.upload())
            while not here.fake.requests.counts["upload_raw"]:
                await asyncio.sleep(0.005)
            path.write_bytes(padded + b"more")
            run = await running
            assert run.outcome.counts == {Job.DONE: 1}
            here.assert_all_up([path])

    on_batuta(main())


def test_a_file_that_vanishes_under_way_leaves_the_others_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.3) as here:
            paths = here.pictures(12)
            twin = here.folder / "twin.jpg"
            twin.write_bytes(paths[11].read_bytes())
            running = asyncio.ensure_future(here.upload(concurrency=1))
            while not here.fake.requests.counts["upload_raw"]:
                await asyncio.sleep(0.005)
            gone = [path for path in paths[:11] if sha(path) not in arrived(here)][-1]
            gone.unlink()
            paths[11].unlink()  # its twin has the same content
            run = await running
            assert run.outcome.exit_code is Exit.ALL_UP
            assert run.outcome.counts[Job.VANISHED] in (1, 2)
            here.assert_all_up([path for path in (*paths, twin) if path.exists()])

    def arrived(here: World) -> set[str]:
        return set(here.fake.library.uploads)

    on_batuta(main())


def test_names_that_are_no_utf_8_and_very_long_ones(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            first, second = (sample.data for sample in samples(2))
            strange = os.fsencode(here.folder) + b"/caf\xe9.jpg"
            with open(strange, "wb") as file:
                file.write(first)
            long = here.folder / ("x" * 251 + ".jpg")
            long.write_bytes(second)
            await here.up()
            names = {item.file_name for item in here.fake.library.items}
            assert names == {"caf\N{REPLACEMENT CHARACTER}.jpg", long.name}

    on_batuta(main())


def test_what_is_taken_can_be_chosen(tmp_path: Path) -> None:
    from batuta_photos.settings import Selection

    async def main() -> None:
        async with world(tmp_path) as here:
            here.pictures(8)  # five JPEG, and PNG, WEBP, GIF
            here.pictures(8, seed=1, folder=here.folder / "raw" / "deep")
            here.pictures(8, seed=2, folder=here.folder / ".thumbnails")
            await here.up(selection=Selection(("*.PNG",), recursive=False))
            assert len(here.fake.library.items) == 1
            await here.up(selection=Selection(("*.jpg", "raw/*"), ("IMG_00001*", "raw/*.gif")))
            assert len(here.fake.library.items) == 1 + 4 + 6
            names = {item.file_name for item in here.fake.library.items}
            assert "IMG_00001.jpg" not in names
            await here.up()
            assert len(here.fake.library.items) == 16
            await here.up(selection=Selection(hidden=True))
            assert len(here.fake.library.items) == 24

    on_batuta(main())


def test_sound_in_a_container_of_videos_is_left_out() -> None:
    riff = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0" + bytes(64)
    isom = b"\0\0\0\x20ftyp%s\0\0\0\0mp42isom" + bytes(64)
    asf = bytes.fromhex("3026B2758E66CF11A6D900AA0062CE6C") + bytes(64)
    for head, name in (
        (riff, "a.wav"),
        (riff, "a"),
        (isom % b"M4A ", "a.m4a"),
        (isom % b"M4B ", "a"),
        (isom % b"mp42", "a.m4a"),
        (b"OggS\0\2" + bytes(64), "a.opus"),
        (asf, "a.wma"),
    ):
        assert sniff(head, name) is None, name
    assert sniff(asf, "a.wmv") == Media("video/x-ms-wmv")
    assert sniff(isom % b"mp42", "a.mp4") == Media("video/mp4")
    assert sniff(isom % b"mif1", "a.heic") == Media("image/heif")


def test_a_file_whose_album_cannot_be_told_is_put_into_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            deep = here.folder / ("x" * 200) / ("y" * 200) / ("z" * 200)
            (path,) = here.pictures(1, folder=deep)
            run = await here.upload(template="{path}")
            assert run.outcome.counts == {Job.FAILED: 1}
            again = await here.upload(retry_failed=True)
            assert again.outcome.counts == {Job.FAILED: 1}
            assert "500 characters" in (await reasons(here))[path.name]
            assert not list(here.fake.library.albums)
            await here.up(template="{folder}")
            assert await reasons(here) == {}

    on_batuta(main())


def test_a_date_that_no_calendar_has_fails_one_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    date_of = AlbumTemplate.title

    def title(self: AlbumTemplate, path: str, below: str) -> str:
        if path.endswith("far.gif"):
            datetime.fromtimestamp(1e13)
        return date_of(self, path, below)

    monkeypatch.setattr(AlbumTemplate, "title", title)

    async def main() -> None:
        async with world(tmp_path) as here:
            here.pictures(2)
            (here.folder / "far.gif").write_bytes(b"GIF89a" + bytes(100))
            run = await here.upload(template="{year}")
            assert run.outcome.counts == {Job.DONE: 2, Job.FAILED: 1}

    on_batuta(main())
