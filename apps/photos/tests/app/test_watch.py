"""`--watch`: what comes to the folder later goes up by itself."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

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
