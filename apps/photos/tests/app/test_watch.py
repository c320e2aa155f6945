"""`--watch`: what comes to the folder later goes up by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from batuta_photos.files import Disk
from batuta_photos.settings import Selection
from batuta_photos.sources import FolderWatch, Titles
from fake_google_photos.samples import samples
from world import ALBUM, QUICK_WORDS, on_batuta, sha, world


@pytest.mark.parametrize("loop", ["asyncio", "batuta"])
def test_a_watched_folder(tmp_path: Path, loop: str) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            first = here.pictures(3)
            process = await here.start(
                "upload", str(here.folder), ALBUM, "--watch", "--json", "--loop", loop, *QUICK_WORDS
            )

            async def arrived(count: int) -> None:
                async with asyncio.timeout(20):
                    while len(here.fake.library.items) < count:
                        assert process.returncode is None
                        await asyncio.sleep(0.05)

            await arrived(3)
            late = here.pictures(2, seed=1, folder=here.folder / "new" / "deep")
            slow = here.folder / "slow.jpg"
            data = next(samples(1, seed=2)).data
            with slow.open("wb") as file:  # a camera that writes while it is watched
                for start in range(0, len(data), len(data) // 4):
                    file.write(data[start : start + len(data) // 4])
                    file.flush()
                    await asyncio.sleep(0.3)
            # A folder that is moved here as a whole.
            moved = here.pictures(2, seed=3, folder=here.root / "elsewhere")
            (here.root / "elsewhere").rename(here.folder / "moved")
            await arrived(8)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(10):
                await process.communicate()
            assert process.returncode == 130
            everything = [*first, *late, slow, *(here.folder / "moved" / p.name for p in moved)]
            here.assert_all_up(everything)
            assert here.fake.library.uploads[sha(slow)] == 1

    on_batuta(main())


def test_patterns_are_for_the_path_below_the_watched_folder(tmp_path: Path) -> None:
    for name in ("2019/a/x.jpg", "2019/y.jpg", "2020/z.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def seen(**patterns: tuple[str, ...]) -> list[str]:
        with contextlib.closing(Disk()) as disk:
            watch = FolderWatch(str(tmp_path), Selection(**patterns), Titles(ALBUM, None), disk)
            found = watch._look([str(tmp_path / "2019"), str(tmp_path / "2020")])
        return sorted(os.path.relpath(one.path, tmp_path) for one in found)

    assert seen(include=("2019/*",)) == ["2019/a/x.jpg", "2019/y.jpg"]
    assert seen(exclude=("a/*", "2020/*")) == ["2019/a/x.jpg", "2019/y.jpg"]
    assert seen(include=("*.jpg",), exclude=("y.*",)) == ["2019/a/x.jpg", "2020/z.jpg"]


def test_a_name_that_is_no_utf_8_makes_a_watch_miss_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(2)
            process = await here.start(
                "upload", str(here.folder), ALBUM, "--watch", "--json", *QUICK_WORDS
            )

            async def arrived(count: int) -> None:
                async with asyncio.timeout(20):
                    while len(here.fake.library.items) < count:
                        assert process.returncode is None
                        await asyncio.sleep(0.05)

            await arrived(2)
            odd, with_it, after = samples(3, seed=1)
            odd_path = here.folder / os.fsdecode(b"caf\xe9.jpg")
            odd_path.write_bytes(odd.data)
            (here.folder / "with it.jpg").write_bytes(with_it.data)
            await asyncio.sleep(0.5)  # nobody watches now
            (here.folder / "after.jpg").write_bytes(after.data)
            await arrived(5)
            paths += [odd_path, here.folder / "with it.jpg", here.folder / "after.jpg"]
            paths += here.pictures(1, seed=2, folder=here.folder / "later")
            await arrived(6)
            process.send_signal(signal.SIGINT)
            await process.communicate()
            assert process.returncode == 130
            here.assert_all_up(paths)

    on_batuta(main())
