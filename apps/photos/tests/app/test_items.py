"""What the service says of single items, and answers that are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from batuta_photos.errors import ApiError, ItemResult, ItemVerdict
from batuta_photos.files import Stamp
from batuta_photos.journal import Journal
from batuta_photos.library import Library, NewItem
from batuta_photos.redact import HIDDEN
from batuta_photos.report import failed_rows
from batuta_photos.rows import JobRow
from batuta_photos.scan import Found
from batuta_photos.states import Job
from batuta_photos.stops import Exit
from batuta_photos.tally import Tally
from batuta_photos.upload import Run
from batuta_photos.uploads import Uploader
from fake_google_photos import At, Fault, FaultPlan, Kind, Quota
from fake_google_photos.media_items import FAILED
from world import QUICK, World, on_batuta, sha, world

SLOW = replace(QUICK, after_5xx=30.0)  # long enough to be interrupted
ONE_TRY = replace(QUICK, tries=1)
QUOTA = Quota(requests_per_day=9)


async def failed(here: World) -> AsyncIterator[JobRow]:
    async with Journal(here.account.journal_file) as journal:
        async for row in failed_rows(journal):
            yield row


async def interrupted(here: World) -> None:
    """A run that ends while it waits to ask for its items once more."""
    running = asyncio.ensure_future(here.upload(waits=SLOW))
    while not here.fake.requests.counts[Kind.CREATE_ITEMS]:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.wait([running])


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


@pytest.mark.parametrize("ends", [False, True])
def test_an_answer_without_an_id_leaves_open_whether_it_is_in_the_album(
    tmp_path: Path, ends: bool
) -> None:
    """The item was made beside the album, and the answer names none: it is put there afterwards."""

    async def main() -> None:
        async with world(tmp_path) as here:
            (path,) = here.pictures(1)
            create = Library.create_items
            asked = 0

            async def without_an_id(
                library: Library, album_id: str, items: Sequence[NewItem]
            ) -> list[ItemResult]:
                nonlocal asked
                asked += 1
                if asked > 1:
                    return await create(library, album_id, items)
                await create(library, "", items)
                return [ItemResult(ItemVerdict.RETRY, message="no id") for _ in items]

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Library, "create_items", without_an_id)
                if ends:
                    await interrupted(here)
                await here.up()
            assert asked == 2
            here.assert_all_up([path])

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
            await interrupted(here)
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
            await interrupted(here)
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


def test_a_file_that_joins_at_the_end_is_not_done_before_it_is_in_its_album(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks of the one who ends a content, a file with it comes for another album."""
    finish = Journal.finish
    too_early: list[int] = []

    async def main() -> None:
        async with world(tmp_path) as here:
            (path,) = here.pictures(1)
            await here.up()
            for name in ("again.jpg", "other.jpg"):
                (here.folder / name).write_bytes(path.read_bytes())
            run = Run(here.task(), Tally())
            other = str(here.root / "late.jpg")

            async def finish_and_join(self: Journal, content: bytes, albums: Any) -> None:
                await finish(self, content, albums)
                if not too_early:
                    too_early.append(0)
                    assert run.pipeline is not None
                    stamp = Stamp.of(path.stat())
                    await run.pipeline._join(Found(other, "Other", stamp), content, stamp)
                found = await self.query(
                    "SELECT count(*) FROM job JOIN placement USING (sha, album) "
                    "WHERE job.state = 'done' AND placement.state <> 'placed'"
                )
                too_early.append(found[0][0])

            monkeypatch.setattr(Journal, "finish", finish_and_join)
            await run.execute()
            assert run.outcome.exit_code is Exit.ALL_UP
            assert len(too_early) > 2
            assert not any(too_early)
            assert here.hashes_in("Other") == [sha(path)]

    on_batuta(main())


def test_each_file_is_told_of_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(2)
            for number in range(6):
                (here.folder / f"copy-{number}.jpg").write_bytes(paths[0].read_bytes())
            finished = await here.upload_command("--one-by-one")
            assert finished.code == 0
            told = [event["path"] for event in finished.events if event["event"] == "file"]
            assert sorted(told) == sorted(map(str, here.folder.iterdir()))

    on_batuta(main())


@pytest.mark.parametrize("wait", [True, False])
def test_a_retry_that_the_quota_stopped_is_gone_on_with(tmp_path: Path, wait: bool) -> None:
    listed = [At(Kind.UPLOAD_RAW, n, Fault.HTML_ERROR) for n in range(1, 4)]

    async def main() -> None:
        async with world(tmp_path, faults=FaultPlan(listed=listed), quota=QUOTA) as here:
            paths = here.pictures(3)
            first = await here.upload(waits=ONE_TRY, concurrency=1)
            assert first.outcome.counts == {Job.FAILED: 3}
            if wait:
                running = asyncio.ensure_future(here.upload(retry_failed=True, quota_check=0.1))
                while here.fake.meter.used_in_all() < QUOTA.requests_per_day:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
                here.fake.advance_to_next_day()
                run = await running
            else:
                run = await here.upload(retry_failed=True, wait_for_quota=False)
                assert run.outcome.exit_code is Exit.QUOTA
                here.fake.advance_to_next_day()
                run = await here.upload(retry_failed=True)
            assert run.outcome.exit_code is Exit.ALL_UP
            here.assert_all_up(paths)

    on_batuta(main())


def test_what_is_not_allowed_for_now_is_tried_again_and_shows_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> str:
        raise ApiError(403, "not allowed with ya29.a-secret", "PERMISSION_DENIED")

    async def main() -> None:
        async with world(tmp_path) as here:
            paths = here.pictures(2)
            with monkeypatch.context() as patch:
                patch.setattr(Uploader, "raw", refused)
                run = await here.upload()
            assert run.outcome.counts == {Job.FAILED: 2}
            for row in [row async for row in failed(here)]:
                assert row.error == f"403 PERMISSION_DENIED: not allowed with {HIDDEN}"
            await here.up()
            here.assert_all_up(paths)

    on_batuta(main())
