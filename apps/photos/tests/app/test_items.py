"""What the service says of single items, and answers that are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from batuta_photos.journal import Journal
from batuta_photos.report import failed_rows
from batuta_photos.rows import JobRow
from batuta_photos.states import Job
from batuta_photos.stops import Exit
from fake_google_photos import At, Fault, FaultPlan, Kind
from fake_google_photos.media_items import FAILED
from world import QUICK, World, on_batuta, sha, world

SLOW = replace(QUICK, after_5xx=30.0)  # long enough to be interrupted


async def failed(here: World) -> AsyncIterator[JobRow]:
    async with Journal(here.account.journal_file) as journal:
        async for row in failed_rows(journal):
            yield row


def refuse(here: World, path: Path) -> None:
    """Let the service take these bytes for no picture, whatever they look like."""
    refused = sha(path)
    problem = here.fake.items._problem

    def judge(call: Any, upload: Any, fails: bool) -> Any:
        if upload is not None and upload.received.sha256 == refused:
            return {"code": 3, "message": f"BAD_IMAGE: {FAILED}"}
        return problem(call, upload, fails)

    here.fake.items._problem = judge  # type: ignore[method-assign]


def test_the_status_of_each_item_is_read(tmp_path: Path) -> None:
    """A 200 holds the failure of one item: it is reported with the service's own words."""

    async def main() -> None:
        async with world(tmp_path) as here:
            good = here.pictures(5)
            # A GIF by its first bytes for us; the service is made to refuse it.
            bad = here.folder / "broken.gif"
            bad.write_bytes(b"GIF89a" + b"\0" * 100)
            refuse(here, bad)
            run = await here.upload()
            assert run.outcome.exit_code is Exit.SOME_FAILED
            assert run.outcome.counts == {Job.DONE: 5, Job.FAILED: 1}
            here.assert_all_up(good)
            rows = [row async for row in failed(here)]
            assert [(row.path, row.error) for row in rows] == [
                (
                    str(bad),
                    "3: BAD_IMAGE: There was an error while trying to create this media item.",
                )
            ]
            # Refused for what it is: asking again by itself would not help.
            again = await here.upload()
            assert again.outcome.counts[Job.FAILED] == 1
            assert again.tally.uploads == 0

    on_batuta(main())


@pytest.mark.parametrize("status", [200, 207])
def test_items_that_fail_for_now_are_made_later(tmp_path: Path, status: Literal[200, 207]) -> None:
    plan = FaultPlan(listed=[At(Kind.CREATE_ITEMS, n, Fault.ITEM_INTERNAL) for n in (1, 2)])

    async def main() -> None:
        async with world(tmp_path, faults=plan, partial_status=status) as here:
            paths = here.pictures(60)
            run = await here.upload()
            assert run.outcome.counts == {Job.DONE: 60}
            assert run.tally.uploads == 60  # the upload tokens were still good
            here.assert_all_up(paths)

    on_batuta(main())


@pytest.mark.parametrize(
    "fault",
    [Fault.CUT_AFTER, Fault.CUT_REPLY, Fault.CUT_BEFORE, Fault.ABORTED, Fault.HTML_ERROR],
)
@pytest.mark.parametrize("duplicates", ["success", "already_exists"])
def test_a_lost_answer_makes_no_second_item(
    tmp_path: Path, fault: Fault, duplicates: Literal["success", "already_exists"]
) -> None:
    plan = FaultPlan(listed=[At(Kind.CREATE_ITEMS, n, fault) for n in (1, 3)])

    async def main() -> None:
        async with world(tmp_path, faults=plan, duplicates=duplicates) as here:
            paths = here.pictures(110)
            outcome = await here.up()
            assert outcome.counts == {Job.DONE: 110}
            here.assert_all_up(paths)

    on_batuta(main())


def test_bytes_whose_upload_token_is_too_old_go_up_again(tmp_path: Path) -> None:
    """The bytes are up when the run ends; a day later the service does not know their tokens."""
    plan = FaultPlan(listed=[At(Kind.CREATE_ITEMS, 1, Fault.CUT_BEFORE)])

    async def main() -> None:
        async with world(tmp_path, faults=plan) as here:
            paths = here.pictures(10)
            running = asyncio.ensure_future(here.upload(waits=SLOW))
            while not here.fake.requests.counts[Kind.CREATE_ITEMS]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            running.cancel()
            await asyncio.wait([running])
            here.fake.advance(25 * 3600)
            run = await here.upload()
            assert run.outcome.counts == {Job.DONE: 10}
            assert run.tally.uploads == 10
            here.assert_all_up(paths)

    on_batuta(main())


def test_tokens_that_are_good_are_used_after_an_interruption(tmp_path: Path) -> None:
    plan = FaultPlan(listed=[At(Kind.CREATE_ITEMS, 1, Fault.CUT_BEFORE)])

    async def main() -> None:
        async with world(tmp_path, faults=plan) as here:
            paths = here.pictures(10)
            running = asyncio.ensure_future(here.upload(waits=SLOW))
            while not here.fake.requests.counts[Kind.CREATE_ITEMS]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            running.cancel()
            await asyncio.wait([running])
            run = await here.upload()
            assert run.outcome.counts == {Job.DONE: 10}
            assert run.tally.uploads == 0
            assert run.tally.read == 0
            here.assert_all_up(paths)

    on_batuta(main())


def test_errors_are_reported_in_the_services_words_and_retried_later(tmp_path: Path) -> None:
    """A file that meets errors again and again fails; the next run tries it by itself."""
    listed = [At(Kind.UPLOAD_RAW, n, Fault.HTML_ERROR) for n in range(1, 9)]

    async def main() -> None:
        async with world(tmp_path, faults=FaultPlan(listed=listed)) as here:
            paths = here.pictures(1)
            first = await here.upload(concurrency=1)
            assert first.outcome.exit_code is Exit.SOME_FAILED
            (row,) = [row async for row in failed(here)]
            assert row.error is not None
            assert "502" in row.error
            assert "<" not in row.error
            await here.up()
            here.assert_all_up(paths)

    on_batuta(main())


def test_a_service_that_does_not_answer_fails_no_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(5)
            address = here.fake.base_url
            here.fake.base_url = "https://127.0.0.1:1"
            run = await here.upload()
            assert run.outcome.exit_code is Exit.SOME_FAILED
            assert "no answer" in str(run.outcome.stop)
            here.fake.base_url = address
            again = await here.up()
            assert again.counts == {Job.DONE: 5}
            here.assert_all_up(paths)

    on_batuta(main())
