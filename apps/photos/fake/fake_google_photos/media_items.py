"""Items: batchCreate with a status for each item, and the ways to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import fields
from .albums import album_full
from .errors import ApiError, invalid, json_response
from .faults import Fault
from .gate import Call
from .library import Album, Item
from .uploads import Upload

if TYPE_CHECKING:
    from .service import FakeGooglePhotos

FAILED = "There was an error while trying to create this media item."
NOT_FOUND = "Requested entity was not found."


@dataclass(frozen=True)
class NewItem:
    """One entry of `newMediaItems`."""

    token: str
    file_name: str
    description: str


class MediaItems:
    """Answers at /v1/mediaItems."""

    def __init__(self, service: FakeGooglePhotos) -> None:
        self._service = service
        self._library = service.library
        self._limits = service.limits

    def as_json(self, item: Item, *, base_url: bool = True) -> dict[str, Any]:
        """An item as the API shows it; `batchCreate` shows no base URL."""
        kind = {"video": {"status": "READY"}} if item.is_video else {"photo": {}}
        metadata: dict[str, Any] = {"creationTime": self._service.clock.timestamp(item.taken)}
        if item.width:
            metadata |= {"width": str(item.width), "height": str(item.height)}
        shown = {
            "id": item.id,
            "productUrl": f"https://photos.google.com/lr/photo/{item.id}",
            "mimeType": item.mime_type,
            "mediaMetadata": {**metadata, **kind},
            "filename": item.file_name,
        }
        if item.description:
            shown["description"] = item.description
        if base_url:
            shown["baseUrl"] = f"{self._service.base_url}/media/{item.id}"
        return shown

    async def batch_create(self, call: Call) -> web.StreamResponse:
        """Makes items of upload tokens. Each has a status of its own, also in a 200."""
        body = await call.json()
        entries = fields.entries(body, "newMediaItems")
        if not 0 < len(entries) <= self._limits.batch:
            raise invalid(f"Request must contain 1 to {self._limits.batch} new media items.")
        new = [self._new_item(entry) for entry in entries]
        album, first = self._target(call, body)
        uploads = [self._service.uploads.find(call.client_id, item.token) for item in new]
        if album is not None:
            self._check_room(call.client_id, album, uploads)
        failing = self._failing(call, len(new))
        results: list[dict[str, Any]] = []
        made: list[Item] = []
        for index, (entry, upload) in enumerate(zip(new, uploads, strict=True)):
            problem = self._problem(call, upload, index in failing)
            result: dict[str, Any] = {"uploadToken": entry.token}
            if problem is not None or upload is None:
                result["status"] = problem
            else:
                item = self._create(call, entry, upload)
                made.append(item)
                result["status"] = {"message": "Success"}
                result["mediaItem"] = self.as_json(item, base_url=False)
            results.append(result)
        if album is not None:
            self._library.add(album, made, first=first)
        status = self._service.partial_status if 0 < len(made) < len(new) else 200
        return json_response({"newMediaItemResults": results}, status=status)

    def _new_item(self, entry: Any) -> NewItem:
        if not isinstance(entry, dict):
            raise invalid(f"Invalid value at 'new_media_items' (message), {entry!r}")
        simple = fields.message(entry, "simpleMediaItem")
        token = fields.text(simple, "uploadToken")
        if not token:
            raise invalid("Request must contain a valid upload token.")
        return NewItem(
            token,
            fields.text(simple, "fileName", longest=self._limits.file_name),
            fields.text(entry, "description", longest=self._limits.description),
        )

    def _target(self, call: Call, body: Mapping[str, Any]) -> tuple[Album | None, bool]:
        """The album to put items into, and whether they go to its beginning."""
        album_id = fields.text(body, "albumId")
        position = fields.text(fields.message(body, "albumPosition"), "position")
        if position and not album_id:
            raise invalid("Album position cannot be set without an album id.")
        if position not in ("", "POSITION_TYPE_UNSPECIFIED", "LAST_IN_ALBUM", "FIRST_IN_ALBUM"):
            raise ApiError("UNIMPLEMENTED", f"Album position {position} is not implemented here.")
        album = self._service.albums.writable(call.client_id, album_id) if album_id else None
        return album, position == "FIRST_IN_ALBUM"

    def _check_room(self, client_id: str, album: Album, uploads: list[Upload | None]) -> None:
        """Refuses the whole batch if the album could not take all of it."""
        new: set[str] = set()
        for upload in uploads:
            if upload is not None:
                item = self._library.find(client_id, upload.received.sha256)
                if item is None or item.id not in album.item_ids:
                    new.add(upload.received.sha256)
        if len(album.item_ids) + len(new) > self._limits.album_items:
            raise album_full(self._limits.album_items)

    def _failing(self, call: Call, count: int) -> set[int]:
        """Which items of a batch the plan lets fail: one for sure, a quarter of the others."""
        if call.fault is not Fault.ITEM_INTERNAL:
            return set()
        draw = self._service.faults.draw
        sure = int(draw(f"item of {call.number}") * count)
        return {sure} | {
            index for index in range(count) if draw(f"item {index} of {call.number}") < 0.25
        }

    def _problem(self, call: Call, upload: Upload | None, fails: bool) -> dict[str, Any] | None:
        """The status of an item that is not made."""
        if upload is None:
            # An upload token that is unknown or older than a day: the bytes have to be sent again.
            return {"code": 3, "message": f"Failed: {FAILED}"}
        if fails:
            return {"code": 13, "message": f"Failed: {FAILED}"}
        received = upload.received
        media = received.media
        if media is None:
            return {"code": 3, "message": f"BAD_IMAGE: {FAILED}"}
        if not media.is_video and received.size > self._limits.photo_bytes:
            return {"code": 3, "message": f"BAD_IMAGE: {FAILED}"}
        known = self._library.find(call.client_id, received.sha256)
        if known is not None and self._service.duplicates == "already_exists":
            return {"code": 6, "message": f"Failed: {FAILED}"}
        return None

    def _create(self, call: Call, entry: NewItem, upload: Upload) -> Item:
        name = entry.file_name or upload.file_name or f"{upload.received.sha256[:16]}"
        now = self._service.clock.now()
        return self._library.create_item(
            call.client_id, upload.received, name, entry.description, now
        )

    def _page(self, items: list[Item], asked: Mapping[str, Any]) -> web.Response:
        shown, following = fields.page(items, asked, usual=25, largest=100)
        body: dict[str, Any] = {}
        if shown:
            body["mediaItems"] = [self.as_json(item) for item in shown]
        if following:
            body["nextPageToken"] = following
        return json_response(body)

    async def listing(self, call: Call) -> web.StreamResponse:
        """The items that the application made, the oldest first."""
        return self._page(self._library.items_by(call.client_id), call.request.query)

    async def search(self, call: Call) -> web.StreamResponse:
        """The items of an album, or all. Filters are not implemented."""
        body = await call.json()
        album_id = fields.text(body, "albumId")
        if "filters" in body:
            if album_id:
                raise invalid("The album ID cannot be set if filters are used.")
            raise ApiError("UNIMPLEMENTED", "Filters are not implemented here.")
        if not album_id:
            return self._page(self._library.items_by(call.client_id), body)
        album = self._library.album(album_id)
        if album is None or album.client_id != call.client_id:
            raise ApiError("NOT_FOUND", NOT_FOUND)
        return self._page(self._library.items_in(album), body)

    async def get(self, call: Call) -> web.StreamResponse:
        """One item."""
        item = self._find(call, call.request.match_info["id"])
        if item is None:
            raise ApiError("NOT_FOUND", NOT_FOUND)
        return json_response(self.as_json(item))

    async def batch_get(self, call: Call) -> web.StreamResponse:
        """Up to 50 items; those that are not there have a status instead."""
        ids = call.request.query.getall("mediaItemIds", [])
        if not 0 < len(ids) <= self._limits.batch:
            raise invalid(f"Request must contain 1 to {self._limits.batch} media item ids.")
        results: list[dict[str, Any]] = []
        for item_id in ids:
            item = self._find(call, item_id)
            if item is None:
                results.append({"status": {"code": 5, "message": NOT_FOUND}})
            else:
                results.append({"mediaItem": self.as_json(item)})
        return json_response({"mediaItemResults": results})

    def _find(self, call: Call, item_id: str) -> Item | None:
        item = self._library.item(item_id)
        return item if item is not None and item.client_id == call.client_id else None

    async def media_bytes(self, request: web.Request) -> web.StreamResponse:
        """The bytes behind a base URL, with a suffix for the size (`=w256-h256`, `=d`) or without.

        Whoever has the URL may have them; they count for the application that made the item.
        """
        item_id, _, _size = request.match_info["id"].partition("=")
        item = self._library.item(item_id)
        if item is None:
            raise ApiError("NOT_FOUND", NOT_FOUND)
        self._service.meter.count_media_bytes(item.client_id.partition("-")[0])
        return self._service.copy_of(item)
