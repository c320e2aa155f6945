"""What a file is, by its content; its name only says what its owner takes it for.

puremagic knows the signatures. What it finds is held against the list of what Google Photos takes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import puremagic

MIB = 1 << 20
PHOTO_BYTES = 200 * MIB
VIDEO_BYTES = 20 * 1024 * MIB

# By type, as puremagic names them: the type that is declared to the service.
_TYPES = {
    "image/avif": "image/avif",
    "image/bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "image/gif": "image/gif",
    "image/heic": "image/heic",
    "image/heif": "image/heif",
    "image/jpeg": "image/jpeg",
    "image/png": "image/png",
    "image/tiff": "image/tiff",
    "image/vnd.microsoft.icon": "image/x-icon",
    "image/webp": "image/webp",
    "image/x-icon": "image/x-icon",
    "video/3gpp": "video/3gpp",
    "video/3gpp2": "video/3gpp2",
    "video/avi": "video/x-msvideo",
    "video/divx": "video/x-msvideo",
    "video/mp2t": "video/mp2t",
    "video/mp4": "video/mp4",
    "video/mpeg": "video/mpeg",
    "video/ogg": "video/ogg",
    "video/quicktime": "video/quicktime",
    "video/webm": "video/webm",
    "video/x-m4v": "video/x-m4v",
    "video/x-matroska": "video/x-matroska",
    "video/x-ms-asf": "video/x-ms-wmv",
    "video/x-ms-wmv": "video/x-ms-wmv",
    "video/x-msvideo": "video/x-msvideo",
}

# RAW formats have no type of their own in most tables; puremagic knows some by extension.
_RAW = {
    ".arw": "image/x-sony-arw",
    ".cr2": "image/x-canon-cr2",
    ".cr3": "image/x-canon-cr3",
    ".crw": "image/x-canon-crw",
    ".dng": "image/x-adobe-dng",
    ".nef": "image/x-nikon-nef",
    ".nrw": "image/x-nikon-nrw",
    ".orf": "image/x-olympus-orf",
    ".pef": "image/x-pentax-pef",
    ".raf": "image/x-fuji-raf",
    ".rw2": "image/x-panasonic-rw2",
    ".srw": "image/x-samsung-srw",
}

PICTURE_NAMES = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".ico",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    ]
) | frozenset(_RAW)
VIDEO_NAMES = frozenset(
    [
        ".3g2",
        ".3gp",
        ".asf",
        ".avi",
        ".divx",
        ".m2t",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mmv",
        ".mod",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".tod",
        ".webm",
        ".wmv",
    ]
)

# Nearly all files of nearly all folders: looking through puremagic's hundreds of signatures would
# cost more than reading them.
_COMMON = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBPVP8", "image/webp"),
)

# Two letters at the front are not much: these count only where the name says the same.
_WEAK = {"image/bmp": {".bmp", ".dib"}, "image/x-icon": {".ico"}}

# Sound comes in the containers of videos, and is not taken.
_SOUND = {".m4a", ".m4b", ".mka", ".oga", ".ogg", ".opus", ".wav", ".wma"}
_SOUND_BRANDS = (b"ftypM4A", b"ftypM4B", b"ftypM4P")


@dataclass(frozen=True)
class Media:
    """A picture or video that the service takes."""

    mime: str

    @property
    def most_bytes(self) -> int:
        return VIDEO_BYTES if self.mime.startswith("video/") else PHOTO_BYTES


def named_like_media(path: str) -> bool:
    """Whether the owner takes it for a picture or video."""
    extension = os.path.splitext(path)[1].lower()
    return extension in PICTURE_NAMES or extension in VIDEO_NAMES


def sniff(head: bytes, path: str) -> Media | None:
    """The type of a file that begins with `head`; None if the service would not take it."""
    for place, signature, common in _COMMON:
        if head.startswith(signature, place):
            return Media(common)
    extension = os.path.splitext(path)[1].lower()
    if extension in _SOUND or head[8:12] == b"WAVE" or head[4:11] in _SOUND_BRANDS:
        return None
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        found = []
    for match in sorted(found, key=lambda match: -match.confidence):
        mime = _TYPES.get(match.mime_type)
        if mime is None and match.extension.lower() in _RAW:
            mime = _RAW[match.extension.lower()]
        if mime == "image/tiff" and extension in _RAW:
            mime = _RAW[extension]
        if mime is not None and extension in _WEAK.get(mime, {extension}):
            return Media(mime)
    if head[4:12] in (b"ftypmif1", b"ftypmsf1"):  # HEIF without the name of its coding
        return Media("image/heif")
    if head[4:8] == b"ftyp":  # an ISO media file of a brand that puremagic does not list
        return Media("image/x-canon-cr3" if head[8:12] == b"crx " else "video/mp4")
    for first, step in ((0, 188), (4, 192)):  # transport streams: a sync byte in each packet
        if len(head) > first + 3 * step and all(head[first + n * step] == 0x47 for n in range(4)):
            return Media("video/mp2t")
    return None
