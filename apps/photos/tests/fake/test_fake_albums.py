"""Albums at the local service."""

from __future__ import annotations

from typing import Any

import pytest
from fake_client import Run, jpeg, service
from fake_google_photos import Limits

NO_PERMISSION = "No permission to add media items to this album."


@pytest.mark.parametrize("title", ["Lisbon", "京都の秋", "القاهرة", "Ελλάδα 🏛", "t" * 500])
def test_an_album_has_the_title_it_was_given(run: Run, title: str) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            answer = await client.post("/v1/albums", {"album": {"title": title}})
            album = answer.json
            assert (album["title"], album["isWriteable"]) == (title, True)
            assert "mediaItemsCount" not in album
            got = await client.get(f"/v1/albums/{album['id']}")
            assert got.json == album
            assert [album.title for album in photos.library.albums_named(title)] == [title]

    run(main())


@pytest.mark.parametrize(
    "body", [{}, {"album": {}}, {"album": {"title": " "}}, {"album": {"title": 3}}, {"album": "x"}]
)
def test_an_album_needs_a_title(run: Run, body: dict[str, Any]) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            assert (await client.post("/v1/albums", body)).status == 400
            long = {"album": {"title": "t" * 501}}
            assert (await client.post("/v1/albums", long)).status == 400
            assert photos.library.albums == []

    run(main())


def test_two_albums_can_have_one_title(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            assert await client.album("Twice") != await client.album("Twice")
            assert len(photos.library.albums_named("Twice")) == 2

    run(main())


def test_the_count_of_items_is_a_string(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            album = await client.album()
            first = await client.item(jpeg(200, "a"), album)
            await client.item(jpeg(200, "b"), album)
            shown = (await client.get("/v1/albums")).json["albums"][0]
            assert shown["mediaItemsCount"] == "2"
            assert shown["coverPhotoMediaItemId"] == first

    run(main())


def test_albums_are_listed_page_by_page(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            ids = [await client.album(f"Album {n}") for n in range(23)]
            photos.library.create_foreign_album("Not ours")
            first = await client.get("/v1/albums")
            assert [album["id"] for album in first.json["albums"]] == ids[:20]
            token = first.json["nextPageToken"]
            second = await client.get("/v1/albums", pageToken=token)
            assert [album["id"] for album in second.json["albums"]] == ids[20:]
            assert "nextPageToken" not in second.json
            assert len((await client.get("/v1/albums", pageSize=50)).json["albums"]) == 23
            assert (await client.get("/v1/albums", pageSize=51)).status == 400

    run(main())


def test_items_go_in_and_out_of_an_album(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            album = await client.album()
            ids = [await client.item(jpeg(200, f"-{n}-")) for n in range(3)]
            add = f"/v1/albums/{album}:batchAddMediaItems"
            remove = f"/v1/albums/{album}:batchRemoveMediaItems"
            answer = await client.post(add, {"mediaItemIds": [ids[2], ids[0]]})
            assert (answer.status, answer.json) == (200, {})
            (shown,) = photos.library.albums
            assert list(shown.item_ids) == [ids[2], ids[0]]
            answer = await client.post(add, {"mediaItemIds": [ids[1], "unknown"]})
            assert answer.status == 400
            assert answer.error["message"] == "Request contains an invalid media item id."
            assert list(shown.item_ids) == [ids[2], ids[0]]
            assert (await client.post(remove, {"mediaItemIds": [ids[1]]})).status == 400
            assert (await client.post(remove, {"mediaItemIds": [ids[2]]})).status == 200
            assert list(shown.item_ids) == [ids[0]]
            item = photos.library.item(ids[2])
            assert item is not None
            assert item.album_ids == []

    run(main())


def test_fifty_items_at_most_are_added_at_once(run: Run) -> None:
    async def main() -> None:
        async with service() as (_, client):
            album = await client.album()
            item = await client.item(jpeg(200))
            add = f"/v1/albums/{album}:batchAddMediaItems"
            for count, status in ((0, 400), (51, 400), (50, 200)):
                assert (await client.post(add, {"mediaItemIds": [item] * count})).status == status

    run(main())


def test_an_album_has_an_end(run: Run) -> None:
    async def main() -> None:
        async with service(limits=Limits(album_items=2)) as (photos, client):
            album = await client.album()
            ids = [await client.item(jpeg(200, f"-{n}-")) for n in range(3)]
            add = f"/v1/albums/{album}:batchAddMediaItems"
            assert (await client.post(add, {"mediaItemIds": ids})).status == 400
            assert photos.library.items_in(photos.library.albums[0]) == []
            assert (await client.post(add, {"mediaItemIds": ids[:2]})).status == 200
            assert (await client.post(add, {"mediaItemIds": ids[2:]})).status == 400

    run(main())


def test_an_album_of_somebody_else_is_closed(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            foreign = photos.library.create_foreign_album("Not ours").id
            item = await client.item(jpeg(200))
            token = await client.upload_token(jpeg(200, "more"))
            for answer in (
                await client.create([token], foreign),
                await client.post(
                    f"/v1/albums/{foreign}:batchAddMediaItems", {"mediaItemIds": [item]}
                ),
            ):
                assert answer.status == 400
                assert answer.error["message"] == NO_PERMISSION
            assert (await client.get(f"/v1/albums/{foreign}")).status == 404
            assert len(photos.library.items) == 1

    run(main())
