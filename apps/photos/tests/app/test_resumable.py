"""Large files: resumable sessions that go on from where the service stands."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batuta_photos.files import OpenFile
from fake_google_photos import At, Fault, FaultPlan, Kind
from fake_google_photos.samples import write_video
from test_memory import MOST, peak
from world import ALBUM, QUICK, QUICK_WORDS, World, kill, on_batuta, sha, world

MIB = 1 << 20
ONE_TRY = replace(QUICK, tries=1)
SMALL_CHUNKS: dict[str, Any] = {"resumable_from": MIB, "chunk": MIB}


def video(here: World, size: int, *, seed: int = 0) -> Path:
    path = here.folder / f"video-{seed}.mp4"
    write_video(path, size, seed=seed)
    return path


@pytest.mark.timeout(170)
def test_a_3_gb_upload_that_was_killed_resumes_from_its_offset(tmp_path: Path) -> None:
    size = 3 * 1024 * MIB

    async def main() -> None:
        async with world(tmp_path) as here:
            path = video(here, size)
            process = await here.start("upload", str(here.folder), ALBUM, "--json", *QUICK_WORDS)
            while here.fake.requests.bytes_received < size // 3:
                await asyncio.sleep(0.01)
                assert process.returncode is None
            await kill(process)
            await asyncio.sleep(0.2)
            assert len(here.fake.uploads.sessions) == 1
            (session,) = here.fake.uploads.sessions.values()
            stood_at = session.received
            assert size // 4 < stood_at < size
            before = here.fake.requests.bytes_received
            most, summary = await peak(here)
            assert summary["done"] == 1
            assert most < MOST  # whatever the size of the file
            # Not a byte again of what the service had.
            assert here.fake.requests.bytes_received - before == size - stood_at
            assert len(here.fake.uploads.sessions) == 1
            here.assert_all_up([path])

    on_batuta(main())


@pytest.mark.parametrize("fault", [Fault.CUT_BODY, Fault.CUT_BEFORE, Fault.SERVER_ERROR])
def test_a_chunk_that_was_cut_goes_on_from_what_arrived(tmp_path: Path, fault: Fault) -> None:
    plan = FaultPlan(listed=[At(Kind.UPLOAD_CHUNK, number, fault) for number in (2, 3, 6)])

    async def main() -> None:
        async with world(tmp_path, faults=plan) as here:
            path = video(here, 6 * MIB + 77)
            await here.up(**SMALL_CHUNKS)
            here.assert_all_up([path])
            assert here.fake.requests.counts[Kind.UPLOAD_START] == 1
            assert here.fake.requests.counts[Kind.UPLOAD_QUERY] == 3
            # At most what was under way when the connection ended was sent again.
            assert here.fake.requests.bytes_received <= path.stat().st_size + 3 * MIB

    on_batuta(main())


@pytest.mark.parametrize("repeats", [True, False])
def test_the_lost_answer_to_the_last_chunk(tmp_path: Path, repeats: bool) -> None:
    """The session is complete, and its token was in the answer that was lost."""
    plan = FaultPlan(listed=[At(Kind.UPLOAD_CHUNK, 3, Fault.CUT_AFTER)])

    async def main() -> None:
        async with world(tmp_path, faults=plan, final_query_repeats_token=repeats) as here:
            path = video(here, 3 * MIB)
            await here.up(**SMALL_CHUNKS)
            here.assert_all_up([path])
            assert here.fake.requests.counts[Kind.UPLOAD_START] == (1 if repeats else 2)

    on_batuta(main())


def test_a_session_that_is_too_old_begins_again(tmp_path: Path) -> None:
    plan = FaultPlan(listed=[At(Kind.UPLOAD_CHUNK, n, Fault.CUT_BEFORE) for n in (2, 3)])

    async def main() -> None:
        async with world(tmp_path, faults=plan) as here:
            path = video(here, 3 * MIB)
            first = await here.upload(**SMALL_CHUNKS, waits=ONE_TRY)
            assert first.outcome.exit_code == 1
            here.fake.advance(8 * 86_400)
            await here.up(**SMALL_CHUNKS)
            here.assert_all_up([path])
            assert here.fake.requests.counts[Kind.UPLOAD_START] == 2

    on_batuta(main())


def test_a_video_that_changes_under_way_is_sent_as_it_is_then(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.05) as here:
            path = video(here, 8 * MIB)
            old = sha(path)
            running = asyncio.ensure_future(here.up(**SMALL_CHUNKS))
            while here.fake.requests.counts[Kind.UPLOAD_CHUNK] < 3:
                await asyncio.sleep(0.01)
            with path.open("r+b") as file:
                file.seek(5 * MIB)
                file.write(b"cut anew")
            await running
            assert sha(path) != old
            here.assert_all_up([path])

    on_batuta(main())


@pytest.mark.parametrize("chunk", [8 * MIB, MIB])
def test_a_change_while_the_last_bytes_are_sent_is_seen(
    tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are hashed, then read once more to be sent: what is neither the old nor the new
    content becomes no item, and no other file with the old content is taken for up by it."""
    read = OpenFile.read

    async def main() -> None:
        async with world(tmp_path) as here:
            path = video(here, 4 * MIB)
            twin = here.folder / "twin.mp4"
            twin.write_bytes(path.read_bytes())
            edited: list[Path] = []

            async def edit_and_read(self: OpenFile, offset: int, size: int) -> bytes:
                if offset == 3 * MIB and not edited:
                    edited.append(Path(os.readlink(f"/proc/self/fd/{self._descriptor}")))
                    with edited[0].open("r+b") as file:
                        file.seek(offset + 5000)
                        file.write(b"cut anew")
                return await read(self, offset, size)

            monkeypatch.setattr(OpenFile, "read", edit_and_read)
            await here.up(resumable_from=MIB, chunk=chunk)
            assert edited
            assert sha(path) != sha(twin)
            here.assert_all_up([path, twin])

    on_batuta(main())
