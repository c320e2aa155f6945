"""The day's quota: counted, not run into a wall, gone on with."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from batuta_photos.quota import Usage, pacific_day, requests_for, requests_to_send
from batuta_photos.states import Job
from batuta_photos.stops import Exit, QuotaReached
from fake_google_photos import Quota
from world import on_batuta, world


def test_quota_stops_with_code_4_and_the_next_day_goes_on(tmp_path: Path) -> None:
    most_uploads = 24

    async def main() -> None:
        async with world(tmp_path, quota=Quota(requests_per_day=100)) as here:
            paths = here.pictures(150)
            days = 0
            while True:
                finished = await here.upload_command(
                    "--on-quota", "exit", "--most-uploads", str(most_uploads)
                )
                if finished.code == 0:
                    break
                assert finished.code == 4, finished.err
                assert finished.summary["goes_on_at"] > ""
                assert finished.summary["failed"] == 0
                # What was under way is refused (uploads, and one request that creates items);
                # nobody knocks on the door after that.
                assert here.fake.requests.total <= (100 + most_uploads + 1) * (days + 1)
                days += 1
                assert days < 5
                here.fake.advance_to_next_day()
            assert days == 1
            here.assert_all_up(paths)

    on_batuta(main())


def test_quota_is_waited_for_when_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, quota=Quota(requests_per_day=60)) as here:
            paths = here.pictures(90)
            running = asyncio.ensure_future(here.up(quota_check=0.1))
            while here.fake.meter.used_in_all() < 60:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)
            assert not running.done()
            asked = here.fake.requests.counts["list_albums"]
            assert asked >= 2  # it looks whether there is a quota again
            here.fake.advance_to_next_day()
            await running
            here.assert_all_up(paths)

    on_batuta(main())


def test_a_limit_of_ones_own_is_kept_over_runs(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path) as here:
            here.pictures(60)
            words: dict[str, Any] = {"daily_requests": 40, "wait_for_quota": False}
            first = await here.upload(**words)
            assert isinstance(first.outcome.stop, QuotaReached)
            assert first.outcome.exit_code is Exit.QUOTA
            assert first.usage.today == 40
            second = await here.upload(**words)
            assert second.outcome.exit_code is Exit.QUOTA
            assert second.usage.of_run == 0
            # Requests that the stop has ended on their way were counted here only.
            assert here.fake.meter.used_in_all() <= 40
            third = await here.upload(daily_requests=1000)
            assert third.outcome.exit_code is Exit.ALL_UP
            assert third.outcome.counts == {Job.DONE: 60}

    on_batuta(main())


def test_about_9800_photos_fit_into_a_day() -> None:
    assert requests_for(9800, 9800) == 9996


def test_a_large_file_takes_a_request_for_each_chunk() -> None:
    mib = 1 << 20
    assert requests_to_send(8 * mib - 1, 8 * mib, 8 * mib) == 1
    assert requests_to_send(8 * mib, 8 * mib, 8 * mib) == 2
    assert requests_to_send(8 * mib + 1, 8 * mib, 8 * mib) == 3
    assert requests_to_send(1024 * mib, 8 * mib, 8 * mib) == 129


def test_requests_that_today_has_not_left_take_further_days() -> None:
    assert [Usage(9_000).days_for(n) for n in (1, 1_000, 1_001, 11_000, 11_001)] == [1, 1, 2, 2, 3]
    assert Usage(0, limit=100).days_for(301) == 4


def test_days_are_those_of_pacific_time() -> None:
    from datetime import UTC, datetime

    from batuta_photos.quota import next_day

    summer = datetime(2026, 7, 1, 6, 59, tzinfo=UTC)
    assert pacific_day(summer).isoformat() == "2026-06-30"
    assert next_day(summer) == datetime(2026, 7, 1, 7, tzinfo=UTC)
    winter = datetime(2026, 1, 1, 7, 59, tzinfo=UTC)
    assert next_day(winter) == datetime(2026, 1, 1, 8, tzinfo=UTC)
