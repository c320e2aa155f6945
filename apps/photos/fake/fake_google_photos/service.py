"""The service: two small sites on loopback and the state behind them.

One site is the API with its token endpoint, over HTTP or TLS. The other is for browsers, the
sign-in page and the page that shows what arrived; it is always plain HTTP, because no browser knows
our certificate.

Everything runs on the event loop that starts the service and needs no lock: state changes only
between two awaits.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import trustme
from aiohttp import web

from .albums import Albums
from .clock import Clock
from .counting import RequestLog
from .errors import ApiError
from .faults import FaultPlan
from .gate import Gate
from .library import Item, Library
from .media_items import MediaItems
from .oauth import SCOPES, Accounts, Credentials
from .quota import Limits, Quota, QuotaMeter
from .sites import api_site, browser_site
from .state import load, save
from .storage import MediaStore
from .uploads import Uploads

# How often a changed state is written, in seconds.
_SAVE_EVERY = 2.0


class FakeGooglePhotos:
    """A Google Photos of one's own on loopback: `async with FakeGooglePhotos() as photos: ...`

    Args:
        faults: what goes wrong; None for nothing.
        clock: the time that tokens, uploads and quotas age by; None for the time of day.
        quota: what is counted by day and minute.
        limits: sizes and ages.
        latency: seconds that a request takes at least.
        tls: the API speaks TLS with a certificate of a CA of its own (`ca_file`).
        state: a folder that the library, the sign-ins and the pictures are kept in from one run to
            the next; None keeps nothing. Upload tokens and sessions are not kept.
        host: the address to listen on.
        port: the API's port; 0 for a free one.
        page_port: the port of the page and of sign-in; 0 for a free one.
        auto_consent: sign-in needs no click.
        partial_status: HTTP status of a `batchCreate` that made some of its items and not others.
        duplicates: what bytes that are in the library already lead to: the item that is there
            (`success`) or status 6 for that item of the batch (`already_exists`).
        final_query_repeats_token: `query` of a finished session answers with the upload token
            again.

    Attributes:
        base_url: what stands in place of https://photoslibrary.googleapis.com.
        token_url: the token endpoint.
        revoke_url: the endpoint that revokes a token.
        token_info_url: the endpoint that tells about an access token.
        auth_url: the sign-in page.
        page_url: the page that shows what arrived.
        ca_file: the CA's certificate as a PEM file, when `tls`.
        library: what arrived.
        requests: what was asked for.
        clock, faults, meter, accounts: as described in their modules.
    """

    base_url: str
    token_url: str
    revoke_url: str
    token_info_url: str
    auth_url: str
    page_url: str

    def __init__(
        self,
        *,
        faults: FaultPlan | None = None,
        clock: Clock | None = None,
        quota: Quota | None = None,
        limits: Limits | None = None,
        latency: float = 0.0,
        tls: bool = False,
        state: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        page_port: int = 0,
        auto_consent: bool = True,
        partial_status: Literal[200, 207] = 200,
        duplicates: Literal["success", "already_exists"] = "success",
        final_query_repeats_token: bool = True,
    ) -> None:
        self.faults = FaultPlan() if faults is None else faults
        self.clock = Clock() if clock is None else clock
        self.limits = Limits() if limits is None else limits
        self.latency = latency
        self.auto_consent = auto_consent
        self.partial_status = partial_status
        self.duplicates = duplicates
        self.final_query_repeats_token = final_query_repeats_token
        self.ca_file: Path | None = None
        self.meter = QuotaMeter(Quota() if quota is None else quota, self.clock)
        self.library = Library(self.limits.album_items)
        self.requests = RequestLog()
        self.media = MediaStore(None if state is None else state / "media")
        self.accounts = Accounts(
            self.clock,
            access_token_age=self.limits.access_token_age,
            code_age=self.limits.code_age,
        )
        self._state = state
        self._host = host
        self._ports = (port, page_port)
        self._tls = tls
        self.uploads = Uploads(self)
        self.albums = Albums(self)
        self.items = MediaItems(self)
        self._cleanup = contextlib.AsyncExitStack()
        if state is not None:
            load(state, self.library, self.accounts)
        if not self.accounts.secrets:
            self.accounts.register()
        # The application that programs use unless they register another one.
        self.client_id, self.client_secret = next(iter(self.accounts.secrets.items()))

    async def __aenter__(self) -> FakeGooglePhotos:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listens. What is not given as an argument, e.g. ports, is known from now on."""
        async with contextlib.AsyncExitStack() as cleanup:
            context = self._certificate(cleanup) if self._tls else None
            gate = Gate(self)
            cleanup.callback(self.uploads.close)
            scheme = "https" if self._tls else "http"
            api = await self._listen(cleanup, api_site(self, gate), self._ports[0], context)
            self.base_url = f"{scheme}://{api}"
            self.token_url = f"{self.base_url}/token"
            self.revoke_url = f"{self.base_url}/revoke"
            self.token_info_url = f"{self.base_url}/tokeninfo"
            browsers = await self._listen(cleanup, browser_site(self, gate), self._ports[1], None)
            self.auth_url = f"http://{browsers}/o/oauth2/v2/auth"
            self.page_url = f"http://{browsers}/"
            if self._state is not None:
                saver = asyncio.create_task(self._save_often(self._state))
                cleanup.push_async_callback(self._end_saving, saver, self._state)
            self._cleanup = cleanup.pop_all()

    async def stop(self) -> None:
        """Ends all connections and writes the state."""
        await self._cleanup.aclose()

    def advance(self, seconds: float) -> None:
        """Moves the clock forward: to let tokens expire, or the day's quota begin anew."""
        self.clock.advance(seconds)

    def advance_to_next_day(self) -> None:
        """Moves the clock to just after midnight Pacific time."""
        self.clock.advance(self.clock.until_next_day() + 1)

    def issue_credentials(self, scopes: tuple[str, ...] = SCOPES) -> Credentials:
        """What a program holds after sign-in, without a browser."""
        grant = self.accounts.grant(self.client_id, scopes)
        return Credentials(self.client_id, self.client_secret, grant.refresh_token, scopes)

    def client_config(self) -> dict[str, dict[str, Any]]:
        """The JSON that Google's console gives for a desktop application, with our addresses."""
        return {
            "installed": {
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "project_id": "fake-google-photos",
                "auth_uri": self.auth_url,
                "token_uri": self.token_url,
                "redirect_uris": ["http://localhost"],
            }
        }

    def revoke_tokens(self) -> None:
        """Takes back everything that the user allowed, as on Google's account page."""
        for grant in self.accounts.grants.values():
            self.accounts.revoke_grant(grant)

    def expire_access_tokens(self) -> None:
        """Ends all access tokens now; refresh tokens stay good."""
        self.accounts.expire_access_tokens()

    def copy_of(self, item: Item) -> web.StreamResponse:
        """The bytes of an item.

        Raises:
            ApiError: they are not kept: the upload was large and there is no folder for it.
        """
        headers = {"Content-Type": item.mime_type, "Cache-Control": "max-age=3600"}
        data = self.media.get(item.sha256)
        if data is not None:
            return web.Response(body=data, headers=headers)
        path = self.media.path(item.sha256)
        if path is None:
            raise ApiError("NOT_FOUND", "This service did not keep the bytes of the item.")
        return web.FileResponse(path, headers=headers)

    def _certificate(self, cleanup: contextlib.AsyncExitStack) -> ssl.SSLContext:
        authority = trustme.CA()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(self._host, "localhost", "127.0.0.1").configure_cert(context)
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="fake-google-photos-"))
        self.ca_file = Path(folder) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        return context

    async def _listen(
        self,
        cleanup: contextlib.AsyncExitStack,
        app: web.Application,
        port: int,
        context: ssl.SSLContext | None,
    ) -> str:
        """Serves `app`; host and port as in a URL."""
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, lingering_time=2.0)
        await runner.setup()
        cleanup.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, self._host, port, ssl_context=context, backlog=1024)
        await site.start()
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{runner.addresses[0][1]}"

    async def _save_often(self, folder: Path) -> None:
        saved = self.library.version
        while True:
            await asyncio.sleep(_SAVE_EVERY)
            if self.library.version != saved:
                saved = self.library.version
                save(folder, self.library, self.accounts)

    async def _end_saving(self, saver: asyncio.Task[None], folder: Path) -> None:
        saver.cancel()
        await asyncio.gather(saver, return_exceptions=True)
        save(folder, self.library, self.accounts)
