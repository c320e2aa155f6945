"""A content on its way from disk to album: what the stages hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from batuta_photos.files import Stamp


@dataclass(eq=False)
class Work:
    """Exists once for each content that is under way.

    Attributes:
        path: the file that its bytes are read from; others with the same content have joined.
        albums: the albums it is to be in, and whether it is known to be.
        joined: counts files that have joined; who ends the work looks whether it has changed.
        files: how many of them still wait for it.
        waiting: which ones, with their albums; only if somebody wants to hear of single files.
        created: the item exists.
        uncertain: a request that may have made the item was not answered.
        token: the upload token, once its bytes are up.
        media_id: the item's id, once it has been made.
        rounds: how often its bytes have gone up.
        tries: how often making the item has failed.
        shown: bytes that the screen was told of.
        over: finished or failed; whoever still holds it lets it go.
    """

    sha: bytes
    path: str
    stamp: Stamp
    albums: dict[str, bool] = field(default_factory=dict)
    mime: str = ""
    name: str = ""
    joined: int = 1
    files: int = 1
    waiting: list[tuple[str, str]] = field(default_factory=list)
    created: bool = False
    uncertain: bool = False
    token: str = ""
    media_id: str = ""
    rounds: int = 0
    tries: int = 0
    shown: int = 0
    over: bool = False
    since: float = 0.0  # monotonic time when it began to wait for a batch

    def missing(self) -> list[str]:
        """Albums that it is not known to be in."""
        return [album for album, placed in self.albums.items() if not placed]
