"""Reading what others wrote: error bodies, item statuses, first bytes of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batuta_photos.errors import (
    ItemVerdict,
    Verdict,
    read_error,
    read_item,
)
from batuta_photos.sniff import named_like_media, sniff
from fake_google_photos.samples import samples, write_video


def google(code: int, message: str, status: str, limit: str = "") -> str:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if limit:
        error["details"] = [
            {"@type": "type.googleapis.com/google.rpc.Help"},
            {"@type": "x/ErrorInfo", "metadata": {"quota_limit": limit}},
        ]
    return json.dumps({"error": error})


@pytest.mark.parametrize(
    ("status", "body", "verdict", "text"),
    [
        (429, google(429, "Quota", "R", "WritesPerMinutePerUser"), Verdict.SLOW_DOWN, "Quota"),
        (429, google(429, "Quota", "R", "ApiCallsPerProjectPerDay"), Verdict.DAY_QUOTA, "Quota"),
        (429, google(429, "limit 'All requests per day'", "R"), Verdict.DAY_QUOTA, "per day"),
        (429, google(429, "concurrent write request", "R"), Verdict.SLOW_DOWN, "concurrent"),
        (429, "", Verdict.SLOW_DOWN, "no text"),
        (409, google(409, "Aborted", "ABORTED"), Verdict.RETRY, "Aborted"),
        (500, "<html><style>p{}</style><h1>Oh  no</h1></html>", Verdict.RETRY, "Oh no"),
        (503, "[" + google(503, "Busy", "UNAVAILABLE") + "]", Verdict.RETRY, "Busy"),
        (400, '{"code": 3, "message": "Bare"}', Verdict.REFUSED, "Bare"),
        (400, "\x00\ufffd", Verdict.REFUSED, "400"),
        (400, "null", Verdict.REFUSED, "null"),
        (401, google(401, "Who?", "UNAUTHENTICATED"), Verdict.SIGN_IN, "Who?"),
        (403, google(403, "No", "PERMISSION_DENIED"), Verdict.FORBIDDEN, "No"),
        (404, google(404, "Where?", "NOT_FOUND"), Verdict.GONE, "Where?"),
        (400, google(400, "not enough storage", "R"), Verdict.STORAGE_FULL, "storage"),
        (429, google(429, "The remaining storage is", "R"), Verdict.STORAGE_FULL, "storage"),
        (400, '{"error": "invalid_grant", "error_description": "Gone"}', Verdict.REFUSED, "Gone"),
    ],
)
def test_error_bodies_of_all_shapes(status: int, body: str, verdict: Verdict, text: str) -> None:
    error = read_error(status, body)
    assert error.verdict is verdict
    assert text in str(error)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("0", 0), ("soon", None), (None, None)])
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert read_error(429, "", header).retry_after == seconds


ITEM = {"id": "item-1"}


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ({"status": {"message": "Success"}, "mediaItem": ITEM}, ItemVerdict.CREATED),
        ({"status": {"message": "OK", "code": 0}, "mediaItem": ITEM}, ItemVerdict.CREATED),
        ({"mediaItem": ITEM}, ItemVerdict.CREATED),
        ({"status": {"message": "Success"}}, ItemVerdict.RETRY),
        ({"status": {"code": 6, "message": "x"}, "mediaItem": ITEM}, ItemVerdict.EXISTS),
        ({"status": {"code": 6, "message": "x"}}, ItemVerdict.EXISTS_SOMEWHERE),
        ({"status": {"code": 3, "message": "Failed: BAD_IMAGE"}}, ItemVerdict.REFUSED),
        ({"status": {"code": 3, "message": "Failed: x"}}, ItemVerdict.BYTES_AGAIN),
        ({"status": {"code": 3, "message": "Invalid upload token."}}, ItemVerdict.BYTES_AGAIN),
        ({"status": {"code": 13, "message": "Internal"}}, ItemVerdict.RETRY),
        ({"status": {"code": 13, "message": "Internal"}, "mediaItem": ITEM}, ItemVerdict.RETRY),
        ({"status": {"code": 8, "message": "no storage left"}}, ItemVerdict.STORAGE_FULL),
        ({"status": {"code": 7, "message": "No"}}, ItemVerdict.REFUSED),
        ({"status": {"code": "?"}}, ItemVerdict.RETRY),
        ({"status": [], "mediaItem": []}, ItemVerdict.RETRY),
        ({"status": "x"}, ItemVerdict.RETRY),
    ],
)
def test_item_statuses(result: dict[str, Any], verdict: ItemVerdict) -> None:
    found = read_item(result)
    assert found.verdict is verdict
    assert bool(found.media_id) == (verdict in (ItemVerdict.CREATED, ItemVerdict.EXISTS))


def test_samples_are_what_they_are(tmp_path: Path) -> None:
    for sample in samples(8):
        media = sniff(sample.data[:4096], "any name.txt")
        assert media is not None
        assert media.mime == f"image/{sample.format.lower()}"
    write_video(tmp_path / "v", 4096)
    video = sniff((tmp_path / "v").read_bytes(), "v")
    assert video is not None
    assert video.mime == "video/mp4"
    assert video.most_bytes == 20 << 30


@pytest.mark.parametrize(
    ("head", "name", "mime"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "a.heic", "image/heif"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(64), "a.avif", "image/avif"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(64), "a.mov", "video/quicktime"),
        (b"\0\0\0\x18ftypcrx \0\0\0\0crx isom" + bytes(64), "a.cr3", "image/x-canon-cr3"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(64), "a.cr2", "image/x-canon-cr2"),
        (b"II*\0\x08\0\0\0" + bytes(64), "a.nef", "image/x-nikon-nef"),
        (b"II*\0\x08\0\0\0" + bytes(64), "a.tif", "image/tiff"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(64), "a.avi", "video/x-msvideo"),
        ((b"\x47" + bytes(187)) * 5, "a.mts", "video/mp2t"),
        (b"BM" + bytes(100), "a.bmp", "image/bmp"),
        (b"BMW sells cars. " * 9, "cars.txt", None),
        (b"\0\0\1\0" + bytes(100), "a.bin", None),
        (b"%PDF-1.7 " + bytes(100), "a.jpg", None),
        (b"<html>" + bytes(100), "a.png", None),
        (b"\0" * 4096, "a.jpg", None),
        (b"PK\3\4" + bytes(100), "a.zip", None),
        (b"x", "a.jpg", None),
    ],
)
def test_first_bytes(head: bytes, name: str, mime: str | None) -> None:
    media = sniff(head, name)
    assert (media.mime if media else None) == mime


def test_names_say_what_their_owner_thinks() -> None:
    assert named_like_media("A.JPG")
    assert named_like_media("x.tar.mp4")
    assert named_like_media("b.Cr2")
    assert not named_like_media("b.json")
    assert not named_like_media("jpg")
