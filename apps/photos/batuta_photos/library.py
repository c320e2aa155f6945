"""The Photos Library API: items and albums. Uploads of bytes are in `uploads`.

Methods that only ask try again by themselves. Those that change something make one request: their
caller knows what it means if the answer is lost.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from batuta_photos.errors import ApiError, Garbled, ItemResult, ItemVerdict, Verdict, read_item
from batuta_photos.wire import Reply, Wire

BATCH = 50  # items in one request, at most
NAME_LENGTH = 255  # characters of a file name


@dataclass(frozen=True)
class Album:
    """An album that this application has made."""

    id: str
    title: str
    items: int
    url: str
    writable: bool = True


@dataclass(frozen=True)
class NewItem:
    """An item to be made of uploaded bytes."""

    token: str
    name: str


def _object(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.text)
    except ValueError as error:
        raise Garbled(f"an answer that is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise Garbled("an answer that is no JSON object")
    return found


def _album(found: Any) -> Album:
    if not isinstance(found, dict) or not found.get("id"):
        raise Garbled("an album without an id")
    try:
        items = int(found.get("mediaItemsCount") or 0)  # a string in JSON
    except ValueError:
        items = 0
    writable = found.get("isWriteable", True) is not False
    return Album(
        str(found["id"]),
        str(found.get("title") or ""),
        items,
        str(found.get("productUrl") or ""),
        writable,
    )


class Library:
    """The methods that an uploader needs."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def _ask(self, path: str) -> dict[str, Any]:
        async def once() -> dict[str, Any]:
            return _object(await self._wire.send("GET", self._wire.address(path)))

        return await self._wire.persist(once)

    async def _change(self, path: str, body: Any) -> dict[str, Any]:
        return _object(await self._wire.send("POST", self._wire.address(path), json=body))

    async def albums(self) -> AsyncIterator[Album]:
        """All albums of this application."""
        page = ""
        while True:
            more = f"&pageToken={quote(page, safe='')}" if page else ""
            found = await self._ask(f"albums?pageSize=50&excludeNonAppCreatedData=true{more}")
            for album in found.get("albums") or ():
                yield _album(album)
            page = str(found.get("nextPageToken") or "")
            if not page:
                return

    async def album(self, album_id: str) -> Album | None:
        """One album, or None if there is none (any more) of this id."""
        try:
            return _album(await self._ask(f"albums/{quote(album_id, safe='')}"))
        except ApiError as error:
            # An id that is not even formed like one comes from another account's journal.
            if error.verdict is Verdict.GONE or error.name == "INVALID_ARGUMENT":
                return None
            raise

    async def create_album(self, title: str) -> Album:
        """One request."""
        return _album(await self._change("albums", {"album": {"title": title}}))

    async def create_items(self, album_id: str, items: Sequence[NewItem]) -> list[ItemResult]:
        """One request for at most 50 items; one result for each, in their order.

        Raises:
            Garbled: the answer cannot be read; the items may have been made.
        """
        body = {
            "albumId": album_id,
            "newMediaItems": [
                {
                    "simpleMediaItem": {
                        "uploadToken": item.token,
                        "fileName": item.name[-NAME_LENGTH:],
                    }
                }
                for item in items
            ],
        }
        found = await self._change("mediaItems:batchCreate", body)
        results = found.get("newMediaItemResults")
        if not isinstance(results, list):
            raise Garbled("an answer without newMediaItemResults")
        by_token = {
            str(result.get("uploadToken") or ""): result
            for result in results
            if isinstance(result, dict)
        }
        missing = ItemResult(ItemVerdict.RETRY, message="the service did not mention this item")
        return [
            read_item(by_token[item.token]) if item.token in by_token else missing for item in items
        ]

    async def add_to_album(self, album_id: str, media_ids: Sequence[str]) -> None:
        """One request for at most 50 items that exist; doing it twice does no harm."""
        path = f"albums/{quote(album_id, safe='')}:batchAddMediaItems"
        await self._change(path, {"mediaItemIds": list(media_ids)})

    async def existing(self, media_ids: Iterable[str]) -> set[str]:
        """Which of at most 50 items the service still has."""
        query = "&".join(f"mediaItemIds={quote(media_id, safe='')}" for media_id in media_ids)
        found = await self._ask(f"mediaItems:batchGet?{query}")
        there = set()
        for result in found.get("mediaItemResults") or ():
            item = result.get("mediaItem") if isinstance(result, dict) else None
            if isinstance(item, dict) and item.get("id"):
                there.add(str(item["id"]))
        return there
