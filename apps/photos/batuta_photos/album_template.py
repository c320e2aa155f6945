"""Which album a file goes to: a title with fields in braces.

{album}                 the ALBUM of the command line
{folder}                the name of the folder that the file lies in
{path}                  the folders between the one given and the file, joined by " / "
{year} {month} {day}    when the picture was taken (EXIF), else when the file was changed
{date}                  the same as 2026-03-01
"""

from __future__ import annotations

import os
import string
import struct
import unicodedata
from collections.abc import Callable
from datetime import datetime

from PIL import Image

from batuta_photos.stops import UsageError

Image.MAX_IMAGE_PIXELS = None  # pictures are opened for their dates only, never decoded

TITLE_LENGTH = 500  # characters that the service allows
_DATES = frozenset({"year", "month", "day", "date"})
_FIELDS = frozenset({"album", "folder", "path"}) | _DATES
_TAKEN, _DIGITIZED, _CHANGED, _EXIF = 36867, 36868, 306, 34665  # numbers of EXIF tags


def clean_title(title: str) -> str:
    """A title as the service keeps it: composed characters, no blanks at the ends, one line.

    Raises:
        UsageError: nothing is left, or it is too long.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", title).split())
    cleaned = cleaned.encode("utf-8", "replace").decode("utf-8")
    if not cleaned:
        raise UsageError("the album needs a name")
    if len(cleaned) > TITLE_LENGTH:
        raise UsageError(f"an album's name has at most {TITLE_LENGTH} characters")
    return cleaned


def date_taken(path: str) -> datetime:
    """When a picture was taken, by its EXIF data, or when the file was last changed. Blocking.

    Raises:
        OSError: the file is not there.
    """
    try:
        with Image.open(path) as image:
            exif = _exif(image, path)
            details = exif.get_ifd(_EXIF)
        for value in (details.get(_TAKEN), details.get(_DIGITIZED), exif.get(_CHANGED)):
            try:
                return datetime.strptime(str(value).strip("\0 "), "%Y:%m:%d %H:%M:%S")
            except ValueError:
                continue
    except OSError:  # which is also how Pillow says that it does not know the format
        if not os.path.exists(path):
            raise
    except Exception:
        pass  # Pillow meets damage with errors of many kinds
    return datetime.fromtimestamp(os.stat(path).st_mtime)


def _exif(image: Image.Image, path: str) -> Image.Exif:
    """The EXIF data of an opened picture, without decoding it, as a PNG's own `getexif()` does in
    search of data behind the pixels."""
    exif = Image.Image.getexif(image)
    if image.format == "PNG" and not exif:
        exif.load(_png_exif(path))
    return exif


def _png_exif(path: str) -> bytes:
    """The eXIf chunk of a PNG, wherever it stands; empty if there is none."""
    with open(path, "rb") as file:
        file.seek(len(b"\x89PNG\r\n\x1a\n"))
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf":
                return file.read(length)
            file.seek(length + len(b"CRC-"), os.SEEK_CUR)
    return b""


class AlbumTemplate:
    """Makes titles.

    Args:
        template: the text with fields.
        album: what {album} means; may be empty if the template does not ask for it.
        folder: the name of the folder that is uploaded, for files that lie in it directly.

    Raises:
        UsageError: an unknown field, or {album} without an album.
    """

    def __init__(self, template: str, album: str, folder: str) -> None:
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise UsageError(f"--album-template: {error}") from None
        fields = {name for _, name, _, _ in parts if name is not None}
        if any(spec or conversion for _, _, spec, conversion in parts):
            raise UsageError("--album-template takes plain fields, e.g. {year}")
        if unknown := fields - _FIELDS:
            raise UsageError(
                f"--album-template does not know {{{sorted(unknown)[0]}}}; "
                f"there are {', '.join(f'{{{name}}}' for name in sorted(_FIELDS))}"
            )
        if "album" in fields and not album:
            raise UsageError("--album-template uses {album}: name the ALBUM")
        self._template = template
        self._album = album
        self._folder = folder
        self.needs_date = bool(fields & _DATES)

    def title(self, path: str, below: str, when: Callable[[str], datetime] = date_taken) -> str:
        """The title for one file. Blocking where a date is needed.

        Args:
            path: the file.
            below: its path below the folder that is uploaded.
            when: reads the date.

        Raises:
            UsageError: the title is empty or too long.
            OSError: the file is not there.
        """
        parents = below.split("/")[:-1]
        values = {
            "album": self._album,
            "folder": parents[-1] if parents else self._folder,
            "path": " / ".join(parents) if parents else self._folder,
        }
        if self.needs_date:
            date = when(path)
            values |= {
                "year": f"{date:%Y}",
                "month": f"{date:%m}",
                "day": f"{date:%d}",
                "date": f"{date:%Y-%m-%d}",
            }
        values = {
            name: os.fsencode(text).decode("utf-8", "replace") for name, text in values.items()
        }
        return clean_title(self._template.format(**values))
