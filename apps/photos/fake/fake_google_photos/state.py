"""Keeping the library and the sign-ins from one run to the next, as one JSON file.

The file is replaced in one step, so that a run that is killed leaves the state of a moment.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .library import Album, Item, Library
from .oauth import Accounts, Grant

_NAME = "state.json"
_VERSION = 1


def save(folder: Path, library: Library, accounts: Accounts) -> None:
    """Writes the state into `folder`."""
    state = {
        "version": _VERSION,
        "clients": accounts.secrets,
        "grants": [
            {"client_id": grant.client_id, "scopes": grant.scopes, "token": grant.refresh_token}
            for grant in accounts.grants.values()
            if not grant.revoked
        ],
        "albums": [{**_plain(album), "item_ids": list(album.item_ids)} for album in library.albums],
        "items": [_plain(item) for item in library.items],
        "uploads": dict(library.uploads),
    }
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"{_NAME}.new"
    # It holds refresh tokens, if only to an empty service on this machine.
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(state, file, ensure_ascii=False)
    new.replace(folder / _NAME)


def _plain(thing: Album | Item) -> dict[str, Any]:
    return asdict(thing)


def load(folder: Path, library: Library, accounts: Accounts) -> None:
    """Reads the state of an earlier run from `folder`, if there is one.

    Raises:
        ValueError: the file is damaged or of another version.
    """
    path = folder / _NAME
    try:
        text = path.read_text()
    except FileNotFoundError:
        return
    try:
        state = json.loads(text)
        if state["version"] != _VERSION:
            raise ValueError(f"version {state['version']}")
        accounts.secrets.update(state["clients"])
        for entry in state["grants"]:
            grant = Grant(entry["client_id"], tuple(entry["scopes"]), entry["token"])
            accounts.grants[grant.refresh_token] = grant
        for entry in state["items"]:
            library.restore_item(Item(**entry))
        for entry in state["albums"]:
            library.restore_album(Album(**{**entry, "item_ids": dict.fromkeys(entry["item_ids"])}))
        library.uploads.update(state["uploads"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a state of this service: {error}") from error
