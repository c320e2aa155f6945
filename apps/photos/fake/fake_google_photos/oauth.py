"""Sign-in: who may do what. Applications, codes, refresh and access tokens.

This is the state behind the OAuth endpoints; `oauth_pages` answers the requests. One user, as many
applications as are registered. A *grant* is what the user allowed to one application: its refresh
token and all access tokens fall together when it is revoked.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from .clock import Clock
from .errors import scope_missing, unauthenticated

PREFIX = "https://www.googleapis.com/auth/"
APPEND = PREFIX + "photoslibrary.appendonly"
READ = PREFIX + "photoslibrary.readonly.appcreateddata"
EDIT = PREFIX + "photoslibrary.edit.appcreateddata"
SCOPES = (APPEND, READ, EDIT)

# Asked for together with the above by many programs; they open nothing here.
_IDENTITY = frozenset({"openid", "email", "profile", PREFIX + "userinfo.email"})

# The scopes that were removed on 31 March 2025: known, but nothing is granted for them.
REMOVED = frozenset(
    PREFIX + name for name in ("photoslibrary", "photoslibrary.readonly", "photoslibrary.sharing")
)

_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?(/[^#]*)?")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class OAuthError(Exception):
    """An error of the token endpoint.

    Args:
        error: the code of OAuth 2.0, e.g. `invalid_grant`.
        description: the text for people.
        status: the HTTP status.
    """

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


@dataclass
class Grant:
    """What the user allowed to an application."""

    client_id: str
    scopes: tuple[str, ...]
    refresh_token: str
    revoked: bool = False
    access_tokens: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Access:
    """An access token: its grant and when it ends (Unix time in seconds)."""

    grant: Grant
    expires: float


@dataclass(frozen=True)
class Code:
    """An authorisation code and what it is bound to."""

    client_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    challenge: str | None
    method: str
    expires: float


@dataclass(frozen=True)
class Credentials:
    """What a program holds after sign-in."""

    client_id: str
    client_secret: str
    refresh_token: str
    scopes: tuple[str, ...]


class Accounts:
    """Applications, grants, codes and tokens.

    Args:
        clock: what all of them age by.
        access_token_age: seconds that an access token is good for.
        code_age: seconds that an authorisation code is good for.
    """

    def __init__(self, clock: Clock, *, access_token_age: float, code_age: float) -> None:
        self._clock = clock
        self._access_token_age = access_token_age
        self._code_age = code_age
        self.secrets: dict[str, str] = {}
        self.grants: dict[str, Grant] = {}
        self._codes: dict[str, Code] = {}
        # Codes that were used, with the grant that came of them: used again, it falls.
        self._used_codes: dict[str, Grant] = {}
        self._access: dict[str, Access] = {}

    def register(self) -> tuple[str, str]:
        """Registers an application: its client id and secret."""
        project = secrets.randbelow(900_000_000_000) + 100_000_000_000
        client_id = f"{project}-{secrets.token_hex(16)}.apps.googleusercontent.com"
        self.secrets[client_id] = f"GOCSPX-{secrets.token_urlsafe(21)}"
        return client_id, self.secrets[client_id]

    def grant(self, client_id: str, scopes: tuple[str, ...]) -> Grant:
        """Lets an application have `scopes`."""
        grant = Grant(client_id, scopes, f"1//{secrets.token_urlsafe(48)}")
        self.grants[grant.refresh_token] = grant
        return grant

    def new_code(
        self,
        client_id: str,
        redirect_uri: str,
        scopes: tuple[str, ...],
        challenge: str | None,
        method: str,
    ) -> str:
        """An authorisation code for one use."""
        code = f"4/{secrets.token_urlsafe(48)}"
        expires = self._clock.now() + self._code_age
        self._codes[code] = Code(client_id, redirect_uri, scopes, challenge, method, expires)
        return code

    def check_client(self, client_id: str, client_secret: str) -> None:
        """Checks who asks for a token.

        Raises:
            OAuthError: no such application, or another secret.
        """
        if client_id not in self.secrets:
            raise OAuthError("invalid_client", "The OAuth client was not found.", 401)
        if not secrets.compare_digest(self.secrets[client_id].encode(), client_secret.encode()):
            raise OAuthError("invalid_client", "Unauthorized", 401)

    def exchange(
        self, client_id: str, code: str, redirect_uri: str, verifier: str | None
    ) -> dict[str, Any]:
        """Gives tokens for an authorisation code.

        Raises:
            OAuthError: the code is unknown, used, too old, or meant for somebody else.
        """
        if code in self._used_codes:
            # Two parties have the code: what came of it is not safe any more.
            self.revoke_grant(self._used_codes[code])
            raise OAuthError("invalid_grant", "Malformed auth code.")
        known = self._codes.pop(code, None)
        if known is None or known.client_id != client_id:
            raise OAuthError("invalid_grant", "Malformed auth code.")
        if known.expires <= self._clock.now():
            raise OAuthError("invalid_grant", "Bad Request")
        if known.redirect_uri != redirect_uri:
            raise OAuthError("redirect_uri_mismatch", "Bad Request")
        if known.challenge is not None:
            _check_verifier(known.challenge, known.method, verifier)
        grant = self.grant(client_id, known.scopes)
        self._used_codes[code] = grant
        return {**self._tokens(grant), "refresh_token": grant.refresh_token}

    def refresh(self, client_id: str, refresh_token: str) -> dict[str, Any]:
        """Gives a new access token for a refresh token.

        Raises:
            OAuthError: the refresh token is unknown or revoked.
        """
        grant = self.grants.get(refresh_token)
        if grant is None or grant.client_id != client_id or grant.revoked:
            raise OAuthError("invalid_grant", "Token has been expired or revoked.")
        return self._tokens(grant)

    def _tokens(self, grant: Grant) -> dict[str, Any]:
        token = f"ya29.{secrets.token_urlsafe(60)}"
        self._access[token] = Access(grant, self._clock.now() + self._access_token_age)
        grant.access_tokens.add(token)
        return {
            "access_token": token,
            "expires_in": int(self._access_token_age),
            "scope": " ".join(grant.scopes),
            "token_type": "Bearer",
        }

    def access(self, token: str) -> Access | None:
        """What an access token stands for; None if it is unknown, too old or revoked."""
        access = self._access.get(token)
        if access is None:
            return None
        if access.expires <= self._clock.now():
            self.expire(token)
            return None
        return access

    def authorize(self, header: str | None, scopes: tuple[str, ...]) -> tuple[str, str]:
        """The access token and client id of a request that needs one of `scopes`.

        Raises:
            ApiError: 401 without a good token, 403 without one of the scopes.
        """
        scheme, _, token = (header or "").partition(" ")
        access = self.access(token.strip()) if scheme.lower() == "bearer" else None
        if access is None:
            raise unauthenticated()
        if not set(scopes) & set(access.grant.scopes):
            raise scope_missing()
        return token.strip(), access.grant.client_id

    def expire(self, token: str) -> None:
        """Ends one access token early."""
        access = self._access.pop(token, None)
        if access is not None:
            access.grant.access_tokens.discard(token)

    def expire_access_tokens(self) -> None:
        """Ends all access tokens early; refresh tokens stay good."""
        for token in list(self._access):
            self.expire(token)

    def revoke_grant(self, grant: Grant) -> None:
        """Takes back what the user allowed."""
        grant.revoked = True
        for token in list(grant.access_tokens):
            self.expire(token)

    def revoke(self, token: str) -> bool:
        """Takes back the grant that a refresh or access token belongs to, if there is one."""
        access = self.access(token)
        grant = self.grants.get(token) if access is None else access.grant
        if grant is None or grant.revoked:
            return False
        self.revoke_grant(grant)
        return True


def _check_verifier(challenge: str, method: str, verifier: str | None) -> None:
    if not verifier:
        raise OAuthError("invalid_grant", "Missing code verifier.")
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthError("invalid_grant", "Invalid code verifier.")
    sent = verifier
    if method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        sent = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    if not secrets.compare_digest(sent, challenge):
        raise OAuthError("invalid_grant", "Invalid code verifier.")


def is_loopback(redirect_uri: str) -> bool:
    """Whether this is a redirect that an application on the user's own machine may ask for."""
    return _LOOPBACK.fullmatch(redirect_uri) is not None


def check_scopes(wanted: str) -> tuple[str, ...]:
    """The scopes in a request's text.

    Raises:
        ValueError: there is none, or one that does not exist.
    """
    scopes = tuple(dict.fromkeys(wanted.split()))
    if not scopes:
        raise ValueError("Missing required parameter: scope")
    unknown = [scope for scope in scopes if scope not in {*SCOPES, *_IDENTITY, *REMOVED}]
    if unknown:
        raise ValueError(f"Some requested scopes were invalid. {{invalid={unknown}}}")
    return scopes
