"""The sign-in: where it is kept, and a valid access token when one is needed.

`google-auth` does the refreshing, in a thread because it blocks. A token lies in a file that only
its user may read, or in the system's keyring.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import requests
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2.credentials import Credentials

from batuta_photos.redact import remember
from batuta_photos.settings import Account
from batuta_photos.stops import ServiceUnreachable, SignInNeeded, UsageError

log = logging.getLogger(__name__)
SCOPES = (
    "https://www.googleapis.com/auth/photoslibrary.appendonly",
    "https://www.googleapis.com/auth/photoslibrary.readonly.appcreateddata",
    "https://www.googleapis.com/auth/photoslibrary.edit.appcreateddata",
)
KEYRING_SERVICE = "batuta-photos"
LOGIN_HINT = "run `batuta-photos login`"


class Store(Protocol):
    """Keeps one account's credentials as JSON."""

    def load(self) -> str | None:
        """What was kept; None if nothing was. SignInNeeded if it cannot be read."""

    def save(self, text: str) -> None:
        """Keep this instead. UsageError if that cannot be done."""

    def where(self) -> str:
        """The place, for messages."""


class FileStore:
    """A file of mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SignInNeeded(f"cannot read {self._path}: {error.strerror}") from error

    def save(self, text: str) -> None:
        """Replace the file as a whole: a power cut leaves the old one or the new one."""
        try:
            self._replace(text)
        except OSError as error:
            raise UsageError(f"cannot write {self._path}: {error.strerror}") from error

    def _replace(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes files of mode 0600.
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".token-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def where(self) -> str:
        return str(self._path)


class KeyringStore:
    """The system's keyring, through the package of that name.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self, account: str) -> None:
        try:
            import keyring
            from keyring.errors import KeyringError
        except ImportError as error:
            raise UsageError(
                "the keyring needs a package: pip install 'batuta-photos[keyring]'"
            ) from error
        self._keyring: Any = keyring
        self._trouble = KeyringError
        self._account = account

    def check(self) -> None:
        """Raise a UsageError if this machine has no keyring, before anybody signs in for it."""
        if self._keyring.get_keyring().priority <= 0:
            raise UsageError("this machine has no keyring that could be used: leave out --keyring")

    def load(self) -> str | None:
        try:
            text: str | None = self._keyring.get_password(KEYRING_SERVICE, self._account)
        except self._trouble as error:
            raise SignInNeeded(f"the keyring cannot be read: {error}") from error
        return text

    def save(self, text: str) -> None:
        try:
            self._keyring.set_password(KEYRING_SERVICE, self._account, text)
        except self._trouble as error:
            raise UsageError(f"the keyring does not take the sign-in: {error}") from error

    def where(self) -> str:
        return "the keyring"


def open_store(account: Account) -> Store:
    """Where this account's sign-in was put by `login`."""
    if (account.folder / "keyring").exists():
        return KeyringStore(account.folder.name)
    return FileStore(account.token_file)


def choose_store(account: Account, *, keyring: bool) -> Store:
    """Where `login` is to put the sign-in. One that is there stays good until `keep_choice`.

    Raises:
        UsageError: there is no keyring.
    """
    if not keyring:
        return FileStore(account.token_file)
    store = KeyringStore(account.folder.name)
    store.check()
    return store


def keep_choice(account: Account, *, keyring: bool) -> None:
    """Remember where the new sign-in is, now that it is there."""
    mark = account.folder / "keyring"
    if keyring:
        mark.touch(mode=0o600)
        account.token_file.unlink(missing_ok=True)
    else:
        mark.unlink(missing_ok=True)


class _Session(requests.Session):
    """A session for google-auth that trusts `ca_file`, whatever REQUESTS_CA_BUNDLE says.

    The environment goes before `Session.verify`; an argument goes before both.
    """

    def __init__(self, ca_file: Path | None) -> None:
        super().__init__()
        self._ca_file = ca_file

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if self._ca_file is not None:
            kwargs["verify"] = str(self._ca_file)
        return super().request(*args, **kwargs)


class TokenSource:
    """Hands out access tokens; refreshes once however many ask at the same time.

    Args:
        store: where the sign-in is kept; refreshed tokens are written back.
        ca_file: a certificate to trust for the token's address.
    """

    def __init__(self, store: Store, ca_file: Path | None = None) -> None:
        self._store = store
        self._ca_file = ca_file
        self._lock = asyncio.Lock()
        self._credentials: Credentials | None = None
        self.on_refresh: Callable[[], None] = lambda: None

    async def token(self, refused: str | None = None) -> str:
        """A valid access token.

        Args:
            refused: the token that the service has just answered with 401, so that another is got.

        Raises:
            SignInNeeded: there is no sign-in, or it was revoked or has ended.
            ServiceUnreachable: the token's address does not answer.
        """
        async with self._lock:
            if self._credentials is None:
                self._credentials = await asyncio.to_thread(self._load)
            current = self._credentials
            if not current.valid or current.token == refused:
                await asyncio.to_thread(self._refresh, current)
                self.on_refresh()
            return str(current.token)

    def _load(self) -> Credentials:
        text = self._store.load()
        if text is None:
            raise SignInNeeded(f"not signed in: {LOGIN_HINT}")
        try:
            credentials = _read(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise SignInNeeded(
                f"the sign-in in {self._store.where()} cannot be read: {LOGIN_HINT}"
            ) from error
        for secret in (credentials.token, credentials.refresh_token, credentials.client_secret):
            remember(secret)
        return credentials

    def _refresh(self, credentials: Credentials) -> None:
        with _Session(self._ca_file) as session:
            try:
                credentials.refresh(Request(session))  # type: ignore[no-untyped-call]
            except RefreshError as error:
                if error.retryable:
                    raise ServiceUnreachable(
                        f"the sign-in cannot be renewed now: {error}"
                    ) from error
                raise SignInNeeded(
                    f"Google does not renew the sign-in any more ({_reason(error)}): {LOGIN_HINT}"
                ) from error
            except (TransportError, requests.RequestException) as error:
                raise ServiceUnreachable(f"no answer from the sign-in service: {error}") from error
            except GoogleAuthError as error:
                raise SignInNeeded(f"{error}: {LOGIN_HINT}") from error
        remember(credentials.token)
        remember(credentials.refresh_token)
        try:
            self._store.save(credentials.to_json())  # type: ignore[no-untyped-call]
        except UsageError as error:
            # What is kept there can be renewed again: this run has a token, and needs no more.
            log.warning("the renewed sign-in is not kept: %s", error)


def _read(kept: Any) -> Credentials:
    """Credentials as `Credentials.to_json` wrote them.

    The library's own way back ignores the token's address that stands there.
    """
    expiry = kept.get("expiry")
    when = datetime.fromisoformat(expiry).astimezone(UTC).replace(tzinfo=None) if expiry else None
    return Credentials(  # type: ignore[no-untyped-call]
        kept.get("token") if when else None,
        refresh_token=kept["refresh_token"],
        token_uri=kept["token_uri"],
        client_id=kept["client_id"],
        client_secret=kept["client_secret"],
        scopes=kept.get("scopes"),
        expiry=when,
    )


def _reason(error: RefreshError) -> str:
    return str(error.args[0]) if error.args else "no reason given"
