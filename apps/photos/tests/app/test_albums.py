"""Albums: found or made once, whatever their names; full, foreign, deleted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batuta_photos.album_template import AlbumTemplate, clean_title
from batuta_photos.states import Job
from batuta_photos.stops import UsageError
from fake_google_photos import At, Fault, FaultPlan, Kind, Limits
from world import ALBUM, on_batuta, sha, world

TITLES = [
    "Sommer in Österreich",
    "Лето в Москве",
    "夏休み 🏖️",
    "여름 휴가",
    "الصيف في القاهرة",
    "קיץ בתל אביב",
    "ฤดูร้อน",
    "गर्मी की छुट्टियाँ",
    "Καλοκαίρι",
    'kesä & <b>"joulu"</b> / 100 % \\ ok?',
    "x" * 500,
]


def test_album_names_in_every_script(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(3)
            for title in TITLES:
                await here.up(title)
                await here.up(title)
            assert [album.title for album in here.fake.library.albums] == TITLES
            for title in TITLES:
                here.assert_all_up(paths, title)
            assert here.fake.requests.counts["upload_raw"] == 3

    on_batuta(main())


def test_an_album_that_is_there_is_used_again_without_the_journal(tmp_path: Path) -> None:
    """A new machine, or a journal that was lost: no second album, no second item."""

    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(70)
            for number in range(60):  # more than a page of albums before it
                here.fake.library.create_album(here.fake.client_id, f"Album {number}")
            await here.up()
            here.account.journal_file.unlink()
            await here.up()
            here.assert_all_up(paths)

    on_batuta(main())


@pytest.mark.parametrize("fault", [Fault.CUT_AFTER, Fault.CUT_REPLY, Fault.SERVER_ERROR])
def test_a_lost_answer_makes_no_second_album(tmp_path: Path, fault: Fault) -> None:
    plan = FaultPlan(listed=[At(Kind.CREATE_ALBUM, 1, fault)])

    async def main() -> None:
        async with world(tmp_path, faults=plan) as here:
            paths = here.pictures(3)
            await here.up()
            here.assert_all_up(paths)

    on_batuta(main())


def test_a_full_album_is_continued_in_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, limits=Limits(album_items=30)) as here:
            paths = here.pictures(70)
            await here.up(album_items=30)
            library = here.fake.library
            sizes = {album.title: len(album.item_ids) for album in library.albums}
            assert sizes == {ALBUM: 30, f"{ALBUM} (2)": 30, f"{ALBUM} (3)": 10}
            assert len(library.items) == len(paths)
            # A second run knows all three, and goes on in the last.
            paths += here.pictures(5, seed=1)
            for path in here.pictures(5, seed=1):
                path.rename(path.with_name(f"late-{path.name}"))
            here.pictures(70)
            await here.up(album_items=30)
            assert len(library.albums) == 3
            assert len(library.items) == 75

    on_batuta(main())


def test_the_services_own_word_that_an_album_is_full_counts(tmp_path: Path) -> None:
    """Somebody else may have filled it since it was counted."""

    async def main() -> None:
        async with world(tmp_path, limits=Limits(album_items=30)) as here:
            here.pictures(70)
            await here.up(album_items=20_000)
            assert len(here.fake.library.items) == 70
            assert sum(len(album.item_ids) for album in here.fake.library.albums) == 70

    on_batuta(main())


def test_an_album_of_the_user_with_the_same_name_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            foreign = here.fake.library.create_foreign_album(ALBUM)
            here.pictures(3)
            await here.up()
            assert not foreign.item_ids
            assert len(here.fake.library.albums_named(ALBUM)) == 2

    on_batuta(main())


def test_an_album_deleted_at_the_service_is_made_and_filled_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(5)
            await here.up()
            library = here.fake.library
            album = here.album()
            library.remove(album, library.items_in(album))
            del library._albums[album.id]
            outcome = await here.up()
            assert outcome.counts == {Job.DONE: 5}
            here.assert_all_up(paths)
            assert here.album().id != album.id
            assert here.fake.requests.counts["upload_raw"] == 5

    on_batuta(main())


def test_items_deleted_at_the_service_go_up_again_for_another_album(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(4)
            await here.up()
            library = here.fake.library
            gone = library.items_of(sha(paths[0]))[0]
            library.remove(here.album(), [gone])
            del library._items[gone.id]
            del library._by_content[gone.client_id, gone.sha256]
            await here.up("Best of")
            here.assert_all_up(paths, "Best of")
            assert here.fake.requests.counts["upload_raw"] == 5

    on_batuta(main())


def test_a_deleted_item_that_two_albums_wait_for_goes_up_again_for_both(tmp_path: Path) -> None:
    """The first album sends it to the beginning; the second one must not take it meanwhile."""

    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(2, folder=here.folder / "A")
            await here.up("All")
            twins = [here.folder / "B" / path.name for path in paths]
            (here.folder / "B").mkdir()
            for path, twin in zip(paths, twins, strict=True):
                twin.write_bytes(path.read_bytes())
            await here.up("All")
            library = here.fake.library
            gone = library.items_of(sha(paths[0]))[0]
            library.remove(here.album("All"), [gone])
            del library._items[gone.id]
            del library._by_content[gone.client_id, gone.sha256]
            outcome = await here.up("", template="{folder}")
            assert outcome.counts == {Job.DONE: 4}
            for title in ("A", "B"):
                here.assert_all_up(paths, title)

    on_batuta(main())


def test_albums_by_template_from_folders_and_dates(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.pictures(2, folder=here.folder / "2019" / "Paris")
            here.pictures(3, seed=1, folder=here.folder / "2020" / "Oslo")
            here.pictures(4, seed=2)
            await here.up("", template="{folder}")
            sizes = {a.title: len(a.item_ids) for a in here.fake.library.albums}
            assert sizes == {"Paris": 2, "Oslo": 3, here.folder.name: 4}
            await here.up("Trips", template="{album}: {path}")
            sizes = {a.title: len(a.item_ids) for a in here.fake.library.albums}
            assert sizes["Trips: 2019 / Paris"] == 2
            assert here.fake.requests.counts["upload_raw"] == 9

    on_batuta(main())


def test_the_date_is_the_cameras_and_else_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image, PngImagePlugin

    from fake_google_photos.samples import samples

    template = AlbumTemplate("{year}-{month}-{day} {date}", "", "x")
    first = next(samples(1))
    path = tmp_path / "a.jpg"
    path.write_bytes(first.data)
    assert template.title(str(path), "a.jpg") == f"{first.taken:%Y-%m-%d} {first.taken:%Y-%m-%d}"
    dated = Image.Exif()
    dated[306] = "2001:02:03 04:05:06"
    early, late, damaged = (tmp_path / name for name in ("early.png", "late.png", "damaged.png"))
    Image.new("RGB", (3, 2)).save(early, exif=dated)
    data = early.read_bytes()
    begin = data.index(b"eXIf") - 4
    end = begin + 12 + int.from_bytes(data[begin : begin + 4])
    pixels = data.index(b"IEND") - 4
    late.write_bytes(data[:begin] + data[end:pixels] + data[begin:end] + data[pixels:])
    damaged.write_bytes(data[: begin + 20])
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", None)  # it must not be decoded
    assert template.title(str(early), "early.png") == "2001-02-03 2001-02-03"
    assert template.title(str(late), "late.png") == "2001-02-03 2001-02-03"
    os.utime(damaged, (1_000_000_000, 1_000_000_000))
    assert template.title(str(damaged), "damaged.png").startswith("2001-09-")
    video = tmp_path / "b.mp4"
    video.write_bytes(b"\0\0\0\x14ftypisom")
    os.utime(video, (1_000_000_000, 1_000_000_000))
    assert template.title(str(video), "b.mp4").startswith("2001-09-")


@pytest.mark.parametrize("template", ["{camera}", "{", "{year!r}", "{year:>9}", "{}", "{album}"])
def test_a_template_that_cannot_be_is_refused(template: str) -> None:
    with pytest.raises(UsageError):
        AlbumTemplate(template, "", "x")


@pytest.mark.parametrize("title", ["", "  \n ", "x" * 501])
def test_a_title_that_cannot_be_is_refused(title: str) -> None:
    with pytest.raises(UsageError):
        clean_title(title)


def test_a_title_is_kept_in_one_form() -> None:
    assert clean_title("  Cafe\u0301 \n am  See ") == "Café am See"


@pytest.mark.parametrize("volume", [1, 2, 3])
def test_of_an_album_and_its_continuations_only_the_deleted_one_is_filled_again(
    tmp_path: Path, volume: int
) -> None:
    async def main() -> None:
        async with world(tmp_path, limits=Limits(album_items=30)) as here:
            here.pictures(70)
            await here.up(album_items=30)
            library = here.fake.library
            (album,) = library.albums_named(ALBUM if volume == 1 else f"{ALBUM} ({volume})")
            library.remove(album, library.items_in(album))
            del library._albums[album.id]
            await here.up(album_items=30)
            inside = [item for album in library.albums for item in album.item_ids]
            assert len(inside) == 70
            assert len(set(inside)) == 70
            run = await here.upload(album_items=30)
            assert run.tally.unchanged == 70
            assert run.usage.of_run == 1

    on_batuta(main())
