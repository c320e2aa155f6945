"""Memory is flat, however many files there are. Large ones: `test_resumable`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from world import ALBUM, QUICK_WORDS, World, on_batuta, world

MOST = 200 << 20  # bytes
# What the collector has not come to yet counts as well, and 3.14 collects in small steps: there
# asyncio's own loop grew by 23 MiB. A path kept for each file would be more than either.
GROWTH = (80 if sys.version_info[:2] == (3, 14) else 40) << 20


def high_water_mark(pid: int) -> int:
    """The most memory that a process has had, in bytes, by the kernel's own account."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not say")


async def peak(here: World, *words: str) -> tuple[int, dict[str, Any]]:
    """The most memory that an upload had, and its summary."""
    process = await here.start("upload", str(here.folder), ALBUM, "--json", *QUICK_WORDS, *words)
    assert process.stdout is not None
    highest = 0
    end = b""
    reading = asyncio.ensure_future(process.stdout.read(1 << 18))
    while True:
        await asyncio.wait([reading], timeout=0.2)
        with contextlib.suppress(OSError, AssertionError):  # it may just have ended
            highest = max(highest, high_water_mark(process.pid))
        if reading.done():
            if not reading.result():
                break
            end = (end + reading.result())[-(1 << 16) :]
            reading = asyncio.ensure_future(process.stdout.read(1 << 18))
    _, err = await process.communicate()
    assert process.returncode == 0, err
    return highest, json.loads(end.splitlines()[-1])


def many_files(here: World, count: int, contents: int) -> list[Path]:
    """So many files in a hundred folders, with so many different contents.

    Hard links: quick to make, and to the uploader files like any others.
    """
    originals = here.pictures(contents, folder=here.root / "originals")
    for number in range(100):
        (here.folder / f"{number:02}").mkdir()
    for number in range(count):
        place = here.folder / f"{number % 100:02}" / f"IMG_{number:06}.jpg"
        os.link(originals[number % contents], place)
    return originals


@pytest.mark.timeout(170)
def test_memory_is_flat_for_100_000_files(tmp_path: Path) -> None:
    """All of them are read, hashed and written down; 300 contents go up."""

    async def main() -> None:
        async with world(tmp_path / "few") as here:
            many_files(here, 2_000, 300)
            few, summary = await peak(here)
            assert summary["done"] == 2_000
        async with world(tmp_path / "many") as here:
            paths = many_files(here, 100_000, 300)
            many, summary = await peak(here)
            assert summary["done"] == 100_000
            here.assert_all_up(paths)
            again, summary = await peak(here)
            assert summary["unchanged"] == 100_000
            assert summary["requests"] == 1
        print(f"{few >> 20} {many >> 20} {again >> 20} MiB")
        assert max(few, many, again) < MOST
        assert many < few + GROWTH

    on_batuta(main())
