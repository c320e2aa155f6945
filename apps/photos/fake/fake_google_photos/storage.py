"""Where the bytes of uploads go: a hash always, a copy only where it is small or a folder is given.

An upload of any size passes through a `Sink` in pieces; what stays in memory of it is at most
`keep_bytes`. Copies in memory are for the web page; together they stay below `budget`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from .sniff import HEAD, MediaType, media_type

# How much of the front of a picture is looked at for its size and date.
LOOKED_AT = 65_536

# How the files of uploads begin that are not finished.
_PARTIAL = "partial-"

_DATE_TIME = 0x0132
_EXIF = 0x8769
_DATE_TIME_ORIGINAL = 0x9003


@dataclass(frozen=True)
class Received:
    """The bytes of one finished upload, without the bytes.

    Attributes:
        sha256: in hexadecimal.
        size: in bytes.
        media: what it is; None for a file that is neither picture nor video.
        width: in pixels, 0 where it is not known.
        height: likewise.
        taken: Unix time in seconds of the camera's date (read as UTC), if there is one.
    """

    sha256: str
    size: int
    media: MediaType | None
    width: int = 0
    height: int = 0
    taken: float | None = None


class MediaStore:
    """Copies of pictures by their hash.

    Args:
        folder: a folder that every upload is kept in; None keeps small ones in memory only.
        keep_bytes: the largest upload that is kept in memory, in bytes.
        budget: bytes that all of these may take together; what comes later is not kept.
    """

    def __init__(
        self, folder: Path | None = None, *, keep_bytes: int = 262_144, budget: int = 64 << 20
    ) -> None:
        self.folder = folder
        self.keep_bytes = max(keep_bytes, LOOKED_AT)
        self._left = budget
        self._kept: dict[str, bytes] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for partial in folder.glob(f"{_PARTIAL}*"):  # of a run that was killed
                partial.unlink()

    def sink(self) -> Sink:
        """A place for the bytes of a new upload."""
        return Sink(self)

    def keep(self, sha256: str, data: bytes) -> None:
        """Keeps the whole bytes of a small upload in memory, if there is room."""
        if sha256 not in self._kept and len(data) <= self._left:
            self._left -= len(data)
            self._kept[sha256] = data

    def path(self, sha256: str) -> Path | None:
        """The file of an upload; None if it is not kept in a folder."""
        if self.folder is None:
            return None
        path = self.folder / sha256
        return path if path.is_file() else None

    def get(self, sha256: str) -> bytes | None:
        """The bytes of an upload that is kept in memory."""
        return self._kept.get(sha256)


class Sink:
    """Takes the bytes of one upload, piece by piece.

    Writing to the folder blocks the loop for the time of one write; it is there for runs by hand.
    """

    def __init__(self, store: MediaStore) -> None:
        self._store = store
        self._hash = hashlib.sha256()
        self._front: bytearray = bytearray()
        self._whole = True  # `_front` is everything that arrived
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes the next bytes."""
        self._hash.update(data)
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
        elif self._whole:
            self._front += data
            if len(self._front) > self._store.keep_bytes:
                self._overflow()

    def _overflow(self) -> None:
        """The upload is not a small one: from now on its front alone stays in memory."""
        self._whole = False
        if self._store.folder is not None:
            self._path = self._store.folder / f"{_PARTIAL}{secrets.token_hex(8)}"
            self._file = self._path.open("wb")
            self._file.write(self._front)
        del self._front[LOOKED_AT:]

    def finish(self) -> Received:
        """Says what arrived. The sink takes no more."""
        sha256 = self._hash.hexdigest()
        if self._whole:
            self._store.keep(sha256, bytes(self._front))
        if self._store.folder is not None:
            target = self._store.folder / sha256
            if self._file is not None and self._path is not None:
                self._file.close()
                self._path.replace(target)
            elif not target.exists():
                target.write_bytes(self._front)
        self._file = None
        front = bytes(self._front[:LOOKED_AT])
        self._front = bytearray()
        media = media_type(front[:HEAD])
        width, height, taken = (0, 0, None)
        if media is not None and not media.is_video:
            width, height, taken = picture_details(front)
        return Received(sha256, self.size, media, width, height, taken)

    def discard(self) -> None:
        """Throws the bytes away."""
        self._front = bytearray()
        if self._file is not None and self._path is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
        self._file = None


def picture_details(front: bytes) -> tuple[int, int, float | None]:
    """Width, height and the camera's date of the picture that begins with `front`.

    What cannot be read (a format that Pillow does not know, a header that is longer than `front`)
    is 0 and None.
    """
    # Pillow reads the header only, but a damaged one can raise nearly anything.
    with contextlib.suppress(Exception), Image.open(io.BytesIO(front)) as picture:
        width, height = picture.size
        written = None
        with contextlib.suppress(Exception):
            exif = picture.getexif()
            written = exif.get_ifd(_EXIF).get(_DATE_TIME_ORIGINAL) or exif.get(_DATE_TIME)
        return width, height, _exif_time(written)
    return 0, 0, None


def _exif_time(written: object) -> float | None:
    with contextlib.suppress(ValueError):
        if isinstance(written, str):
            return datetime.strptime(written, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    return None
