"""What a file is, by its first bytes; names and declared types are not looked at.

Only what Google Photos takes is known here: the formats of its documentation. RAW files of most
makers are TIFF inside and are taken as such.
"""

from __future__ import annotations

from dataclasses import dataclass

# How many bytes at the front `media_type` wants to see.
HEAD = 512

_PREFIXES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"IIU\x00", "image/x-panasonic-rw2"),
    (b"IIRO", "image/x-olympus-orf"),
    (b"FUJIFILMCCD-RAW", "image/x-fuji-raf"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x1aE\xdf\xa3", "video/x-matroska"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-wmv"),
    (b"\x00\x00\x01\xba", "video/mpeg"),
    (b"\x00\x00\x01\xb3", "video/mpeg"),
)

# The brands of ISO base media files that are not plain MP4.
_BRANDS = {
    b"heic": "image/heif",
    b"heix": "image/heif",
    b"heim": "image/heif",
    b"heis": "image/heif",
    b"hevc": "image/heif",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"crx ": "image/x-canon-cr3",
    b"qt  ": "video/quicktime",
    b"M4V ": "video/x-m4v",
}


@dataclass(frozen=True)
class MediaType:
    """A type that Google Photos takes."""

    mime: str

    @property
    def is_video(self) -> bool:
        return self.mime.startswith("video/")


def media_type(head: bytes) -> MediaType | None:
    """The type of the file that begins with `head`; None if it is neither picture nor video."""
    for prefix, mime in _PREFIXES:
        if head.startswith(prefix):
            return MediaType(mime)
    if head[:4] == b"RIFF":
        if head[8:12] == b"WEBP":
            return MediaType("image/webp")
        return MediaType("video/x-msvideo") if head[8:12] == b"AVI " else None
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand.startswith((b"3gp", b"3g2")):
            return MediaType("video/3gpp")
        return MediaType(_BRANDS.get(brand, "video/mp4"))
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return MediaType("video/quicktime")
    # Transport streams have no signature, only their packets' first byte again and again: 188 bytes
    # apart, or 192 with a time stamp before each.
    for first, step in ((0, 188), (4, 192)):
        if len(head) > first + step and head[first] == head[first + step] == 0x47:
            return MediaType("video/mp2t")
    return None
