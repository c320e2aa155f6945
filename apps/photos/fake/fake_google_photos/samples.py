"""Sample pictures: small landscapes in the common formats, the same ones for the same seed.

Each has its own bytes, a name as cameras give them, and a date, which stands in its EXIF data
(JPEG, PNG and WEBP; GIF has none) and in the file's own time. For folders with very many files
there are tiny pictures, for long uploads a video that takes no room on the disk.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageOps

WIDTH, HEIGHT = 320, 240

Colour = tuple[int, int, int]

# Sky at the top, sky at the horizon, the sun, the hills in front: dawn, day, dusk, night, ...
_MOODS: tuple[tuple[Colour, Colour, Colour, Colour], ...] = (
    ((68, 102, 170), (250, 205, 165), (255, 240, 210), (52, 62, 84)),
    ((58, 130, 205), (200, 226, 240), (255, 252, 225), (44, 92, 62)),
    ((84, 52, 110), (245, 140, 92), (255, 222, 150), (46, 30, 58)),
    ((12, 20, 48), (56, 70, 118), (236, 236, 220), (10, 14, 28)),
    ((120, 160, 170), (226, 220, 205), (255, 250, 240), (78, 92, 88)),
    ((170, 90, 70), (250, 214, 140), (255, 246, 214), (92, 52, 36)),
)

# Most are JPEG, as in real folders.
_FORMATS = ("JPEG", "JPEG", "JPEG", "JPEG", "JPEG", "PNG", "WEBP", "GIF")
_ENDINGS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}


@dataclass(frozen=True)
class Sample:
    """A picture that was made.

    Attributes:
        name: its file's name.
        format: JPEG, PNG, WEBP or GIF.
        taken: its date.
        data: its bytes.
    """

    name: str
    format: str
    taken: datetime
    data: bytes


def samples(
    count: int, *, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Iterator[Sample]:
    """Makes `count` pictures, one after the other.

    Args:
        count: how many.
        seed: another seed, other pictures. For one seed the bytes are the same each time, as long
            as Pillow's version is.
        size: width and height in pixels.
    """
    start = datetime(2023, 5, 1, 7, 30, tzinfo=UTC)
    for index in range(count):
        # One generator per picture: the first ten of a hundred are the ten of a ten.
        chance = random.Random(f"{seed} {index}")
        kind = _FORMATS[index % len(_FORMATS)]
        taken = start + timedelta(days=index * 3 % 700, seconds=chance.randrange(36_000))
        name = f"IMG_{index + 1:05d}.{_ENDINGS[kind]}"
        picture = _landscape(chance, index, size)
        yield Sample(name, kind, taken, _encode(picture, kind, taken, f"{seed}/{index}"))


def write_samples(
    folder: Path, count: int, *, seed: int = 0, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> list[Path]:
    """Makes `count` pictures as files in `folder`, which is made if need be; see `samples`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for sample in samples(count, seed=seed, size=size):
        path = folder / sample.name
        path.write_bytes(sample.data)
        os.utime(path, (sample.taken.timestamp(),) * 2)
        paths.append(path)
    return paths


def write_tiny(folder: Path, count: int, *, seed: int = 0, per_folder: int = 1_000) -> None:
    """Makes `count` JPEG files of less than 1 kB, a few microseconds each, all different.

    Args:
        folder: is made if need be; the files lie in numbered folders below it.
        count: how many.
        seed: another seed, other bytes.
        per_folder: how many files lie in one folder.
    """
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 120, 150)).save(file, "JPEG", quality=50)
    start, rest = file.getvalue()[:2], file.getvalue()[2:]
    for index in range(count):
        place = folder / f"{index // per_folder:04d}"
        if index % per_folder == 0:
            place.mkdir(parents=True, exist_ok=True)
        note = f"tiny {seed}/{index}".encode()
        # A comment segment behind the start of the image makes the bytes differ.
        comment = b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note
        (place / f"tiny_{index:06d}.jpg").write_bytes(start + comment + rest)


def write_video(path: Path, size: int, *, seed: int = 0) -> None:
    """Makes a file of `size` bytes that begins like an MP4.

    It has holes, so 3 GB take some MB on the disk; each MiB begins with its own number, so that
    bytes that end up in a wrong place change the hash.

    Raises:
        ValueError: `size` is smaller than 32 bytes.
    """
    head = (20).to_bytes(4, "big") + b"ftypisom" + bytes(4) + b"isom"
    if size < 32:
        raise ValueError(f"a video has at least 32 bytes, not {size}")
    with path.open("wb") as file:
        file.truncate(size)
        for start in range(0, size - 31, 1 << 20):
            file.seek(start)
            stamp = seed.to_bytes(4, "big") + start.to_bytes(8, "big")
            file.write(head + stamp if start == 0 else stamp)


