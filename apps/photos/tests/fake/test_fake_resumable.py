"""Resumable uploads at the local service: chunks, offsets, cut connections."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest
from fake_client import GRANULE, Client, Run, jpeg, service, signed_in, statuses
from fake_google_photos import FakeGooglePhotos, Limits

DATA = jpeg(3 * GRANULE + 1000)
SHA256 = hashlib.sha256(DATA).hexdigest()


async def item_of(photos: FakeGooglePhotos, client: Client, token: str) -> None:
    """The token is one for exactly DATA."""
    assert statuses(await client.create([token])) == [0]
    (item,) = photos.library.items
    assert (item.sha256, item.size) == (SHA256, len(DATA))


def test_the_start_says_where_to_send_and_in_which_steps(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            answer = await client.start(len(DATA))
            assert answer.status == 200
            assert answer.headers["X-Goog-Upload-URL"].startswith(photos.base_url)
            assert answer.headers["X-Goog-Upload-Chunk-Granularity"] == str(GRANULE)
            assert answer.headers["X-Goog-Upload-Status"] == "active"
            assert await client.received(answer.headers["X-Goog-Upload-URL"]) == 0

    run(main())


@pytest.mark.parametrize("command", ["upload, finalize", "upload,finalize", "finalize, upload"])
def test_all_bytes_in_one_request(run: Run, command: str) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            url = await client.session_url(len(DATA))
            answer = await client.chunk(url, DATA, 0, command=command)
            assert (answer.status, answer.headers["X-Goog-Upload-Status"]) == (200, "final")
            await item_of(photos, client, answer.text)

    run(main())


@pytest.mark.parametrize("lone", [False, True])
def test_chunks_of_whole_granules_and_a_last_one_of_any_size(run: Run, lone: bool) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            data = DATA[: 3 * GRANULE] if lone else DATA
            url = await client.session_url(len(data))
            answer = await client.chunk(url, data[:GRANULE], 0)
            assert (answer.status, answer.text) == (200, "")
            assert answer.headers["X-Goog-Upload-Status"] == "active"
            answer = await client.chunk(url, data[GRANULE : 3 * GRANULE], GRANULE)
            assert await client.received(url) == 3 * GRANULE
            if lone:
                answer = await client.command(url, "finalize")
            else:
                answer = await client.chunk(url, data[3 * GRANULE :], 3 * GRANULE, final=True)
            assert answer.headers["X-Goog-Upload-Status"] == "final"
            assert statuses(await client.create([answer.text])) == [0]
            assert photos.library.items[0].sha256 == hashlib.sha256(data).hexdigest()
            assert photos.requests.session_bytes.total() == len(data)

    run(main())


def test_a_wrong_chunk_is_refused_and_the_session_goes_on(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            url = await client.session_url(len(DATA))
            await client.chunk(url, DATA[:GRANULE], 0)
            wrong: list[tuple[bytes, int, bool]] = [
                (DATA[GRANULE : 2 * GRANULE], 0, False),  # bytes that are there already
                (DATA[2 * GRANULE : 3 * GRANULE], 2 * GRANULE, False),  # a gap
                (DATA[GRANULE : GRANULE + 1000], GRANULE, False),  # less than a granule
                (DATA[GRANULE : 2 * GRANULE + 1000], GRANULE, False),  # a granule and a bit
                (DATA[GRANULE:] + b"more", GRANULE, True),  # more than was announced
                (DATA[GRANULE : GRANULE + 1000], GRANULE, True),  # the end too early
            ]
            for data, offset, final in wrong:
                answer = await client.chunk(url, data, offset, final=final)
                assert (answer.status, answer.json["code"]) == (400, 3)
                assert answer.headers["X-Goog-Upload-Status"] == "active"
                assert answer.headers["X-Goog-Upload-Size-Received"] == str(GRANULE)
                assert await client.received(url) == GRANULE
            answer = await client.chunk(url, DATA[GRANULE:], GRANULE, final=True)
            await item_of(photos, client, answer.text)

    run(main())


def test_too_many_bytes_of_unknown_length_are_refused(run: Run) -> None:
    async def pieces() -> Any:
        for _ in range(6):
            yield bytes(GRANULE)

    async def main() -> None:
        async with service() as (_, client):
            url = await client.session_url(len(DATA))
            answer = await client.chunk(url, pieces(), 0, final=True)
            assert answer.status == 400
            assert await client.received(url) <= len(DATA)

    run(main())


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Goog-Upload-Raw-Size": "0"},
        {"X-Goog-Upload-Raw-Size": "many"},
        {"X-Goog-Upload-Raw-Size": "-5"},
        {"X-Goog-Upload-Raw-Size": str(10**12)},
        {"X-Goog-Upload-Command": "begin"},
        {"X-Goog-Upload-Protocol": "raw"},
        {"X-Goog-Upload-Content-Type": "application/pdf"},
    ],
)
def test_a_wrong_start_is_refused(run: Run, headers: dict[str, str]) -> None:
    async def main() -> None:
        async with service() as (_, client):
            answer = await client.start(1000, **headers)
            assert (answer.status, answer.json["code"]) == (400, 3)

    run(main())


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_dies_in_a_chunk_leaves_its_whole_granules(run: Run, tls: bool) -> None:
    async def half() -> Any:
        yield DATA[: 2 * GRANULE + 5000]
        await gate.wait()

    gate = asyncio.Event()

    async def main() -> None:
        async with service(tls=tls) as (photos, client):
            url = await client.session_url(len(DATA))
            async with signed_in(photos) as other:
                upload = asyncio.create_task(other.chunk(url, half(), 0, final=True))
                while await client.received(url) < 2 * GRANULE:
                    await asyncio.sleep(0.01)
                upload.cancel()
                await asyncio.gather(upload, return_exceptions=True)
            assert await client.received(url) == 2 * GRANULE
            rest = DATA[2 * GRANULE :]
            answer = await client.chunk(url, rest, 2 * GRANULE, final=True)
            await item_of(photos, client, answer.text)
            # What had to be sent again is less than one granule.
            assert photos.requests.session_bytes.total() - len(DATA) < GRANULE

    run(main())


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_later_chunk_ends_an_earlier_one_that_hangs(run: Run, goes_on: bool) -> None:
    async def hanging() -> Any:
        yield DATA[: GRANULE + 10]
        if goes_on:
            await asyncio.sleep(0.1)
            yield DATA[GRANULE + 10 : 2 * GRANULE]
        await asyncio.sleep(30)

    async def main() -> None:
        async with service() as (photos, client):
            url = await client.session_url(len(DATA))
            async with signed_in(photos) as other:
                old = asyncio.create_task(other.chunk(url, hanging(), 0, final=True))
                while await client.received(url) < GRANULE:
                    await asyncio.sleep(0.01)
                answer = await client.chunk(url, DATA[GRANULE:], GRANULE, final=True)
                async with asyncio.timeout(5):
                    (lost,) = await asyncio.gather(old, return_exceptions=True)
            assert isinstance(lost, Exception)
            assert photos.requests.uploads_running == 0
            await item_of(photos, client, answer.text)

    run(main())


@pytest.mark.parametrize("repeats", [True, False])
def test_the_query_of_a_finished_session(run: Run, repeats: bool) -> None:
    async def main() -> None:
        async with service(final_query_repeats_token=repeats) as (_, client):
            url = await client.session_url(len(DATA))
            done = await client.chunk(url, DATA, 0, final=True)
            answer = await client.command(url, "query")
            assert answer.headers["X-Goog-Upload-Status"] == "final"
            assert answer.headers["X-Goog-Upload-Size-Received"] == str(len(DATA))
            assert answer.text == (done.text if repeats else "")
            answer = await client.chunk(url, b"", len(DATA), final=True)
            assert (answer.status, answer.headers["X-Goog-Upload-Status"]) == (400, "final")

    run(main())


def test_a_session_can_be_cancelled_until_it_is_final(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            url = await client.session_url(len(DATA))
            answer = await client.command(url, "cancel")
            assert (answer.status, answer.headers["X-Goog-Upload-Status"]) == (200, "cancelled")
            assert (await client.chunk(url, DATA, 0, final=True)).status == 400
            url = await client.session_url(len(DATA))
            await client.chunk(url, DATA, 0, final=True)
            assert (await client.command(url, "cancel")).status == 400

    run(main())


def test_a_chunk_that_arrives_ends_when_its_session_is_cancelled(run: Run) -> None:
    async def hanging() -> Any:
        yield DATA[: GRANULE + 10]
        await asyncio.sleep(30)

    async def main() -> None:
        async with service() as (photos, client):
            url = await client.session_url(len(DATA))
            async with signed_in(photos) as other:
                old = asyncio.create_task(other.chunk(url, hanging(), 0, final=True))
                while await client.received(url) < GRANULE:
                    await asyncio.sleep(0.01)
                assert (await client.command(url, "cancel")).status == 200
                async with asyncio.timeout(5):
                    (lost,) = await asyncio.gather(old, return_exceptions=True)
            assert isinstance(lost, Exception)
            assert not photos.library.uploads

    run(main())


def test_a_session_is_known_for_a_week_and_to_its_application_only(run: Run) -> None:
    async def main() -> None:
        async with service(limits=Limits(access_token_age=1e7)) as (photos, client):
            url = await client.session_url(len(DATA))
            photos.client_id, photos.client_secret = photos.accounts.register()
            async with signed_in(photos) as stranger:
                assert (await stranger.command(url, "query")).status == 404
            photos.advance(7 * 86_400 - 60)
            assert (await client.command(url, "query")).status == 200
            photos.advance(61)
            assert (await client.command(url, "query")).status == 404
            unknown = f"{photos.base_url}/v1/uploads?upload_id=none"
            assert (await client.command(unknown, "query")).status == 404

    run(main())


def test_an_unknown_command_is_refused(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            url = await client.session_url(len(DATA))
            for command in ("", "pause", "upload, pause"):
                assert (await client.command(url, command)).status == 400

    run(main())


def test_the_name_in_the_upload_is_used_when_creation_names_none(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            url = await client.session_url(len(DATA), **{"X-Goog-Upload-File-Name": "sea.jpg"})
            answer = await client.chunk(url, DATA, 0, final=True)
            await client.create([answer.text])
            assert photos.library.items[0].file_name == "sea.jpg"

    run(main())
