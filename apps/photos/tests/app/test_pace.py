"""Speed: many uploads at once, one create at a time, and slower when the service asks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from batuta_photos.credentials import FileStore, TokenSource
from batuta_photos.errors import ApiError
from batuta_photos.pacing import AdaptiveLimit, Gate, Waits, WriteRate
from batuta_photos.quota import Usage
from batuta_photos.settings import Service
from batuta_photos.states import Job
from batuta_photos.wire import Wire
from fake_google_photos import At, Fault, FaultPlan, Kind, Quota
from world import on_batuta, world

LATENCY = 0.05


def test_at_least_20_times_a_sequential_run_and_one_create_at_a_time(tmp_path: Path) -> None:
    few, many = 10, 400

    async def main() -> None:
        async with world(tmp_path / "one", latency=LATENCY) as here:

            async def took() -> float:
                began = time.perf_counter()
                await here.up(concurrency=1, most_uploads=1, in_flight=1, batch=1)
                return time.perf_counter() - began

            here.pictures(few)
            await took()  # makes the album as well
            nothing = await took()
            here.pictures(few, seed=1, folder=here.folder / "more")
            sequential = (await took() - nothing) / few
            assert here.fake.requests.max_uploads == 1
            assert here.fake.requests.counts["create_items"] == 2 * few
        async with world(tmp_path / "many", latency=LATENCY) as here:
            paths = here.pictures(many)
            began = time.perf_counter()
            run = await here.upload()
            concurrent = (time.perf_counter() - began) / many
            here.assert_all_up(paths)
            assert here.fake.requests.max_creates == 1
            assert here.fake.requests.max_writes == 1
            assert here.fake.requests.max_uploads <= 64
            assert run.outcome.most_at_once <= 64
        print(f"{sequential / concurrent:.1f} times")
        assert sequential / concurrent >= 20

    on_batuta(main())


def test_the_number_of_uploads_can_be_fixed(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.02) as here:
            here.pictures(60)
            await here.up(concurrency=5)
            assert here.fake.requests.max_uploads == 5

    on_batuta(main())


def test_fewer_uploads_at_once_when_the_service_says_that_it_is_too_much(tmp_path: Path) -> None:
    listed = [At(Kind.UPLOAD_RAW, n, Fault.RATE_LIMIT) for n in range(200, 290, 15)]

    async def main() -> None:
        async with world(tmp_path, latency=0.02, faults=FaultPlan(listed=listed)) as here:
            paths = here.pictures(300)
            run = await here.upload(concurrency=None)
            assert run.pipeline is not None
            limit = run.pipeline.sender.limit
            assert limit.highest > 1.5 * limit.limit
            here.assert_all_up(paths)

    on_batuta(main())


def test_retry_after_is_kept_by_everybody(tmp_path: Path) -> None:
    plan = FaultPlan(listed=[At(Kind.UPLOAD_RAW, 20, Fault.RATE_LIMIT_RETRY_AFTER)], retry_after=2)

    async def main() -> None:
        async with world(tmp_path, faults=plan, latency=0.02) as here:
            here.pictures(60)
            began = time.perf_counter()
            running = asyncio.ensure_future(here.up(concurrency=4))
            while not here.fake.requests.faults:
                await asyncio.sleep(0.005)
            await asyncio.sleep(0.3)  # what was under way ends
            quiet = here.fake.requests.total
            await asyncio.sleep(1.2)
            assert here.fake.requests.total == quiet
            await running
            assert time.perf_counter() - began >= 2

    on_batuta(main())


def test_no_more_writes_a_minute_than_the_service_allows(tmp_path: Path) -> None:
    """With our own bound the service's is never met."""

    async def main() -> None:
        async with world(tmp_path, quota=Quota(writes_per_minute=30)) as here:
            here.pictures(100)
            outcome = await here.up(writes_per_minute=30, batch=4)
            assert outcome.counts == {Job.DONE: 100}
            assert not [1 for (_, status) in here.fake.requests.statuses if status == 429]

    on_batuta(main())


def test_a_batch_is_filled_before_it_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with world(tmp_path, latency=0.01) as here:
            here.pictures(500)
            run = await here.upload()
            assert run.tally.creates == 10

    on_batuta(main())


def test_the_limit_doubles_then_halves_then_grows_by_one_a_round() -> None:
    async def main() -> None:
        limit = AdaptiveLimit(4, 100)

        async def round_of_uploads(well: bool) -> int:
            await asyncio.sleep(0.001)
            for began in [await limit.enter() for _ in range(limit.limit)]:
                limit.leave(began, well=well)
            return limit.limit

        assert [await round_of_uploads(True) for _ in range(6)] == [8, 16, 32, 64, 100, 100]
        assert await round_of_uploads(False) == 50  # all failures of a round are one sign
        # 50 times a fiftieth, and a little less as it grows.
        assert [await round_of_uploads(True) for _ in range(4)] == [50, 51, 52, 53]
        assert [await round_of_uploads(False) for _ in range(6)] == [26, 13, 6, 3, 1, 1]

    on_batuta(main())


def test_a_limit_that_is_not_reached_does_not_grow() -> None:
    async def main() -> None:
        limit = AdaptiveLimit(4, 100)
        for _ in range(20):
            limit.leave(await limit.enter(), well=True)
        assert limit.limit == 4

    on_batuta(main())


def test_a_cancelled_wait_for_a_place_gives_it_to_the_next() -> None:
    async def main() -> None:
        limit = AdaptiveLimit(1, 1)
        began = await limit.enter()
        first = asyncio.ensure_future(limit.enter())
        second = asyncio.ensure_future(limit.enter())
        await asyncio.sleep(0)
        limit.leave(began, well=True)
        first.cancel()
        async with asyncio.timeout(1):
            await second
        assert first.cancelled()
        assert limit.in_use == 1

    on_batuta(main())


def test_waits_double_and_keep_their_minimum() -> None:
    waits = Waits()
    for attempt in range(1, 12):
        for _ in range(50):
            assert waits.after_429 <= waits.jittered(waits.after_429, attempt) <= 120 + 8
            assert waits.after_5xx <= waits.jittered(waits.after_5xx, attempt) <= 120.25
    assert max(waits.jittered(1.0, 6) for _ in range(100)) > 16


def test_the_gate_opens_when_the_longest_wait_is_over() -> None:
    async def main() -> None:
        gate = Gate()
        gate.close(0.05)
        gate.close(0.01)
        began = time.monotonic()
        await gate.opened()
        assert time.monotonic() - began >= 0.05

    on_batuta(main())


def test_writes_of_a_minute_are_counted() -> None:
    async def main() -> None:
        rate = WriteRate(3)
        for _ in range(3):
            await rate.turn()
        fourth = asyncio.ensure_future(rate.turn())
        await asyncio.sleep(0.05)
        assert not fourth.done()
        fourth.cancel()

    on_batuta(main())


def test_no_wait_that_a_service_asks_for_is_shorter_than_that_after_an_error() -> None:
    waits = Waits()
    wire = Wire(Service(), TokenSource(FileStore(Path("nowhere"))), Usage(), waits, 60)
    wire._consider(ApiError(429, "too many", retry_after=0.0))
    assert 0.9 < wire.gate.closed_for < 2
    wire._consider(ApiError(429, "too many", retry_after=5.0))
    assert 4.9 < wire.gate.closed_for < 5.1
    wire._consider(ApiError(429, "too many"))
    assert wire.gate.closed_for > 29.9
