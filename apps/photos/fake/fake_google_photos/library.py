"""The user's library: the albums and items that arrived.

Tests read it directly; the handlers of the API change it through its methods only. An application,
known by its client id, sees the albums and items that it made and no others.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from .storage import Received

# The owner of albums that another application made.
ANOTHER_APPLICATION = "another-application"


@dataclass(slots=True)
class Item:
    """A picture or video.

    Attributes:
        id: the service's id.
        client_id: the application that made it.
        sha256: of its bytes, in hexadecimal.
        size: in bytes.
        file_name: the name it got first.
        description: the text it got first.
        mime_type: by its content.
        width: in pixels, 0 where it is not known.
        height: likewise.
        taken: Unix time in seconds of the camera's date, or of its arrival.
        arrived: Unix time in seconds at which it was made.
        album_ids: the albums it is in, in the order in which it came into them.
        creations: how often `batchCreate` answered with it. More than one is a retry or a
            duplicate.
    """

    id: str
    client_id: str
    sha256: str
    size: int
    file_name: str
    description: str
    mime_type: str
    width: int
    height: int
    taken: float
    arrived: float
    album_ids: list[str] = field(default_factory=list)
    creations: int = 1

    @property
    def is_video(self) -> bool:
        return self.mime_type.startswith("video/")


@dataclass(slots=True)
class Album:
    """An album.

    Attributes:
        id: the service's id.
        client_id: the application that made it.
        title: as given.
        item_ids: the items in it, in the album's order; a dict for its order, without values.
    """

    id: str
    client_id: str
    title: str
    item_ids: dict[str, None] = field(default_factory=dict)


class AlbumFull(Exception):
    """An album would have more items than it may have."""


class Library:
    """Albums and items.

    Attributes:
        uploads: finished uploads of bytes, by SHA-256 in hexadecimal: more than one says that bytes
            were sent again.
        total_bytes: the size of all items together, in bytes.
        version: grows with every change.
    """

    def __init__(self, album_items: int = 20_000) -> None:
        self._album_items = album_items
        self._albums: dict[str, Album] = {}
        self._items: dict[str, Item] = {}
        self._by_content: dict[tuple[str, str], Item] = {}
        self._by_client: dict[str, list[Item]] = {}
        self.uploads: Counter[str] = Counter()
        self.total_bytes = 0
        self.version = 0

    @property
    def albums(self) -> list[Album]:
        """All albums, the oldest first."""
        return list(self._albums.values())

    @property
    def items(self) -> list[Item]:
        """All items, the oldest first."""
        return list(self._items.values())

    def album(self, album_id: str) -> Album | None:
        """The album of this id."""
        return self._albums.get(album_id)

    def item(self, item_id: str) -> Item | None:
        """The item of this id."""
        return self._items.get(item_id)

    def albums_named(self, title: str) -> list[Album]:
        """All albums with this title; the service allows several."""
        return [album for album in self._albums.values() if album.title == title]

    def items_in(self, album: Album) -> list[Item]:
        """The items of an album, in its order."""
        return [self._items[item_id] for item_id in album.item_ids]

    def items_by(self, client_id: str) -> list[Item]:
        """The items that an application made, the oldest first; not to be changed."""
        return self._by_client.get(client_id, [])

    def items_of(self, sha256: str) -> list[Item]:
        """All items with these bytes; one at most per application."""
        return [item for item in self._items.values() if item.sha256 == sha256]

    def count(self) -> int:
        """How many items there are."""
        return len(self._items)

    def newest(self, count: int) -> Iterator[Item]:
        """The last `count` items, the newest first."""
        for _, item in zip(range(count), reversed(self._items.values()), strict=False):
            yield item

    def create_album(self, client_id: str, title: str) -> Album:
        """Makes an album."""
        album = Album(f"album-{secrets.token_urlsafe(40)}", client_id, title)
        self._albums[album.id] = album
        self.version += 1
        return album

    def create_foreign_album(self, title: str) -> Album:
        """Makes an album as if the user or another application had made it."""
        return self.create_album(ANOTHER_APPLICATION, title)

    def find(self, client_id: str, sha256: str) -> Item | None:
        """The item that this application made of these bytes."""
        return self._by_content.get((client_id, sha256))

    def create_item(
        self, client_id: str, received: Received, file_name: str, description: str, now: float
    ) -> Item:
        """Makes an item, or finds the one that has the same bytes: that keeps its name and text."""
        self.version += 1
        item = self.find(client_id, received.sha256)
        if item is not None:
            item.creations += 1
            return item
        assert received.media is not None, "only pictures and videos become items"
        item = Item(
            id=f"item-{secrets.token_urlsafe(48)}",
            client_id=client_id,
            sha256=received.sha256,
            size=received.size,
            file_name=file_name,
            description=description,
            mime_type=received.media.mime,
            width=received.width,
            height=received.height,
            taken=now if received.taken is None else received.taken,
            arrived=now,
        )
        self.restore_item(item)
        return item

    def restore_item(self, item: Item) -> None:
        """Takes in an item that exists already, e.g. from a saved state."""
        self._items[item.id] = item
        self._by_content[item.client_id, item.sha256] = item
        self._by_client.setdefault(item.client_id, []).append(item)
        self.total_bytes += item.size

    def restore_album(self, album: Album) -> None:
        """Takes in an album that exists already."""
        self._albums[album.id] = album

    def add(self, album: Album, items: list[Item], *, first: bool = False) -> None:
        """Puts items into an album, at its end or at its beginning; those that are in it stay.

        Raises:
            AlbumFull: the album would have too many. Nothing was put into it then.
        """
        new = {item.id: item for item in items if item.id not in album.item_ids}
        if len(album.item_ids) + len(new) > self._album_items:
            raise AlbumFull
        before = album.item_ids
        if first:
            album.item_ids = dict.fromkeys([*new, *before])
        else:
            before.update(dict.fromkeys(new))
        for item in new.values():
            item.album_ids.append(album.id)
        self.version += 1

    def remove(self, album: Album, items: list[Item]) -> None:
        """Takes items out of an album; they stay in the library."""
        for item in items:
            if item.id in album.item_ids:
                del album.item_ids[item.id]
                item.album_ids.remove(album.id)
        self.version += 1
