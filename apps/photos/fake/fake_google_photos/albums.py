"""Albums: create, list, get, and moving items in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from . import fields
from .errors import ApiError, invalid, json_response
from .gate import Call
from .library import Album, AlbumFull, Item

if TYPE_CHECKING:
    from .service import FakeGooglePhotos

NO_PERMISSION = "No permission to add media items to this album."


class Albums:
    """Answers at /v1/albums."""

    def __init__(self, service: FakeGooglePhotos) -> None:
        self._service = service
        self._library = service.library
        self._limits = service.limits

    def as_json(self, album: Album) -> dict[str, Any]:
        """An album as the API shows it."""
        shown: dict[str, Any] = {
            "id": album.id,
            "title": album.title,
            "productUrl": f"https://photos.google.com/lr/album/{album.id}",
            "isWriteable": True,
        }
        if album.item_ids:
            # A 64-bit number: a string in JSON, and missing while it is 0.
            shown["mediaItemsCount"] = str(len(album.item_ids))
            cover = next(iter(album.item_ids))
            shown["coverPhotoBaseUrl"] = f"{self._service.base_url}/media/{cover}"
            shown["coverPhotoMediaItemId"] = cover
        return shown

    async def create(self, call: Call) -> web.StreamResponse:
        """Makes an album, also where another one has the same title."""
        album = fields.message(await call.json(), "album")
        title = fields.text(album, "title", longest=self._limits.album_title)
        if not title.strip():
            raise invalid("Album title must not be empty.")
        return json_response(self.as_json(self._library.create_album(call.client_id, title)))

    async def listing(self, call: Call) -> web.StreamResponse:
        """The albums that the application made."""
        own = [album for album in self._library.albums if album.client_id == call.client_id]
        albums, following = fields.page(own, call.request.query, usual=20, largest=50)
        body: dict[str, Any] = {}
        if albums:
            body["albums"] = [self.as_json(album) for album in albums]
        if following:
            body["nextPageToken"] = following
        return json_response(body)

    async def get(self, call: Call) -> web.StreamResponse:
        """One album."""
        album = self._library.album(call.request.match_info["id"])
        if album is None or album.client_id != call.client_id:
            raise ApiError("NOT_FOUND", "Requested entity was not found.")
        return json_response(self.as_json(album))

    def writable(self, client_id: str, album_id: str) -> Album:
        """The album of this id, for adding to it.

        Raises:
            ApiError: there is none, or another application made it.
        """
        album = self._library.album(album_id)
        if album is None or album.client_id != client_id:
            raise invalid(NO_PERMISSION)
        return album

    async def add(self, call: Call) -> web.StreamResponse:
        """Puts items into an album: all of them, or none if one is unknown."""
        album, items = await self._album_and_items(call)
        try:
            self._library.add(album, items)
        except AlbumFull:
            raise album_full(self._limits.album_items) from None
        return json_response({})

    async def remove(self, call: Call) -> web.StreamResponse:
        """Takes items out of an album: all of them, or none if one is not in it."""
        album, items = await self._album_and_items(call)
        if any(item.id not in album.item_ids for item in items):
            raise invalid("Request contains an invalid media item id.")
        self._library.remove(album, items)
        return json_response({})

    async def _album_and_items(self, call: Call) -> tuple[Album, list[Item]]:
        album = self.writable(call.client_id, call.request.match_info["id"])
        ids = fields.entries(await call.json(), "mediaItemIds")
        if not 0 < len(ids) <= self._limits.batch:
            raise invalid(f"Request must contain 1 to {self._limits.batch} media item ids.")
        items: list[Item] = []
        for item_id in ids:
            item = self._library.item(item_id) if isinstance(item_id, str) else None
            if item is None or item.client_id != call.client_id:
                raise invalid("Request contains an invalid media item id.")
            items.append(item)
        return album, items


def album_full(limit: int) -> ApiError:
    """400 for an album that would have more items than it may have."""
    return invalid(f"The album would have more than {limit} media items.")
