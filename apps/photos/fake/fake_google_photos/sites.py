"""The two sites' addresses: which handler answers what, and which scopes it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from .errors import ApiError
from .faults import Kind
from .gate import Gate, Handler
from .oauth import APPEND, EDIT, READ
from .oauth_pages import OAuthPages
from .web.page import Pages

if TYPE_CHECKING:
    from .service import FakeGooglePhotos

_ITEMS = "/v1/mediaItems"
_ALBUMS = "/v1/albums"
_ALBUM = _ALBUMS + "/{id:[^:/]+}"

_Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def api_site(service: FakeGooglePhotos, gate: Gate) -> web.Application:
    """The API, its token endpoint, and the bytes behind base URLs."""
    albums, items, uploads = service.albums, service.items, service.uploads
    routes: list[tuple[str, str, Kind, tuple[str, ...], Handler]] = [
        ("POST", f"{_ITEMS}:batchCreate", Kind.CREATE_ITEMS, (APPEND,), items.batch_create),
        ("POST", f"{_ITEMS}:search", Kind.SEARCH_ITEMS, (READ,), items.search),
        ("GET", f"{_ITEMS}:batchGet", Kind.GET_ITEM, (READ,), items.batch_get),
        ("GET", _ITEMS, Kind.LIST_ITEMS, (READ,), items.listing),
        ("GET", f"{_ITEMS}/{{id}}", Kind.GET_ITEM, (READ,), items.get),
        ("POST", _ALBUMS, Kind.CREATE_ALBUM, (APPEND,), albums.create),
        ("GET", _ALBUMS, Kind.LIST_ALBUMS, (READ,), albums.listing),
        ("GET", f"{_ALBUMS}/{{id}}", Kind.GET_ALBUM, (READ,), albums.get),
        ("POST", f"{_ALBUM}:batchAddMediaItems", Kind.ADD_TO_ALBUM, (APPEND, EDIT), albums.add),
        (
            "POST",
            f"{_ALBUM}:batchRemoveMediaItems",
            Kind.REMOVE_FROM_ALBUM,
            (EDIT,),
            albums.remove,
        ),
    ]

    async def upload(request: web.Request) -> web.StreamResponse:
        return await gate.api(request, uploads.kind(request), (APPEND,), uploads.handle)

    app = web.Application()
    add = app.router.add_route
    for method, path, kind, scopes, handler in routes:
        add(method, path, _guarded(gate, kind, scopes, handler))
    add("POST", "/v1/uploads", upload)
    oauth = OAuthPages(service)
    add("GET", "/media/{id}", _open(gate, Kind.MEDIA_BYTES, items.media_bytes))
    add("POST", "/token", _open(gate, Kind.TOKEN, oauth.token))
    add("GET", "/tokeninfo", _open(gate, Kind.TOKEN_INFO, oauth.token_info))
    add("POST", "/revoke", _open(gate, Kind.REVOKE, oauth.revoke))
    add("*", "/{path:.*}", _open(gate, Kind.UNKNOWN, _unknown))
    return app


def browser_site(service: FakeGooglePhotos, gate: Gate) -> web.Application:
    """Sign-in and the page that shows what arrived."""
    app = web.Application()
    oauth = OAuthPages(service)
    path = "/o/oauth2/v2/auth"
    app.router.add_get(path, _open(gate, Kind.AUTHORIZE, oauth.authorize))
    app.router.add_post(path, _open(gate, Kind.AUTHORIZE, oauth.consent))
    Pages(service).add_to(app)
    return app


def _guarded(gate: Gate, kind: Kind, scopes: tuple[str, ...], handler: Handler) -> _Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await gate.api(request, kind, scopes, handler)

    return answer


def _open(gate: Gate, kind: Kind, handler: _Answer) -> _Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return await gate.open(request, kind, handler)

    return answer


async def _unknown(request: web.Request) -> web.StreamResponse:
    raise ApiError("NOT_FOUND", f"No method at {request.method} {request.path}.")
