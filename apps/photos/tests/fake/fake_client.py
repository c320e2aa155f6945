"""A plain client for the tests of the local service. It does as it is told and retries nothing."""

from __future__ import annotations

import io
import json
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from fake_google_photos import SCOPES, FakeGooglePhotos

Run = Callable[[Coroutine[Any, Any, Any]], Any]

GRANULE = 262_144

JPEG = b"\xff\xd8\xff\xe0"


def jpeg(size: int, salt: str = "") -> bytes:
    """Bytes that begin like a JPEG and are no others' for another `salt`."""
    start = JPEG + salt.encode()
    return start + bytes(index * 7 % 251 for index in range(251)) * ((size - len(start)) // 251 + 1)


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> Any:
        return self.json["error"]


class Client:
    """Requests with one access token."""

    def __init__(self, photos: FakeGooglePhotos, session: aiohttp.ClientSession, token: str):
        self.photos = photos
        self.session = session
        self.token = token

    async def send(self, method: str, url: str, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        if isinstance(options.get("data"), bytes):
            # aiohttp warns where large bytes are passed as they are.
            options["data"] = io.BytesIO(options["data"])
        if url.startswith("/"):
            url = self.photos.base_url + url
        async with self.session.request(method, url, headers=headers, **options) as response:
            return Answer(response.status, response.headers, await response.text(errors="replace"))

    async def get(self, url: str, **query: Any) -> Answer:
        return await self.send("GET", url, params=query)

    async def post(self, url: str, body: Any) -> Answer:
        return await self.send("POST", url, json=body)

    async def raw(self, data: bytes, **headers: str) -> Answer:
        """Uploads bytes at once; keywords are headers, with _ for -."""
        usual = {
            "Content-Type": "application/octet-stream",
            "X-Goog-Upload-Protocol": "raw",
            "X-Goog-Upload-Content-Type": "image/jpeg",
        }
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", "/v1/uploads", data=data, headers={**usual, **named})

    async def start(self, size: int, **headers: str) -> Answer:
        """Begins a resumable upload."""
        usual = {
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Content-Type": "image/jpeg",
            "X-Goog-Upload-Raw-Size": str(size),
        }
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.send("POST", "/v1/uploads", headers={**usual, **named})

    async def session_url(self, size: int, **headers: str) -> str:
        answer = await self.start(size, **headers)
        assert answer.status == 200, answer
        return answer.headers["X-Goog-Upload-URL"]

    async def chunk(
        self, url: str, data: Any, offset: int, *, final: bool = False, command: str = ""
    ) -> Answer:
        headers = {
            "X-Goog-Upload-Command": command or ("upload, finalize" if final else "upload"),
            "X-Goog-Upload-Offset": str(offset),
        }
        return await self.send("POST", url, data=data, headers=headers)

    async def command(self, url: str, command: str) -> Answer:
        return await self.send("POST", url, headers={"X-Goog-Upload-Command": command})

    async def received(self, url: str) -> int:
        answer = await self.command(url, "query")
        assert answer.status == 200, answer
        return int(answer.headers["X-Goog-Upload-Size-Received"])

    async def album(self, title: str = "Lisbon") -> str:
        answer = await self.post("/v1/albums", {"album": {"title": title}})
        assert answer.status == 200, answer
        album_id: str = answer.json["id"]
        return album_id

    async def upload_token(self, data: bytes) -> str:
        answer = await self.raw(data)
        assert answer.status == 200, answer
        return answer.text

    async def create(
        self, tokens: Sequence[str], album: str = "", names: Sequence[str] = ()
    ) -> Answer:
        """Makes items of upload tokens; the names go to the first of them."""
        shown = [*names, *("" for _ in tokens[len(names) :])]
        items = [
            {"simpleMediaItem": {"uploadToken": token, "fileName": name}}
            for token, name in zip(tokens, shown, strict=True)
        ]
        return await self.post(
            "/v1/mediaItems:batchCreate", {"albumId": album, "newMediaItems": items}
        )

    async def item(self, data: bytes, album: str = "", name: str = "") -> str:
        """Uploads bytes and makes an item of them."""
        answer = await self.create([await self.upload_token(data)], album, [name])
        assert answer.status == 200, answer
        item_id: str = answer.json["newMediaItemResults"][0]["mediaItem"]["id"]
        return item_id


def statuses(answer: Answer) -> list[int]:
    """The code of each item of a `batchCreate`; 0 for those that were made."""
    return [result["status"].get("code", 0) for result in answer.json["newMediaItemResults"]]


@asynccontextmanager
async def browser(photos: FakeGooglePhotos) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that trusts the service's certificate and has no access token."""
    context: Any = True
    if photos.ca_file is not None:
        context = ssl.create_default_context(cafile=photos.ca_file)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@asynccontextmanager
async def signed_in(
    photos: FakeGooglePhotos, scopes: tuple[str, ...] = SCOPES
) -> AsyncIterator[Client]:
    """A client with an access token for `scopes`, of the service's own application."""
    credentials = photos.issue_credentials(scopes)
    form = {
        "grant_type": "refresh_token",
        "refresh_token": credentials.refresh_token,
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
    }
    async with browser(photos) as session:
        async with session.post(photos.token_url, data=form) as response:
            token = (await response.json())["access_token"]
        yield Client(photos, session, token)


@asynccontextmanager
async def service(**options: Any) -> AsyncIterator[tuple[FakeGooglePhotos, Client]]:
    """The service and a client that may do everything."""
    async with FakeGooglePhotos(**options) as photos, signed_in(photos) as client:
        yield photos, client
