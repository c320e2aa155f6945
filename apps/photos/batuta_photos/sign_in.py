"""`login`: the user allows access in a browser, the answer comes to a port of this machine.

PKCE protects the code on its way; nothing listens but on the loopback address, and only until the
answer is there. Without a browser here (`--no-browser`), the address that the browser elsewhere
ends at is pasted back; Google's device flow does not allow what Photos needs.
"""

from __future__ import annotations

import asyncio
import json
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from google_auth_oauthlib.flow import InstalledAppFlow
from oauthlib.oauth2 import OAuth2Error
from requests import RequestException

from batuta_photos.credentials import SCOPES, Store
from batuta_photos.redact import remember
from batuta_photos.settings import LOOPBACK
from batuta_photos.stops import SignInNeeded, UsageError

PAGE = """<!doctype html><meta charset="utf-8"><title>batuta-photos</title>
<p style="font: 1.2rem sans-serif; margin: 3rem">{}</p>"""


def read_client(path: Path) -> dict[str, Any]:
    """The client id as Google's console gives it out.

    Raises:
        UsageError: the file is not there, or is not that of a desktop application.
    """
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict) or not isinstance(config.get("installed"), dict):
        raise UsageError(
            f"{path} is not the file of a desktop application's client id "
            "(in Google's console: Credentials, Create, OAuth client id, Desktop app)"
        )
    missing = {"client_id", "client_secret", "auth_uri", "token_uri"} - set(config["installed"])
    if missing:
        raise UsageError(f"{path} lacks {', '.join(sorted(missing))}")
    for name in ("auth_uri", "token_uri"):
        if not str(config["installed"][name]).startswith(("https://", *LOOPBACK)):
            raise UsageError(f"{path}: {name} must be an address with https")
    remember(config["installed"]["client_secret"])
    return config


class SignIn:
    """One sign-in from the address for the browser to the stored token.

    Args:
        client: what `read_client` returned.
        store: where the token goes.
        ca_file: a certificate to trust for the token's address.
    """

    def __init__(self, client: dict[str, Any], store: Store, ca_file: Path | None = None) -> None:
        installed = dict(client["installed"])
        # oauthlib insists on https, also for a service on this machine.
        self._local = installed["auth_uri"].startswith(LOOPBACK)
        if self._local:
            installed["auth_uri"] = installed["auth_uri"].replace("http://", "https://", 1)
        self._flow = InstalledAppFlow.from_client_config(
            {"installed": installed}, scopes=list(SCOPES)
        )
        self._verify = {} if ca_file is None else {"verify": str(ca_file)}
        self._store = store

    def _address(self, port: int) -> str:
        self._flow.redirect_uri = f"http://127.0.0.1:{port}/"
        url, _ = self._flow.authorization_url(access_type="offline", prompt="consent")
        return str(url).replace("https://", "http://", 1) if self._local else str(url)

    async def with_browser(
        self, show: Callable[[str], object], *, open_browser: bool = True, timeout: float = 600
    ) -> None:
        """Wait at a port of the loopback interface for the answer.

        Args:
            show: is given the address to open, whether or not a browser opens by itself.
            open_browser: try to open it here.
            timeout: seconds to wait for the user.

        Raises:
            SignInNeeded: the user said no, something essential was not allowed, or nobody came.
        """
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def arrived(request: web.Request) -> web.Response:
            if not ({"code", "error"} & set(request.query)):
                return web.Response(status=404)
            if not answer.done():
                answer.set_result(str(request.url))
            words = "You can close this page and go back to the terminal."
            return web.Response(text=PAGE.format(words), content_type="text/html")

        application = web.Application()
        application.router.add_get("/", arrived)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = self._address(runner.addresses[0][1])
            show(address)
            if open_browser:
                await asyncio.to_thread(webbrowser.open, address, 1)
            try:
                async with asyncio.timeout(timeout):
                    arrived_at = await answer
            except TimeoutError:
                raise SignInNeeded(f"nobody signed in within {timeout:.0f} s") from None
        finally:
            await runner.cleanup()
        await self._finish(arrived_at)

    async def with_paste(self, show: Callable[[str], object], ask: Callable[[], str]) -> None:
        """Let the user paste the address at which the browser on another machine ended.

        Args:
            show: is given the address to open.
            ask: reads one line; called in a thread.

        Raises:
            SignInNeeded: as `with_browser`.
        """
        # Nothing listens there: the page cannot be shown, but its address says what is needed.
        show(self._address(1))
        await self._finish((await asyncio.to_thread(ask)).strip())

    async def _finish(self, arrived_at: str) -> None:
        query = parse_qs(urlsplit(arrived_at).query)
        if "error" in query:
            raise SignInNeeded(f"Google says: {query['error'][0]}")
        if "code" not in query:
            raise SignInNeeded("that address has no code in it: paste all of it, from http://")
        remember(query["code"][0])
        try:
            await asyncio.to_thread(self._fetch, arrived_at)
        except (OAuth2Error, RequestException, ValueError) as error:
            raise SignInNeeded(f"the sign-in was not accepted: {error}") from error
        credentials = self._flow.credentials
        granted = set(credentials.granted_scopes or credentials.scopes or ())
        lacking = [scope.rpartition("/")[2] for scope in SCOPES if scope not in granted]
        if lacking:
            raise SignInNeeded(
                f"not allowed: {', '.join(lacking)}; sign in again and tick all boxes"
            )
        await asyncio.to_thread(self._store.save, credentials.to_json())

    def _fetch(self, arrived_at: str) -> None:
        # oauthlib insists on https, which the loopback interface has no need of (RFC 8252, 7.3).
        secure = arrived_at.replace("http://", "https://", 1)
        try:
            token = self._flow.fetch_token(authorization_response=secure, **self._verify)
        except Warning as changed:
            # That is how oauthlib says that what was granted is not what was asked for. What is
            # lacking, and whether it matters, is told from the token.
            token = getattr(changed, "token", None)
            if token is None:
                raise
            self._flow.oauth2session.token = token
        remember(token.get("access_token"))
        remember(token.get("refresh_token"))
