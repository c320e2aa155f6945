"""The OAuth endpoints: what a browser and a program ask for at sign-in."""

from __future__ import annotations

import base64
import binascii
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from aiohttp import web

from .errors import json_response
from .oauth import APPEND, EDIT, READ, REMOVED, OAuthError, check_scopes, is_loopback
from .web import page

if TYPE_CHECKING:
    from .service import FakeGooglePhotos

_WORDS = {
    APPEND: "Add to your Google Photos library",
    READ: "See photos and albums that this application added",
    EDIT: "Change albums that this application made",
}


class OAuthPages:
    """Answers at /o/oauth2/v2/auth, /token, /tokeninfo and /revoke."""

    def __init__(self, service: FakeGooglePhotos) -> None:
        self._service = service
        self._accounts = service.accounts

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        """The page where the user allows an application to act."""
        asked = request.query
        problem = self._problem(asked)
        if problem is not None:
            return problem
        if self._service.auto_consent:
            return self._redirect(asked, check_scopes(asked["scope"]))
        return self._consent_page(asked)

    async def consent(self, request: web.Request) -> web.StreamResponse:
        """What the user answered on that page."""
        asked = request.query
        problem = self._problem(asked)
        if problem is not None:
            return problem
        form = await request.post()
        if form.get("answer") != "allow":
            return _see_other(asked["redirect_uri"], {"error": "access_denied"}, asked)
        ticked = {str(value) for value in form.getall("scope", [])}
        return self._redirect(
            asked, tuple(scope for scope in check_scopes(asked["scope"]) if scope in ticked)
        )

    def _problem(self, asked: Mapping[str, str]) -> web.Response | None:
        """Why the user cannot be asked: Google says it to him and not to the program."""
        redirect = asked.get("redirect_uri", "")
        if asked.get("client_id") not in self._accounts.secrets:
            return _error_page(401, "invalid_client", "The OAuth client was not found.")
        if not is_loopback(redirect):
            return _error_page(
                400,
                "redirect_uri_mismatch",
                f"The redirect URI in the request, {redirect!r}, is not one of this machine.",
            )
        if asked.get("response_type") != "code":
            return _error_page(
                400, "unsupported_response_type", "Only response_type=code is taken."
            )
        method = asked.get("code_challenge_method", "plain")
        if method not in ("S256", "plain"):
            return _error_page(400, "invalid_request", f"No such code_challenge_method: {method}.")
        try:
            check_scopes(asked.get("scope", ""))
        except ValueError as error:
            return _error_page(400, "invalid_scope", str(error))
        return None

    def _redirect(self, asked: Mapping[str, str], scopes: tuple[str, ...]) -> web.Response:
        granted = tuple(scope for scope in scopes if scope not in REMOVED)
        code = self._accounts.new_code(
            asked["client_id"],
            asked["redirect_uri"],
            granted,
            asked.get("code_challenge"),
            asked.get("code_challenge_method", "plain"),
        )
        answer = {"code": code, "scope": " ".join(granted)}
        return _see_other(asked["redirect_uri"], answer, asked)

    def _consent_page(self, asked: Mapping[str, str]) -> web.Response:
        rows = "".join(
            f'<li><label><input type="checkbox" name="scope" value="{html.escape(scope)}" checked>'
            f" {html.escape(_WORDS.get(scope, scope))}</label></li>"
            for scope in check_scopes(asked["scope"])
        )
        return page.html_response(
            "Sign in",
            f"<h1>Allow access?</h1><p><b>{html.escape(asked['client_id'])}</b> wants to</p>"
            f'<form method="post"><ul class="scopes">{rows}</ul>'
            '<button name="answer" value="deny">Cancel</button> '
            '<button name="answer" value="allow" class="main">Allow</button></form>',
            narrow=True,
        )

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Tokens for a code or for a refresh token."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            client_id, secret = _client(request, form)
            self._accounts.check_client(client_id, secret)
            return json_response(self._tokens(client_id, form))
        except OAuthError as error:
            return _oauth_error(error)

    def _tokens(self, client_id: str, form: Mapping[str, str]) -> object:
        kind = form.get("grant_type", "")
        if kind == "authorization_code":
            return self._accounts.exchange(
                client_id,
                form.get("code", ""),
                form.get("redirect_uri", ""),
                form.get("code_verifier"),
            )
        if kind == "refresh_token":
            return self._accounts.refresh(client_id, form.get("refresh_token", ""))
        raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {kind}")

    async def token_info(self, request: web.Request) -> web.StreamResponse:
        """What an access token stands for."""
        access = self._accounts.access(request.query.get("access_token", ""))
        if access is None:
            return _oauth_error(OAuthError("invalid_token", "Invalid Value"))
        return json_response(
            {
                "azp": access.grant.client_id,
                "aud": access.grant.client_id,
                "scope": " ".join(access.grant.scopes),
                "exp": str(int(access.expires)),
                "expires_in": str(int(access.expires - self._service.clock.now())),
                "access_type": "offline",
            }
        )

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Takes back what was granted."""
        form = await request.post()
        token = request.query.get("token") or str(form.get("token", ""))
        if not self._accounts.revoke(token):
            return _oauth_error(OAuthError("invalid_token", "Token expired or revoked"))
        return json_response({})


def _client(request: web.Request, form: Mapping[str, str]) -> tuple[str, str]:
    """The client id and secret of a request: in the form, or in the Authorization header."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise OAuthError("invalid_client", "Malformed authorization header.", 401) from None
        return client_id, secret
    if not form.get("client_id"):
        raise OAuthError("invalid_request", "Could not determine client ID from request.")
    return form["client_id"], form.get("client_secret", "")


def _see_other(
    redirect_uri: str, answer: Mapping[str, str], asked: Mapping[str, str]
) -> web.Response:
    """Sends the browser back to the program, with its own state."""
    state = {"state": asked["state"]} if "state" in asked else {}
    parts = urlsplit(redirect_uri)
    query = "&".join(filter(None, (parts.query, urlencode({**state, **answer}))))
    location = urlunsplit(parts._replace(query=query))
    return web.Response(status=302, headers={"Location": location, "Cache-Control": "no-store"})


def _oauth_error(error: OAuthError) -> web.Response:
    body = {"error": error.error, "error_description": error.description}
    return json_response(body, status=error.status)


def _error_page(status: int, code: str, text: str) -> web.Response:
    return page.html_response(
        "Sign-in error",
        f"<h1>Access blocked</h1><p>{html.escape(text)}</p>"
        f"<p><code>Error {status}: {html.escape(code)}</code></p>",
        status=status,
        narrow=True,
    )
