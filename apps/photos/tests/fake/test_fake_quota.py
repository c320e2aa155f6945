"""Quotas of the local service, and the clock that they are counted by."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fake_client import Run, jpeg, service, signed_in
from fake_google_photos import Clock, Limits, Quota

LONG = Limits(access_token_age=1e7)


def at(*moment: int) -> Clock:
    """A clock that shows this moment in UTC."""
    year, month, day, hour, minute = moment
    return Clock(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())


def test_a_day_ends_at_midnight_pacific_time() -> None:
    for winter_or_summer, hours in ((at(2026, 1, 15, 7, 0), 1), (at(2026, 7, 15, 6, 0), 1)):
        before = winter_or_summer.day()
        assert abs(winter_or_summer.until_next_day() - hours * 3600) < 9
        winter_or_summer.advance(3590)
        assert winter_or_summer.day() == before
        winter_or_summer.advance(20)
        assert (winter_or_summer.day() - before).days == 1


def test_the_day_when_summer_time_begins_has_23_hours() -> None:
    clock = at(2026, 3, 8, 8, 0)  # midnight in Los Angeles
    assert abs(clock.until_next_day() - 23 * 3600) < 5


def test_the_clock_runs_on_and_never_back() -> None:
    clock = at(2026, 1, 1, 0, 0)
    first = clock.now()
    clock.advance(10)
    assert 10 <= clock.now() - first < 40
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(-1)
    assert clock.timestamp(0) == "1970-01-01T00:00:00Z"


def test_the_days_quota_counts_every_request_and_begins_anew(run: Run) -> None:
    async def main() -> None:
        quota = Quota(requests_per_day=4)
        async with service(quota=quota, limits=LONG) as (photos, client):
            await client.item(jpeg(200))
            assert (await client.get("/v1/albums")).status == 200
            assert (await client.get("/v1/mediaItems/unknown")).status == 404
            for answer in (await client.get("/v1/albums"), await client.raw(jpeg(200))):
                assert answer.status == 429
                assert "Retry-After" not in answer.headers
                error = answer.error
                assert error["status"] == "RESOURCE_EXHAUSTED"
                assert error["errors"][0]["reason"] == "rateLimitExceeded"
                (info,) = error["details"]
                assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
                assert info["metadata"]["quota_limit"] == "ApiCallsPerProjectPerDay"
                assert info["metadata"]["quota_limit_value"] == "4"
            assert photos.meter.used_in_all() == 4
            photos.advance_to_next_day()
            assert photos.meter.used_in_all() == 0
            assert (await client.get("/v1/albums")).status == 200

    run(main())


def test_each_project_has_its_own_quota(run: Run) -> None:
    async def main() -> None:
        async with service(quota=Quota(requests_per_day=1)) as (photos, client):
            assert (await client.get("/v1/albums")).status == 200
            assert (await client.get("/v1/albums")).status == 429
            photos.client_id, photos.client_secret = photos.accounts.register()
            async with signed_in(photos) as other:
                assert (await other.get("/v1/albums")).status == 200

    run(main())


def test_sign_in_costs_no_quota(run: Run) -> None:
    async def main() -> None:
        async with service(quota=Quota(requests_per_day=1)) as (photos, _):
            async with signed_in(photos):
                assert photos.requests.counts["token"] == 2
                assert photos.meter.used_in_all() == 0

    run(main())


def test_writes_can_be_limited_by_the_minute(run: Run) -> None:
    async def main() -> None:
        async with service(quota=Quota(writes_per_minute=2)) as (photos, client):
            await client.album()
            photos.advance(30)
            await client.album()
            answer = await client.post("/v1/albums", {"album": {"title": "Third"}})
            assert answer.status == 429
            metadata = answer.error["details"][0]["metadata"]
            assert metadata["quota_limit"] == "WritesPerMinutePerUser"
            # Reading and bytes are no writes.
            assert (await client.get("/v1/albums")).status == 200
            assert (await client.raw(jpeg(200))).status == 200
            photos.advance(31)
            await client.album()
            answer = await client.post("/v1/albums", {"album": {"title": "Fifth"}})
            assert answer.status == 429

    run(main())


def test_writes_are_not_limited_unless_asked_for(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            for number in range(40):
                await client.album(f"{number}")
            assert len(photos.library.albums) == 40

    run(main())


def test_bytes_of_pictures_have_a_quota_of_their_own(run: Run) -> None:
    async def main() -> None:
        async with service(quota=Quota(media_bytes_per_day=1), limits=LONG) as (photos, client):
            item = await client.item(jpeg(200))
            used = photos.meter.used_in_all()
            for expected in (200, 429):
                assert (await client.get(f"/media/{item}=d")).status == expected
            assert photos.meter.used_in_all() == used
            photos.advance_to_next_day()
            assert (await client.get(f"/media/{item}=d")).status == 200

    run(main())
