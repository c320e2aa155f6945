"""The page of the local service in headless Chromium, which is driven by its own protocol."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fake_client import Run, service
from fake_google_photos import READ
from fake_google_photos.samples import samples
from needs import browser_program

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(120)]

# Where to keep the screenshots for a person to look at.
KEEP = os.environ.get("SCREENSHOTS")


class Tab:
    """One tab of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        """Sends a command and waits for its answer; events on the way are kept."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(30):
            while True:
                said = await self._socket.receive_json()
                if said.get("id") == self._number:
                    assert "error" not in said, said
                    return said["result"]
                self.events.append(said)

    async def value(self, script: str) -> Any:
        """What a script evaluates to."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, script: str, wanted: Any) -> None:
        """Waits until a script evaluates to `wanted`."""
        last = None
        for _ in range(200):
            last = await self.value(script)
            if last == wanted:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{script} stays {last!r}, not {wanted!r}")

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href", url)

    async def screenshot(self, name: str) -> bytes:
        picture = base64.b64decode((await self.call("Page.captureScreenshot"))["data"])
        if KEEP:
            Path(KEEP).mkdir(parents=True, exist_ok=True)
            (Path(KEEP) / f"{name}.png").write_bytes(picture)
        return picture


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Tab]:
    """A browser with one tab."""
    program = browser_program()
    assert program is not None
    process = await asyncio.create_subprocess_exec(
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-port=0",
        "--window-size=1280,900",
        f"--user-data-dir={profile}",
        "about:blank",
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            port = None
            while port is None:
                line = await process.stderr.readline()
                assert line, "Chromium ended at its start"
                port = re.search(rb"DevTools listening on ws://127.0.0.1:(\d+)/", line)
        listed = f"http://127.0.0.1:{port[1].decode()}/json"
        drain = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session:
            async with session.get(listed) as response:
                tab = next(tab for tab in await response.json() if tab["type"] == "page")
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                shown = Tab(socket)
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await shown.call(f"{domain}.enable")
                yield shown
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
    await drain


def complaints(tab: Tab) -> list[Any]:
    """What the browser's console would show: errors of scripts, files that are missing."""
    return [
        event
        for event in tab.events
        if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed")
    ]


def test_pictures_appear_without_a_reload(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with service() as (photos, client), chromium(tmp_path) as tab:
            album = await client.album("Lisbon 2023")
            made = list(samples(12, seed=4))
            for sample in made[:4]:
                await client.item(sample.data, album, sample.name)
            await tab.open(photos.page_url)
            tiles = "document.querySelectorAll('#grid figure').length"
            await tab.until(tiles, 4)
            await tab.value("window.sameDocument = true")
            more = await client.album("京都の秋 — القاهرة")
            for sample in made[4:]:
                await client.item(sample.data, more, sample.name)
            await tab.until(tiles, 12)
            await tab.until("document.getElementById('pictures').textContent", "12")
            await tab.until("document.querySelectorAll('#albums .album').length", 2)
            assert await tab.value("window.sameDocument") is True
            # The newest one comes first.
            first = "document.querySelector('#grid figcaption').textContent"
            assert await tab.value(first) == made[-1].name
            # Every picture is one that the browser can show: JPEG, PNG, WEBP, GIF.
            loaded = "[...document.images].filter(i => i.complete && i.naturalWidth > 0).length"
            await tab.until(loaded, 14)
            assert complaints(tab) == []
            await tab.screenshot("overview")

    run(main())


def test_an_album_shows_its_pictures_in_order(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with service() as (photos, client), chromium(tmp_path) as tab:
            album = await client.album("Lisbon 2023")
            made = list(samples(20, seed=5))
            for sample in made[:10]:
                await client.item(sample.data, album, sample.name)
            await tab.open(f"{photos.page_url}album/{album}")
            for sample in made[10:]:
                await client.item(sample.data, album, sample.name)
            names = "[...document.querySelectorAll('figcaption')].map(c => c.textContent).join()"
            await tab.until(names, ",".join(sample.name for sample in made))
            assert complaints(tab) == []
            await tab.screenshot("album")

    run(main())


def test_the_page_is_light_or_dark_as_the_user_likes(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with service() as (photos, client), chromium(tmp_path) as tab:
            album = await client.album("Lisbon 2023")
            for sample in samples(8):
                await client.item(sample.data, album, sample.name)
            shown = {}
            for scheme in ("light", "dark"):
                features = [{"name": "prefers-color-scheme", "value": scheme}]
                await tab.call("Emulation.setEmulatedMedia", features=features)
                await tab.open(photos.page_url)
                shown[scheme] = await tab.value("getComputedStyle(document.body).backgroundColor")
                await tab.screenshot(scheme)
            assert shown["light"] == "rgb(251, 250, 248)"
            assert shown["dark"] == "rgb(22, 21, 19)"

    run(main())


def test_a_narrow_window_has_no_sideways_scrolling(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with service() as (photos, client), chromium(tmp_path) as tab:
            album = await client.album("A very long title " + "without" * 40)
            for sample in samples(5):
                await client.item(sample.data, album, sample.name)
            await tab.call(
                "Emulation.setDeviceMetricsOverride",
                width=390,
                height=844,
                deviceScaleFactor=1,
                mobile=True,
            )
            for name, url in (("phone", ""), ("phone-album", f"album/{album}")):
                await tab.open(photos.page_url + url)
                assert await tab.value("document.documentElement.scrollWidth") <= 390
                await tab.screenshot(name)

    run(main())


def test_sign_in_by_a_click(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        back: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def caller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = (await reader.readline()).decode()
            if not back.done():
                back.set_result(line)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone")
            writer.close()

        server = await asyncio.start_server(caller, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with service(auto_consent=False) as (photos, _), chromium(tmp_path) as tab:
            query = (
                f"?client_id={photos.client_id}&redirect_uri=http://127.0.0.1:{port}/"
                f"&response_type=code&scope={READ}&state=s1"
            )
            await tab.open(photos.auth_url + query)
            assert await tab.value("document.querySelector('h1').textContent") == "Allow access?"
            await tab.screenshot("consent")
            await tab.value("document.querySelector('button.main').click()")
            line = await asyncio.wait_for(back, 10)
            assert line.startswith("GET /?state=s1&code=4%2F")
        server.close()
        await server.wait_closed()

    run(main())
