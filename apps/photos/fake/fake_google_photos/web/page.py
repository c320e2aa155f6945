"""The page that shows what arrived: albums, pictures and live counters.

Rendered here, kept up to date by `page.js`, which asks for `/live.json` once a second. Nothing
comes from elsewhere. These requests are not counted, meet no faults and need no sign-in: they are
for the person at this machine.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from importlib import resources
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ..errors import ApiError, json_response
from ..library import Album, Item

if TYPE_CHECKING:
    from ..service import FakeGooglePhotos

# How many pictures a page shows at first, and how many `/live.json` brings at a time.
FIRST = 240
_AT_A_TIME = 120


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


_STYLE = _text("page.css")
_SCRIPT = _text("page.js")


def html_response(
    title: str,
    body: str,
    *,
    status: int = 200,
    narrow: bool = False,
    album: str | None = None,
    have: int | None = None,
) -> web.Response:
    """A whole page.

    Args:
        title: of the window; plain text.
        body: HTML.
        status: the HTTP status.
        narrow: one card in the middle, as for sign-in.
        album: the id of the album that is shown, for `page.js`.
        have: how many of its pictures are on the page; None for a page that stays as it is.
    """
    live = "" if have is None else f' data-have="{have}" data-album="{html.escape(album or "")}"'
    script = "" if have is None else f"<script>{_SCRIPT}</script>"
    kind = ' class="narrow"' if narrow else ""
    return web.Response(
        text=f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body{kind}{live}><main>{body}</main>{script}</body></html>",
        content_type="text/html",
        charset="utf-8",
        status=status,
        headers={
            "Content-Security-Policy": "default-src 'self' data:; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        },
    )


class Pages:
    """Answers to browsers at /, /album/ID, /picture/ID and /live.json."""

    def __init__(self, service: FakeGooglePhotos) -> None:
        self._service = service
        self._library = service.library

    def add_to(self, app: web.Application) -> None:
        """Puts the pages into a site."""
        app.router.add_get("/", self.overview)
        app.router.add_get("/album/{id}", self.album)
        app.router.add_get("/picture/{id}", self.picture)
        app.router.add_get("/live.json", self.live)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """All albums and the newest pictures."""
        albums = "".join(self._card(album) for album in self._library.albums)
        tiles = "".join(self._tile(item) for item in self._library.newest(FIRST))
        return html_response(
            "Photos",
            f"{self._header('Photos', 'A local service with the interface of Google Photos')}"
            f'<section><h2>Albums</h2><div class="albums" id="albums">{albums}</div></section>'
            f'<section><h2>Newest</h2><div class="grid" id="grid">{tiles}</div>'
            f"{self._empty()}</section>",
            have=self._library.count(),
        )

    async def album(self, request: web.Request) -> web.StreamResponse:
        """The pictures of one album, in its order."""
        album = self._library.album(request.match_info["id"])
        if album is None:
            return html_response("Not found", "<h1>No such album</h1>", status=404, narrow=True)
        items = self._library.items_in(album)
        tiles = "".join(self._tile(item) for item in items[:FIRST])
        return html_response(
            album.title,
            f'<nav><a href="/">‹ All albums</a></nav>{self._header(album.title, "", album)}'
            f'<section><div class="grid" id="grid">{tiles}</div>{self._empty()}</section>',
            album=album.id,
            have=min(len(items), FIRST),
        )

    async def picture(self, request: web.Request) -> web.StreamResponse:
        """The bytes of a picture."""
        item = self._library.item(request.match_info["id"])
        try:
            if item is None:
                raise ApiError("NOT_FOUND", "There is no such picture.")
            return self._service.copy_of(item)
        except ApiError as error:
            return error.response()

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Counters, albums, and the pictures after the first `have`."""
        album_id = request.query.get("album", "")
        have = request.query.get("have", "0")
        if not (have.isascii() and have.isdigit()):
            return json_response({"error": "have is a number"}, status=400)
        album = self._library.album(album_id)
        if album_id and album is None:
            return json_response({"error": "no such album"}, status=404)
        items = self._library.items if album is None else self._library.items_in(album)
        new = items[int(have) : int(have) + _AT_A_TIME]
        return json_response(
            {
                "counters": self._counters(album),
                "albums": [self._album_json(album) for album in self._library.albums],
                "items": [self._item_json(item) for item in new],
            }
        )

    def _counters(self, album: Album | None) -> dict[str, str]:
        log, meter = self._service.requests, self._service.meter
        count, size = self._library.count(), self._library.total_bytes
        if album is not None:
            count = len(album.item_ids)
            size = sum(item.size for item in self._library.items_in(album))
        return {
            "pictures": f"{count:,}",
            "bytes": size_text(size),
            "uploads": f"{log.uploads_running}",
            "requests": f"{log.total:,}",
            "faults": f"{log.faults.total():,}",
            "quota": f"{meter.used_in_all():,} of {meter.quota.requests_per_day:,}",
        }

    def _header(self, title: str, below: str, album: Album | None = None) -> str:
        labels = {
            "pictures": "pictures",
            "bytes": "in size",
            "uploads": "uploading now",
            "requests": "requests",
            "faults": "faults",
            "quota": "of today's quota",
        }
        counters = self._counters(album)
        boxes = "".join(
            f'<div><b id="{name}">{html.escape(counters[name])}</b><span>{label}</span></div>'
            for name, label in labels.items()
        )
        words = f"<p>{html.escape(below)}</p>" if below else ""
        return (
            f"<header><div><h1>{html.escape(title)}</h1>{words}</div>"
            f'<div class="counters">{boxes}</div></header>'
        )

    def _empty(self) -> str:
        return '<p class="empty">Nothing has arrived yet.</p>'

    def _card(self, album: Album) -> str:
        shown = self._album_json(album)
        cover = (
            f'<img src="{html.escape(shown["cover"])}" alt="" loading="lazy">'
            if shown["cover"]
            else ""
        )
        return (
            f'<a class="album" id="{html.escape(shown["id"])}" '
            f'href="/album/{html.escape(shown["id"])}"><span class="cover">{cover}</span>'
            f"<b>{html.escape(album.title)}</b><span>{html.escape(shown['count'])}</span></a>"
        )

    def _tile(self, item: Item) -> str:
        shown = self._item_json(item)
        name = html.escape(shown["name"])
        inside = (
            f'<img src="{html.escape(shown["source"])}" alt="{name}" loading="lazy">'
            if shown["source"]
            else f'<span class="type">{html.escape(shown["type"])}</span>'
        )
        return (
            f'<figure title="{html.escape(shown["title"])}">{inside}'
            f"<figcaption>{name}</figcaption></figure>"
        )

    def _album_json(self, album: Album) -> dict[str, str]:
        count = len(album.item_ids)
        return {
            "id": album.id,
            "title": album.title,
            "count": f"{count:,} {'picture' if count == 1 else 'pictures'}",
            "cover": self._cover(album),
        }

    def _cover(self, album: Album) -> str:
        """The address of the first picture that a browser can show; empty if there is none."""
        firsts = zip(range(20), album.item_ids, strict=False)
        items = (self._library.item(item_id) for _, item_id in firsts)
        return next(filter(None, map(self._source, filter(None, items))), "")

    def _source(self, item: Item) -> str:
        kept = (
            self._service.media.get(item.sha256) is not None
            or self._service.media.path(item.sha256) is not None
        )
        return f"/picture/{item.id}" if kept and item.mime_type in _SHOWN else ""

    def _item_json(self, item: Item) -> dict[str, Any]:
        details: Iterable[str] = (
            item.file_name,
            f"{item.width} × {item.height}" if item.width else "",
            size_text(item.size),
            self._service.clock.timestamp(item.taken)[:10],
            item.description,
        )
        return {
            "name": item.file_name,
            "title": "\n".join(filter(None, details)),
            "type": item.mime_type.partition("/")[2].removeprefix("x-").upper(),
            "source": self._source(item),
        }


# What browsers can show in a page.
_SHOWN = frozenset(
    {
        "image/jpeg",
        "image/png",
        "image/gif",
        "image/webp",
        "image/bmp",
        "image/avif",
        "image/x-icon",
    }
)


def size_text(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"
