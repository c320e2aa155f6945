"""The page of the local service, as it leaves the service; test_fake_browser.py looks at it."""

from __future__ import annotations

import aiohttp
import pytest
from fake_client import Run, jpeg, service
from fake_google_photos.samples import samples
from fake_google_photos.web.page import size_text


async def page(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with session.get(url) as response:
        return response.status, await response.text()


def test_the_page_shows_albums_and_pictures(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            album = await client.album("京都の秋")
            sample = next(samples(1))
            item = await client.item(sample.data, album, sample.name)
            status, text = await page(client.session, photos.page_url)
            assert status == 200
            assert "京都の秋" in text
            assert "1 picture<" in text
            assert f'src="/picture/{item}"' in text
            _, text = await page(client.session, f"{photos.page_url}album/{album}")
            assert sample.name in text
            assert "320 × 240" in text
            async with client.session.get(f"{photos.page_url}picture/{item}") as response:
                assert response.headers["Content-Type"] == "image/jpeg"
                assert await response.read() == sample.data

    run(main())


def test_names_cannot_put_anything_into_the_page(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            nasty = "<script>alert('x')</script>\"&"
            album = await client.album(nasty)
            await client.item(jpeg(300), album, nasty)
            for url in (photos.page_url, f"{photos.page_url}album/{album}"):
                _, text = await page(client.session, url)
                assert nasty not in text
                assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&quot;&amp;" in text

    run(main())


def test_the_page_needs_nothing_from_elsewhere(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            async with client.session.get(photos.page_url) as response:
                text = await response.text()
                policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self' data:" in policy
            assert "http://" not in text
            assert "https://" not in text

    run(main())


def test_what_is_not_kept_is_shown_by_its_type(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            item = await client.item(jpeg(900_000), name="large.jpg")
            await client.item(b"\x00\x00\x00\x14ftypisom" + bytes(400), name="clip.mp4")
            _, text = await page(client.session, photos.page_url)
            assert '<span class="type">JPEG</span>' in text
            assert '<span class="type">MP4</span>' in text
            status, _ = await page(client.session, f"{photos.page_url}picture/{item}")
            assert status == 404

    run(main())


def test_the_live_numbers_bring_what_is_new(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            album = await client.album("Lisbon")
            for number in range(3):
                await client.item(jpeg(1000, f"-{number}-"), album, f"{number}.jpg")
            await client.item(jpeg(1000, "outside"), name="outside.jpg")
            url = f"{photos.page_url}live.json"
            async with client.session.get(url, params={"have": "1"}) as response:
                live = await response.json()
            assert [item["name"] for item in live["items"]] == ["1.jpg", "2.jpg", "outside.jpg"]
            assert live["counters"]["pictures"] == "4"
            assert live["counters"]["quota"] == "9 of 10,000"
            assert [shown["count"] for shown in live["albums"]] == ["3 pictures"]
            async with client.session.get(url, params={"have": "2", "album": album}) as response:
                live = await response.json()
            assert [item["name"] for item in live["items"]] == ["2.jpg"]
            assert live["counters"]["pictures"] == "3"
            # Looking costs nothing.
            assert photos.meter.used_in_all() == 9

    run(main())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("album/unknown", 404),
        ("picture/unknown", 404),
        ("live.json?album=unknown", 404),
        ("live.json?have=x", 400),
        ("live.json?have=-1", 400),
        ("nonsense", 404),
    ],
)
def test_a_wrong_address_is_answered(run: Run, path: str, status: int) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            assert (await page(client.session, photos.page_url + path))[0] == status

    run(main())


def test_an_empty_library_says_so(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            _, text = await page(client.session, photos.page_url)
            assert "Nothing has arrived yet." in text

    run(main())


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_500_000, "2.5 MB"), (3e9, "3.00 GB")],
)
def test_sizes_are_written_for_people(size: float, text: str) -> None:
    assert size_text(size) == text
