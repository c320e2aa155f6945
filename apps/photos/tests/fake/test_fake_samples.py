"""The sample pictures, and what the service makes of their bytes."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest
from fake_google_photos.samples import (
    samples,
    write_odd_files,
    write_samples,
    write_tiny,
    write_video,
)
from fake_google_photos.sniff import media_type
from fake_google_photos.storage import MediaStore, picture_details
from PIL import Image


def test_samples_are_the_same_for_the_same_seed() -> None:
    first = [sample.data for sample in samples(16, seed=3)]
    assert [sample.data for sample in samples(16, seed=3)] == first
    assert [sample.data for sample in samples(8, seed=3)] == first[:8]
    assert not set(first) & {sample.data for sample in samples(16, seed=4)}
    assert len(set(first)) == 16


def test_samples_are_pictures_of_several_formats_with_their_dates() -> None:
    seen = set()
    for sample in samples(16):
        with Image.open(io.BytesIO(sample.data)) as picture:
            picture.load()
            assert picture.format == sample.format
            assert picture.size == (320, 240)
        found = media_type(sample.data[:512])
        assert found is not None
        assert found.mime == f"image/{sample.format.lower()}"
        width, height, taken = picture_details(sample.data)
        assert (width, height) == (320, 240)
        assert taken == (None if sample.format == "GIF" else sample.taken.timestamp())
        assert len(sample.data) < 40_000
        seen.add(sample.format)
    assert seen == {"JPEG", "PNG", "WEBP", "GIF"}


def test_samples_are_written_with_their_dates(tmp_path: Path) -> None:
    paths = write_samples(tmp_path / "new" / "folder", 5, seed=1)
    made = list(samples(5, seed=1))
    assert [path.read_bytes() for path in paths] == [sample.data for sample in made]
    assert [path.stat().st_mtime for path in paths] == [s.taken.timestamp() for s in made]


def test_odd_files_are_as_odd_as_they_say(tmp_path: Path) -> None:
    for _ in range(2):  # a second time over the first
        files = write_odd_files(tmp_path)
    assert files["original"].read_bytes() == files["duplicate"].read_bytes()
    assert files["empty"].stat().st_size == 0
    assert files["unreadable"].stat().st_mode & 0o777 == 0
    kinds = {
        what: media_type(path.read_bytes()[:512])
        for what, path in files.items()
        if os.access(path, os.R_OK)
    }
    assert kinds["text_named_jpg"] is None
    assert kinds["notes"] is None
    png = kinds["png_named_jpg"]
    assert png is not None
    assert (png.mime, files["png_named_jpg"].suffix) == ("image/png", ".jpg")
    assert files["nested"].relative_to(tmp_path).parts == ("2021", "summer", "nested.jpg")


def test_tiny_pictures_are_small_different_and_whole(tmp_path: Path) -> None:
    write_tiny(tmp_path, 250, per_folder=100)
    paths = sorted(tmp_path.rglob("*.jpg"))
    assert len(paths) == 250
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0000", "0001", "0002"]
    assert len({path.read_bytes() for path in paths}) == 250
    for path in paths[::50]:
        assert path.stat().st_size < 1000
        with Image.open(path) as picture:
            picture.load()
            assert picture.size == (16, 16)


def test_a_video_takes_little_room_and_differs_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, 64 << 20)
    assert path.stat().st_size == 64 << 20
    assert path.stat().st_blocks * 512 < 2 << 20
    data = path.read_bytes()
    found = media_type(data[:512])
    assert found is not None
    assert found.is_video
    mib = 1 << 20
    pieces = {
        hashlib.sha256(data[start : start + mib]).digest() for start in range(0, 64 << 20, mib)
    }
    assert len(pieces) == 64
    with pytest.raises(ValueError):
        write_video(path, 10)


@pytest.mark.parametrize(
    ("head", "mime"),
    [
        (b"\xff\xd8\xff\xdb", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"II*\x00\x08\x00\x00\x00", "image/tiff"),
        (b"\x00\x00\x00\x18ftypheic", "image/heif"),
        (b"\x00\x00\x00\x18ftypavif", "image/avif"),
        (b"\x00\x00\x00\x14ftypqt  ", "video/quicktime"),
        (b"\x00\x00\x00\x14ftyp3gp5", "video/3gpp"),
        (b"\x00\x00\x00\x14ftypisom", "video/mp4"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "video/x-msvideo"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"\x1aE\xdf\xa3", "video/x-matroska"),
        (b"\x47" + bytes(187) + b"\x47" + bytes(10), "video/mp2t"),
        (bytes(4) + b"\x47" + bytes(191) + b"\x47" + bytes(10), "video/mp2t"),
        (b"%PDF-1.7", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_types_are_known_by_their_first_bytes(head: bytes, mime: str | None) -> None:
    found = media_type(head)
    assert (found.mime if found else None) == mime


def test_only_the_front_of_a_large_upload_stays_in_memory(tmp_path: Path) -> None:
    store = MediaStore()
    sink = store.sink()
    piece = bytes(1 << 20)
    for _ in range(20):
        sink.write(piece)
        assert len(sink._front) <= store.keep_bytes
    received = sink.finish()
    assert received.size == 20 << 20
    assert received.sha256 == hashlib.sha256(piece * 20).hexdigest()
    assert store.get(received.sha256) is None


def test_copies_in_memory_stay_below_their_budget() -> None:
    store = MediaStore(budget=250_000)
    hashes = []
    for number in range(4):
        sink = store.sink()
        sink.write(bytes([number]) * 100_000)
        hashes.append(sink.finish().sha256)
    assert [store.get(sha256) is not None for sha256 in hashes] == [True, True, False, False]


def test_a_folder_keeps_every_upload_and_nothing_half_done(tmp_path: Path) -> None:
    store = MediaStore(tmp_path / "media")
    for data in (b"small", bytes(1 << 20)):
        sink = store.sink()
        sink.write(data)
        sha256 = sink.finish().sha256
        path = store.path(sha256)
        assert path is not None
        assert path.read_bytes() == data
    given_up = store.sink()
    given_up.write(bytes(1 << 20))
    given_up.discard()
    assert len(list((tmp_path / "media").iterdir())) == 2
    assert store.path("unknown") is None


def test_a_damaged_header_has_no_size_and_no_date() -> None:
    for front in (b"", b"\xff\xd8\xff\xe0garbage", b"\x89PNG\r\n\x1a\n" + bytes(100)):
        assert picture_details(front) == (0, 0, None)
