"""Memory is flat, however many files there are. Large ones: `test_resumable`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from fake_google_photos.samples import samples
from world import ALBUM, QUICK_WORDS, World, on_batuta, world

MOST = 200 << 20  # bytes


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
    last = b""
    reading = asyncio.ensure_future(process.stdout.readline())
    while True:
        await asyncio.wait([reading], timeout=0.2)
        with contextlib.suppress(OSError, AssertionError):  # it may just have ended
            highest = max(highest, high_water_mark(process.pid))
        if reading.done():
            if not reading.result():
                break
            last = reading.result()
            reading = asyncio.ensure_future(process.stdout.readline())
    _, err = await process.communicate()
    assert process.returncode == 0, err
    return highest, json.loads(last)


def many_files(here: World, count: int, contents: int) -> list[Path]:
    """So many files in a hundred folders, with so many different contents."""
    data = [sample.data for sample in samples(contents, size=(8, 6))]
    made = []
    for number in range(count):
        folder = here.folder / f"{number % 100:02}"
        if number < 100:
            folder.mkdir()
        path = folder / f"IMG_{number:06}.jpg"
        path.write_bytes(data[number % contents])
        made.append(path)
    return made[:contents]


@pytest.mark.timeout(170)
def test_memory_is_flat_for_100_000_files(tmp_path: Path) -> None:
    """All of them are read, hashed and written down; 1,000 contents go up."""

    async def main() -> None:
        async with world(tmp_path / "few") as here:
            many_files(here, 2_000, 1_000)
            few, summary = await peak(here)
            assert summary["done"] == 2_000
        async with world(tmp_path / "many") as here:
            paths = many_files(here, 100_000, 1_000)
            many, summary = await peak(here)
            assert summary["done"] == 100_000
            here.assert_all_up(paths)
            again, summary = await peak(here)
            assert summary["unchanged"] == 100_000
            assert summary["requests"] == 1
        print(f"{few >> 20} {many >> 20} {again >> 20} MiB")
        assert max(few, many, again) < MOST
        assert many < few + (40 << 20)

    on_batuta(main())
