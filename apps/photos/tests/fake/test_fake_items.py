"""batchCreate and reading items at the local service."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from fake_client import Run, jpeg, service, signed_in, statuses
from fake_google_photos import Limits
from fake_google_photos.samples import samples
from PIL import Image


def test_a_batch_takes_fifty_items_and_no_more(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            tokens = [await client.upload_token(jpeg(200, f"-{n}-")) for n in range(51)]
            answer = await client.create(tokens)
            assert (answer.status, answer.error["status"]) == (400, "INVALID_ARGUMENT")
            assert photos.library.items == []
            answer = await client.create(tokens[:50], names=[f"{n}.jpg" for n in range(50)])
            assert answer.status == 200
            assert statuses(answer) == [0] * 50
            assert [item.file_name for item in photos.library.items] == [
                f"{n}.jpg" for n in range(50)
            ]

    run(main())


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"newMediaItems": []},
        {"newMediaItems": {}},
        {"newMediaItems": ["x"]},
        {"newMediaItems": [{"simpleMediaItem": {}}]},
        {"newMediaItems": [{"simpleMediaItem": {"uploadToken": 5}}]},
        {"newMediaItems": [{"simpleMediaItem": {"uploadToken": ""}}]},
        {"newMediaItems": [{"simpleMediaItem": {"uploadToken": "x", "fileName": "n" * 256}}]},
        {"newMediaItems": [{"description": "d" * 1001, "simpleMediaItem": {"uploadToken": "x"}}]},
        {"newMediaItems": [{"simpleMediaItem": {"uploadToken": "x"}}], "albumId": "unknown"},
        {
            "newMediaItems": [{"simpleMediaItem": {"uploadToken": "x"}}],
            "albumPosition": {"position": "FIRST_IN_ALBUM"},
        },
    ],
)
def test_a_wrong_batch_is_refused_as_a_whole(run: Run, body: dict[str, Any]) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            answer = await client.post("/v1/mediaItems:batchCreate", body)
            assert (answer.status, answer.error["code"]) == (400, 400)
            assert answer.error["status"] == "INVALID_ARGUMENT"
            assert photos.library.items == []

    run(main())


@pytest.mark.parametrize("data", [b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(run: Run, data: bytes) -> None:
    async def main() -> None:
        async with service() as (_, client):
            answer = await client.send("POST", "/v1/mediaItems:batchCreate", data=data)
            assert (answer.status, answer.error["status"]) == (400, "INVALID_ARGUMENT")

    run(main())


def test_a_body_of_many_megabytes_is_refused(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            data = b'{"x": "%s"}' % (b"y" * (5 << 20))
            answer = await client.send("POST", "/v1/mediaItems:batchCreate", data=data)
            assert answer.status == 400
            assert "payload size exceeds the limit" in answer.error["message"]

    run(main())


@pytest.mark.parametrize("partial_status", [200, 207])
def test_each_item_has_its_own_status(run: Run, partial_status: int) -> None:
    async def main() -> None:
        async with service(partial_status=partial_status) as (photos, client):
            good = await client.upload_token(jpeg(300))
            text = await client.upload_token(b"This is no picture." * 9)
            answer = await client.create([good, text, "unknown-token"])
            assert answer.status == partial_status
            assert statuses(answer) == [0, 3, 3]
            made, bad, unknown = answer.json["newMediaItemResults"]
            assert made["status"] == {"message": "Success"}
            assert made["uploadToken"] == good
            assert made["mediaItem"]["id"] == photos.library.items[0].id
            assert bad["status"]["message"].startswith("BAD_IMAGE")
            assert "mediaItem" not in bad
            assert unknown["status"]["message"].startswith("Failed: ")
            # Where none was made there is nothing partial.
            assert (await client.create([text])).status == 200
            assert len(photos.library.items) == 1

    run(main())


def test_a_made_item_tells_what_it_is(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            sample = next(samples(1))
            entry = {
                "description": "Hills, by nobody",
                "simpleMediaItem": {
                    "uploadToken": await client.upload_token(sample.data),
                    "fileName": sample.name,
                },
            }
            answer = await client.post("/v1/mediaItems:batchCreate", {"newMediaItems": [entry]})
            item = answer.json["newMediaItemResults"][0]["mediaItem"]
            assert item["filename"] == sample.name
            assert item["description"] == "Hills, by nobody"
            assert item["mimeType"] == "image/jpeg"
            assert item["mediaMetadata"] == {
                "creationTime": sample.taken.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "width": "320",
                "height": "240",
                "photo": {},
            }
            assert "baseUrl" not in item
            got = await client.get(f"/v1/mediaItems/{item['id']}")
            base_url = got.json.pop("baseUrl")
            assert base_url.startswith(photos.base_url)
            assert {**item, "baseUrl": base_url} == got.json | {"baseUrl": base_url}

    run(main())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO"])
def test_the_type_is_found_in_the_bytes_not_in_the_name(run: Run, kind: str) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            file = io.BytesIO()
            Image.new("RGB", (48, 32), "teal").save(file, kind, sizes=[(48, 32)])
            await client.item(file.getvalue(), name="named.jpg")
            (item,) = photos.library.items
            expected = "x-icon" if kind == "ICO" else kind.lower()
            assert item.mime_type == f"image/{expected}"
            assert (item.width, item.height) == (48, 32)

    run(main())


def test_the_same_bytes_are_one_item_that_keeps_its_first_name(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            album = await client.album()
            first = await client.item(jpeg(300), name="first.jpg")
            again = await client.item(jpeg(300), album, name="again.jpg")
            assert first == again
            (item,) = photos.library.items
            assert (item.file_name, item.creations) == ("first.jpg", 2)
            assert photos.library.uploads[item.sha256] == 2
            # It goes into the album all the same, and into it once.
            await client.item(jpeg(300), album, name="third.jpg")
            (shown,) = photos.library.albums
            assert photos.library.items_in(shown) == [item]

    run(main())


def test_the_same_bytes_can_be_refused_instead(run: Run) -> None:
    async def main() -> None:
        async with service(duplicates="already_exists") as (photos, client):
            tokens = [await client.upload_token(jpeg(300)) for _ in range(2)]
            assert statuses(await client.create(tokens[:1])) == [0]
            assert statuses(await client.create(tokens[1:])) == [6]
            assert len(photos.library.items) == 1

    run(main())


def test_a_second_create_at_the_same_moment_is_refused(run: Run) -> None:
    async def main() -> None:
        async with service(latency=0.3) as (photos, client):
            tokens = [await client.upload_token(jpeg(300, salt)) for salt in "ab"]
            answers = await asyncio.gather(*(client.create([token]) for token in tokens))
            assert sorted(answer.status for answer in answers) == [200, 429]
            refused = max(answers, key=lambda answer: answer.status)
            assert refused.error["status"] == "RESOURCE_EXHAUSTED"
            assert "concurrent write request" in refused.error["message"]
            assert "details" not in refused.error
            assert (photos.requests.max_creates, photos.requests.max_writes) == (2, 2)
            assert len(photos.library.items) == 1
            # One after the other is what is wanted.
            for token in tokens:
                assert (await client.create([token])).status == 200

    run(main())


def test_a_create_that_was_refused_does_not_block_the_next(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            assert (await client.create([])).status == 400
            assert statuses(await client.create([await client.upload_token(jpeg(300))])) == [0]

    run(main())


def test_items_are_listed_page_by_page(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            ids = [await client.item(jpeg(200, f"-{n}-")) for n in range(7)]
            seen: list[str] = []
            query: dict[str, Any] = {"pageSize": 3}
            pages = 0
            while True:
                answer = await client.get("/v1/mediaItems", **query)
                seen += [item["id"] for item in answer.json["mediaItems"]]
                pages += 1
                if "nextPageToken" not in answer.json:
                    break
                query["pageToken"] = answer.json["nextPageToken"]
            assert (seen, pages) == (ids, 3)
            for wrong in ({"pageSize": 101}, {"pageSize": -1}, {"pageSize": "x"}):
                assert (await client.get("/v1/mediaItems", **wrong)).status == 400
            assert (await client.get("/v1/mediaItems", pageToken="bm9uc2Vuc2U=")).status == 400
            assert (await client.get("/v1/mediaItems", pageToken="*")).status == 400
            assert photos.requests.counts["list_items"] == 8

    run(main())


def test_searching_an_album_shows_its_items(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            album = await client.album()
            inside = [await client.item(jpeg(200, f"-{n}-"), album) for n in range(3)]
            await client.item(jpeg(200, "outside"))
            search = "/v1/mediaItems:search"
            answer = await client.post(search, {"albumId": album, "pageSize": 2})
            assert [item["id"] for item in answer.json["mediaItems"]] == inside[:2]
            token = answer.json["nextPageToken"]
            answer = await client.post(search, {"albumId": album, "pageToken": token})
            assert [item["id"] for item in answer.json["mediaItems"]] == inside[2:]
            answer = await client.post(search, {"albumId": "unknown"})
            assert answer.status == 404
            answer = await client.post(search, {"albumId": album, "filters": {}})
            assert answer.status == 400
            assert (await client.post(search, {"filters": {}})).status == 501
            assert len((await client.post(search, {})).json["mediaItems"]) == 4

    run(main())


def test_many_items_are_read_at_once(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            item = await client.item(jpeg(200))
            query = [("mediaItemIds", item), ("mediaItemIds", "unknown")]
            answer = await client.send("GET", "/v1/mediaItems:batchGet", params=query)
            found, missing = answer.json["mediaItemResults"]
            assert found["mediaItem"]["id"] == item
            assert missing["status"]["code"] == 5
            too_many = [("mediaItemIds", item)] * 51
            answer = await client.send("GET", "/v1/mediaItems:batchGet", params=too_many)
            assert answer.status == 400
            assert (await client.get("/v1/mediaItems/unknown")).status == 404

    run(main())


def test_an_application_sees_what_it_made_itself(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            item = await client.item(jpeg(200), await client.album())
            photos.client_id, photos.client_secret = photos.accounts.register()
            async with signed_in(photos) as stranger:
                assert (await stranger.get("/v1/mediaItems")).json == {}
                assert (await stranger.get("/v1/albums")).json == {}
                assert (await stranger.get(f"/v1/mediaItems/{item}")).status == 404

    run(main())


def test_the_base_url_gives_the_bytes_where_they_are_kept(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            small, large = jpeg(5_000), jpeg(900_000)
            for data, status in ((small, 200), (large, 404)):
                item = await client.item(data)
                url = (await client.get(f"/v1/mediaItems/{item}")).json["baseUrl"]
                async with client.session.get(url + "=d") as response:
                    assert response.status == status
                    body = await response.read()
                assert (body == small) == (status == 200)
            assert (await client.get("/media/unknown=w10-h10")).status == 404
            assert photos.requests.counts["media_bytes"] == 3

    run(main())


def test_items_that_do_not_fit_into_an_album_are_not_made(run: Run) -> None:
    async def main() -> None:
        async with service(limits=Limits(album_items=3)) as (photos, client):
            album = await client.album()
            tokens = [await client.upload_token(jpeg(200, f"-{n}-")) for n in range(4)]
            assert (await client.create(tokens, album)).status == 400
            assert photos.library.items == []
            assert statuses(await client.create(tokens[:3], album)) == [0, 0, 0]
            # Those that are in it already fit in again.
            assert statuses(await client.create(tokens[:3], album)) == [0, 0, 0]
            assert (await client.create(tokens[3:], album)).status == 400
            assert statuses(await client.create(tokens[3:])) == [0]

    run(main())


def test_items_can_come_first_in_an_album(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            album = await client.album()
            last = await client.item(jpeg(200, "last"), album)
            token = await client.upload_token(jpeg(200, "first"))
            body = {
                "albumId": album,
                "albumPosition": {"position": "FIRST_IN_ALBUM"},
                "newMediaItems": [{"simpleMediaItem": {"uploadToken": token}}],
            }
            answer = await client.post("/v1/mediaItems:batchCreate", body)
            first = answer.json["newMediaItemResults"][0]["mediaItem"]["id"]
            (shown,) = photos.library.albums
            assert list(shown.item_ids) == [first, last]
            body["albumPosition"] = {"position": "AFTER_MEDIA_ITEM"}
            answer = await client.post("/v1/mediaItems:batchCreate", body)
            assert (answer.status, answer.error["status"]) == (501, "UNIMPLEMENTED")

    run(main())
