"""Album titles to album ids: found, made once, continued when full.

All albums of the application are listed once at the beginning of a run. Before an album is made its
title is looked for, so that a reply lost on the way, or a process killed before it could write down
the id, leads to no second album. An album of 20,000 items is continued in "TITLE (2)".

Only one task makes albums (the creator), so no two requests can make the same one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from batuta_photos.album_template import TITLE_LENGTH
from batuta_photos.errors import ApiError, Garbled, Verdict
from batuta_photos.journal import Journal
from batuta_photos.library import Album, Library
from batuta_photos.pacing import Waits, WriteRate
from batuta_photos.stops import ServiceUnreachable, Stop
from batuta_photos.wire import NoAnswer


@dataclass
class Target:
    """Where items for a title go now."""

    id: str
    volume: int
    items: int
    url: str


def volume_title(title: str, volume: int) -> str:
    """The title of an album's continuation."""
    if volume == 1:
        return title
    suffix = f" ({volume})"
    return title[: TITLE_LENGTH - len(suffix)] + suffix


class AlbumBook:
    """The albums of this application, as far as a run needs them.

    Args:
        most: how many items an album takes.
    """

    def __init__(
        self, library: Library, journal: Journal, waits: Waits, rate: WriteRate, most: int
    ) -> None:
        self._library = library
        self._journal = journal
        self._waits = waits
        self._rate = rate
        self._most = most
        self._by_id: dict[str, Album] = {}
        self._targets: dict[str, Target] = {}
        self._checked: set[str] = set()

    async def load(self) -> None:
        """List what is there."""
        self._by_id = {album.id: album async for album in self._library.albums()}

    async def check(self, title: str) -> None:
        """Look whether the albums that the journal knows are still there; forget them otherwise.

        Without this, files that were put into an album deleted since would count as done.
        """
        if title in self._checked:
            return
        self._checked.add(title)
        for album_id in await self._journal.album_ids(title):
            if album_id in self._by_id:
                continue
            album = await self._library.album(album_id)  # a list may lag behind
            if album is None:
                await self._journal.forget_album(title, album_id)
            else:
                self._by_id[album_id] = album

    def room(self, target: Target) -> int:
        return self._most - target.items

    async def target(self, title: str) -> Target:
        """The album to put items with this title into; it has room for at least one."""
        found = self._targets.get(title)
        if found is None:
            found = self._targets[title] = await self._open(title)
        while self.room(found) <= 0:
            found = self._targets[title] = await self._volume(title, found.volume + 1)
        return found

    def is_full(self, title: str) -> None:
        """The service says that an album takes not even one more."""
        self._targets[title].items = self._most

    async def lost(self, title: str) -> None:
        """The service does not let us write to an album (any more)."""
        target = self._targets.pop(title, None)
        if target is not None:
            self._by_id.pop(target.id, None)
            await self._journal.forget_album(title, target.id)

    async def _open(self, title: str) -> Target:
        ids = await self._journal.album_ids(title)
        if not ids:
            return await self._volume(title, 1)
        album = self._by_id.get(ids[-1]) or await self._library.album(ids[-1])
        if album is None:
            await self._journal.forget_album(title, ids[-1])
            return await self._open(title)
        return Target(album.id, len(ids), album.items, album.url)

    def _named(self, title: str) -> Album | None:
        for album in self._by_id.values():
            if album.title == title and album.writable:
                return album
        return None

    async def _volume(self, title: str, volume: int) -> Target:
        name = volume_title(title, volume)
        album = self._named(name) or await self._make(name)
        self._by_id[album.id] = album
        await self._journal.keep_album(title, volume, album.id)
        return Target(album.id, volume, album.items, album.url)

    async def _make(self, name: str) -> Album:
        attempt = 0
        while True:
            attempt += 1
            await self._rate.turn()
            try:
                return await self._library.create_album(name)
            except ApiError as error:
                if error.verdict not in (Verdict.RETRY, Verdict.SLOW_DOWN):
                    raise Stop(f"the album {name!r} cannot be made: {error}") from error
                trouble: Exception = error
            except (NoAnswer, Garbled) as error:
                trouble = error
            if attempt >= self._waits.tries:
                raise ServiceUnreachable(f"the album {name!r} cannot be made: {trouble}")
            await asyncio.sleep(self._waits.jittered(self._waits.after_5xx, attempt))
            # It may have been made all the same.
            await self.load()
            if (album := self._named(name)) is not None:
                return album
