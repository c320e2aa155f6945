"""Bytes at the local service, sent at once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable

import pytest
from fake_client import Run, jpeg, service, signed_in, statuses
from fake_google_photos import FakeGooglePhotos, Limits


def test_bytes_give_a_token_and_the_token_an_item(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            data = jpeg(300_000)
            answer = await client.raw(data)
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert photos.library.items == []
            created = await client.create([answer.text], names=["a.jpg"])
            assert statuses(created) == [0]
            (item,) = photos.library.items
            assert item.sha256 == hashlib.sha256(data).hexdigest()
            assert (item.size, item.file_name) == (len(data), "a.jpg")
            assert photos.requests.bytes_received == len(data)
            assert photos.library.uploads == {item.sha256: 1}

    run(main())


def test_a_body_of_unknown_length_is_taken(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield jpeg(10_000)

    async def main() -> None:
        async with service() as (photos, client):
            answer = await client.raw(pieces())  # type: ignore[arg-type]
            assert answer.status == 200
            await client.create([answer.text])
            assert photos.library.items[0].size == 3 * len(jpeg(10_000))

    run(main())


@pytest.mark.parametrize(
    ("headers", "data"),
    [
        ({"Content-Type": "image/jpeg"}, jpeg(100)),
        ({"X-Goog-Upload-Protocol": "multipart"}, jpeg(100)),
        ({"X-Goog-Upload-Protocol": ""}, jpeg(100)),
        ({"X-Goog-Upload-Content-Type": "text/plain"}, jpeg(100)),
        ({}, b""),
    ],
)
def test_a_wrong_upload_has_the_short_error_body(
    run: Run, headers: dict[str, str], data: bytes
) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            answer = await client.raw(data, **headers)
            assert answer.status == 400
            assert answer.json["code"] == 3
            assert answer.json["message"]
            assert not photos.library.uploads

    run(main())


@pytest.mark.parametrize("told", [True, False])
def test_a_picture_over_the_limit_is_refused(run: Run, told: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield bytes(10_000)
            await asyncio.sleep(0)

    async def main() -> None:
        async with service(limits=Limits(photo_bytes=100_000)) as (_, client):
            assert (await client.raw(jpeg(99_000))).status == 200
            data = bytes(110_000) if told else pieces()
            assert (await client.raw(data)).status == 400  # type: ignore[arg-type]

    run(main())


def test_a_picture_that_says_it_is_a_video_is_found_out_at_creation(run: Run) -> None:
    async def main() -> None:
        async with service(limits=Limits(photo_bytes=100_000)) as (photos, client):
            answer = await client.raw(jpeg(110_000), **{"X-Goog-Upload-Content-Type": "video/mp4"})
            created = await client.create([answer.text])
            assert statuses(created) == [3]
            assert photos.library.items == []

    run(main())


def test_an_upload_token_is_good_for_one_day(run: Run) -> None:
    async def main() -> None:
        async with service(limits=Limits(access_token_age=1e6)) as (photos, client):
            early, late = [await client.upload_token(jpeg(500, salt)) for salt in "ab"]
            photos.advance(86_390)
            assert statuses(await client.create([early])) == [0]
            photos.advance(11)
            assert statuses(await client.create([late])) == [3]
            assert len(photos.library.items) == 1

    run(main())


def test_a_token_of_another_application_is_unknown(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            token = await client.upload_token(jpeg(500))
            photos.client_id, photos.client_secret = photos.accounts.register()
            async with signed_in(photos) as stranger:
                assert statuses(await stranger.create([token])) == [3]

    run(main())


def test_a_client_that_goes_away_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            host, port = photos.base_url.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port))
            head = (
                f"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
                "Content-Type: application/octet-stream\r\nX-Goog-Upload-Protocol: raw\r\n"
                "Content-Length: 1000000\r\n\r\n"
            )
            writer.write(head.encode() + jpeg(50_000))
            await writer.drain()
            await until(lambda: photos.requests.bytes_received >= 50_000)
            assert photos.requests.uploads_running == 1
            writer.close()
            await until(lambda: photos.requests.uploads_running == 0)
            assert not photos.library.uploads
            assert photos.requests.statuses["upload_raw", 0] == 1

    run(main())


async def until(holds: Callable[[], bool]) -> None:
    """Waits until `holds()`, at most five seconds."""
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


def test_many_uploads_at_the_same_moment_are_counted(run: Run) -> None:
    async def main() -> None:
        async with service(latency=0.4) as (photos, client):
            await asyncio.gather(*(client.raw(jpeg(1000, str(n))) for n in range(20)))
            assert photos.requests.max_uploads == 20
            assert photos.requests.counts["upload_raw"] == 20

    run(main())


def test_latency_is_the_least_time_of_a_request(run: Run) -> None:
    async def main() -> None:
        async with service(latency=0.08) as (_, client):
            loop = asyncio.get_running_loop()
            start = loop.time()
            await client.get("/v1/albums")
            assert loop.time() - start >= 0.08

    run(main())


def test_an_unknown_method_is_not_found(run: Run) -> None:
    async def main() -> None:
        async with FakeGooglePhotos() as photos, service() as (_, client):
            answer = await client.get(f"{photos.base_url}/v2/albums")
            assert (answer.status, answer.error["status"]) == (404, "NOT_FOUND")

    run(main())