def write_odd_files(folder: Path, *, seed: int = 0) -> dict[str, Path]:
    """Makes the files that an uploader meets in real folders, by what is odd about them.

    `duplicate` has the bytes of `original`; `png_named_jpg` is a PNG, `text_named_jpg` is no
    picture, `empty` has no bytes, `notes` is a text file with an honest name, `capitals` ends in
    `.JPG`, `foreign_script` has a name in three scripts, `nested` is two folders down, `unreadable`
    may not be read (root can).
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, second, third, fourth, fifth = (
        sample.data for sample in samples(5, seed=seed + 1_000_003)
    )
    png = next(s.data for s in samples(8, seed=seed + 1_000_033) if s.format == "PNG")
    files = {
        "original": ("original.jpg", first),
        "duplicate": ("copy of original.jpg", first),
        "png_named_jpg": ("really a png.jpg", png),
        "text_named_jpg": ("really text.jpg", b"This is no picture.\n" * 20),
        "empty": ("empty.jpg", b""),
        "notes": ("notes.txt", b"Buy milk.\n"),
        "capitals": ("HOLIDAY.JPG", second),
        "foreign_script": ("Ålesund 京都 القاهرة.jpg", third),
        "nested": ("2021/summer/nested.jpg", fourth),
        "unreadable": ("unreadable.jpg", fifth),
    }
    paths = {}
    for what, (name, data) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # the unreadable one of an earlier call cannot be written
        path.write_bytes(data)
        paths[what] = path
    paths["unreadable"].chmod(0)
    return paths


def _landscape(chance: random.Random, index: int, size: tuple[int, int]) -> Image.Image:
    """Sky, a sun or moon, three rows of hills, each row darker than the one behind it."""
    width, height = size
    top, horizon, sun, front = chance.choice(_MOODS)
    # Pillow's own gradient is 256 by 256, from black at the top to white.
    gradient = Image.linear_gradient("L").resize(size)
    picture = ImageOps.colorize(gradient, top, horizon)
    draw = ImageDraw.Draw(picture)
    radius = height * chance.uniform(0.05, 0.11)
    x, y = width * chance.uniform(0.15, 0.85), height * chance.uniform(0.18, 0.5)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=sun)
    for row in range(3):
        nearness = (row + 1) / 3
        colour = _mix(horizon, front, 0.35 + 0.65 * nearness)
        base = height * (0.5 + 0.16 * row)
        waves = [
            (chance.uniform(0.6, 2.4) * (row + 1), chance.uniform(0, math.tau), height * 0.09 / n)
            for n in (1, 2, 4)
        ]
        ridge = [
            (
                step * width / 40,
                base
                - sum(
                    high * math.sin(often * math.tau * step / 40 + shift)
                    for often, shift, high in waves
                ),
            )
            for step in range(41)
        ]
        draw.polygon([*ridge, (width, height), (0, height)], fill=colour)
    return _with_mark(picture, index)


def _mix(first: Colour, second: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _with_mark(picture: Image.Image, index: int) -> Image.Image:
    """The picture's number in the corner, so that a person can find it again."""
    mark = Image.new("RGB", picture.size)
    ImageDraw.Draw(mark).text((8, picture.height - 18), f"{index + 1}", fill=(90, 90, 90))
    return ImageChops.add(picture, mark)


def _encode(picture: Image.Image, kind: str, taken: datetime, note: str) -> bytes:
    """The file's bytes, with its date and a note that makes them differ from all others."""
    options: dict[str, Any] = {}
    if kind == "GIF":
        options["comment"] = f"sample {note}".encode()
    else:
        exif = Image.Exif()
        stamp = taken.strftime("%Y:%m:%d %H:%M:%S")
        exif[0x0132] = stamp  # DateTime
        exif[0x010E] = f"sample {note}"  # ImageDescription
        exif.get_ifd(0x8769)[0x9003] = stamp  # DateTimeOriginal
        options["exif"] = exif
    if kind in ("JPEG", "WEBP"):
        options["quality"] = 85
    if kind == "WEBP":
        options["method"] = 0  # the quickest one
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def main() -> int:
    """`python -m fake_google_photos.samples FOLDER COUNT`."""
    arguments = argparse.ArgumentParser(
        prog="python -m fake_google_photos.samples", description="Make sample pictures."
    )
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("count", type=int)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--odd", action="store_true", help="also files that are odd in some way")
    options = arguments.parse_args()
    paths = write_samples(options.folder, options.count, seed=options.seed)
    if options.odd:
        paths += write_odd_files(options.folder, seed=options.seed).values()
    print(f"{len(paths)} files in {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
