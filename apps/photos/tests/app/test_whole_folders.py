"""Whole folders: they go up, under faults and kills, and nothing goes up twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from pathlib import Path

import pytest

from batuta_photos.states import Job
from fake_google_photos import FaultPlan
from world import ALBUM, LOOPS, QUICK_WORDS, Finished, kill, on_batuta, world


@pytest.mark.parametrize("loop", LOOPS)
def test_a_folder_goes_up_to_an_album(loop: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(120)
            outcome = await here.up()
            assert outcome.counts == {Job.DONE: 120}
            here.assert_all_up(paths)
            names = {item.file_name for item in here.fake.library.items}
            assert names == {path.name for path in paths}
            assert here.fake.requests.counts["create_items"] <= 4
            assert here.fake.requests.counts["create_album"] == 1

    LOOPS[loop](main())


def test_a_second_run_sends_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(30)
            await here.up()
            before = here.fake.requests.bytes_received
            run = await here.upload()
            assert run.tally.unchanged == 30
            assert here.fake.requests.bytes_received == before
            assert here.fake.requests.counts["create_items"] == 1
            assert run.usage.of_run == 1  # the list of albums
            here.assert_all_up(paths)

    on_batuta(main())


@pytest.mark.timeout(120)
def test_2000_files_with_5_percent_faults_end_all_up_none_twice(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, faults=FaultPlan(0.05, seed=5)) as here:
            paths = here.pictures(2000)
            outcome = await here.up()
            assert outcome.counts == {Job.DONE: 2000}
            here.assert_all_up(paths)
            faults = here.fake.requests.faults
            assert faults.total() > 60
            assert {"cut_after", "rate_limit", "token_expired", "server_error"} <= set(faults)
            assert here.fake.requests.max_creates == 1
            assert here.fake.requests.max_writes == 1

    on_batuta(main())


@pytest.mark.timeout(170)
def test_killed_at_50_random_moments_still_all_up_none_twice(tmp_path: Path) -> None:
    """Each run is killed by SIGKILL at a random moment after it has begun to talk to the service.

    Then one runs to its end. Large files go up in sessions of many small chunks, and a share of the
    requests meets faults besides, so that kills meet every state of the journal. Some states are
    short: where 50 kills have missed one, more follow.
    """
    chance = random.Random(50)
    kills, most_kills = 50, 120
    wanted = {"new", "session", "uploaded", "creating", "created"}

    async def main() -> None:
        async with world(tmp_path, latency=0.02, faults=FaultPlan(0.03, seed=50)) as here:
            paths = here.pictures(900)
            for number in range(6):
                large = here.folder / f"large-{number}.mp4"
                head = b"\0\0\0\x14ftypisom\0\0\0\0isom"
                large.write_bytes(head + random.Random(number).randbytes(3_000_000))
                paths.append(large)
            words = (
                "upload",
                str(here.folder),
                ALBUM,
                "--json",
                *QUICK_WORDS,
                "--resumable-from",
                "1",
                "--concurrency",
                "4",
            )
            killed = 0
            met: set[str] = set()
            while killed < kills or (not wanted <= met and killed < most_kills):
                before = here.fake.requests.total
                process = await here.start(*words)
                while here.fake.requests.total == before and process.returncode is None:
                    await asyncio.sleep(0.005)
                await asyncio.sleep(chance.uniform(0, 0.35))
                if process.returncode is not None:  # all was up: more is needed
                    await process.communicate()
                    paths += here.pictures(200, seed=killed, folder=here.folder / f"{killed}")
                    continue
                await kill(process)
                killed += 1
                met |= states(here.account.journal_file)
            finished: Finished = await here.command(*words)
            assert finished.code == 0, finished.err
            assert finished.summary["done"] == len(paths)
            here.assert_all_up(paths)
            assert here.fake.requests.max_creates == 1
            # The kills did fall into the middle of things.
            assert wanted <= met

    on_batuta(main())


def states(journal: Path) -> set[str]:
    """The states of contents that a killed run has left behind."""
    with contextlib.closing(sqlite3.connect(journal)) as database:
        return {row[0] for row in database.execute("SELECT DISTINCT state FROM content")}
