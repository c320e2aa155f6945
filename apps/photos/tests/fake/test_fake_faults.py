"""The fault plan: what it chooses, and what each fault does to a request."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest
from fake_client import GRANULE, Run, jpeg, service, signed_in, statuses
from fake_google_photos import At, Fault, FaultPlan, Kind


def decisions(plan: FaultPlan, kind: Kind, count: int = 400) -> list[Fault | None]:
    return [plan.decide(kind) for _ in range(count)]


def test_the_same_seed_chooses_the_same_faults() -> None:
    def plan(seed: int) -> FaultPlan:
        return FaultPlan(0.3, seed=seed)

    first = decisions(plan(1), Kind.CREATE_ITEMS)
    assert decisions(plan(1), Kind.CREATE_ITEMS) == first
    assert decisions(plan(2), Kind.CREATE_ITEMS) != first
    # Other requests in between change nothing.
    mixed = plan(1)
    seen = []
    for _ in range(400):
        mixed.decide(Kind.UPLOAD_RAW)
        seen.append(mixed.decide(Kind.CREATE_ITEMS))
    assert seen == first


def test_about_the_share_goes_wrong_in_all_the_ways_it_can() -> None:
    chosen = Counter(decisions(FaultPlan(0.3, seed=7), Kind.UPLOAD_RAW, 4000))
    assert 1000 < 4000 - chosen[None] < 1400
    possible = set(Fault) - {Fault.DAY_QUOTA, Fault.ABORTED, Fault.ITEM_INTERNAL}
    assert set(chosen) - {None} == possible
    assert decisions(FaultPlan(0.0), Kind.UPLOAD_RAW) == [None] * 400
    assert None not in decisions(FaultPlan(1.0), Kind.UPLOAD_RAW)


def test_the_plan_can_name_its_faults_and_requests() -> None:
    plan = FaultPlan(1.0, faults=["server_error"], on=[Kind.CREATE_ITEMS])
    assert set(decisions(plan, Kind.CREATE_ITEMS)) == {Fault.SERVER_ERROR}
    assert set(decisions(plan, Kind.UPLOAD_RAW)) == {None}
    assert set(decisions(FaultPlan(1.0), Kind.TOKEN)) == {None}
    only_bodies = FaultPlan(1.0, faults=[Fault.CUT_BODY])
    assert set(decisions(only_bodies, Kind.LIST_ALBUMS)) == {None}


def test_single_requests_can_be_listed() -> None:
    plan = FaultPlan(listed=[At(Kind.CREATE_ITEMS, 2, Fault.ABORTED)])
    plan.add("create_items", 4, "cut_after")
    plan.decide(Kind.CREATE_ITEMS)
    plan.next(Kind.UPLOAD_RAW, Fault.CUT_BODY, times=2)
    assert decisions(plan, Kind.CREATE_ITEMS, 4) == [Fault.ABORTED, None, Fault.CUT_AFTER, None]
    assert decisions(plan, Kind.UPLOAD_RAW, 3) == [Fault.CUT_BODY, Fault.CUT_BODY, None]


@pytest.mark.parametrize(
    ("kind", "number", "fault"),
    [
        ("create_items", 0, "aborted"),
        ("upload_raw", 1, "aborted"),
        ("list_albums", 1, "cut_body"),
        ("token", 1, "token_expired"),
        ("nonsense", 1, "aborted"),
        ("upload_raw", 1, "nonsense"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(kind: str, number: int, fault: str) -> None:
    with pytest.raises(ValueError):
        FaultPlan().add(kind, number, fault)


def test_a_plan_can_be_written_as_text() -> None:
    plan = FaultPlan.parse("0.25, seed=3,faults=server_error+aborted,on=create_items,retry-after=7")
    assert (plan.share, plan.seed, plan.retry_after) == (0.25, 3, 7)
    assert plan.faults == (Fault.SERVER_ERROR, Fault.ABORTED)
    assert plan.on == {Kind.CREATE_ITEMS}
    plan = FaultPlan.parse("upload_raw:2=cut_body,slow=0.5")
    assert plan.slow == 0.5
    assert decisions(plan, Kind.UPLOAD_RAW, 3) == [None, Fault.CUT_BODY, None]
    for wrong in ("x", "1.5", "seed=a", "color=red", "faults=nonsense", "upload_raw:x=cut_body"):
        with pytest.raises(ValueError):
            FaultPlan.parse(wrong)


@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        (Fault.RATE_LIMIT, 429, "RESOURCE_EXHAUSTED"),
        (Fault.RATE_LIMIT_RETRY_AFTER, 429, "RESOURCE_EXHAUSTED"),
        (Fault.SERVER_ERROR, 500, "INTERNAL"),
        (Fault.BAD_GATEWAY, 502, "UNAVAILABLE"),
        (Fault.UNAVAILABLE, 503, "UNAVAILABLE"),
        (Fault.ABORTED, 409, "ABORTED"),
    ],
)
def test_an_error_is_answered_and_nothing_was_done(
    run: Run, fault: Fault, status: int, word: str
) -> None:
    async def main() -> None:
        plan = FaultPlan(retry_after=3)
        async with service(faults=plan) as (photos, client):
            plan.next(Kind.CREATE_ALBUM, fault)
            answer = await client.post("/v1/albums", {"album": {"title": "Lisbon"}})
            assert (answer.status, answer.error["status"]) == (status, word)
            assert answer.error["code"] == status
            waits = fault is Fault.RATE_LIMIT_RETRY_AFTER
            assert answer.headers.get("Retry-After") == ("3" if waits else None)
            if status == 429:
                metadata = answer.error["details"][0]["metadata"]
                assert metadata["quota_limit"] == "WritesPerMinutePerUser"
            assert photos.library.albums == []
            assert photos.requests.faults == {fault: 1}
            assert photos.requests.statuses["create_album", status] == 1
            await client.album()

    run(main())


def test_a_proxy_answers_in_html(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            photos.faults.next(Kind.LIST_ALBUMS, Fault.HTML_ERROR)
            answer = await client.get("/v1/albums")
            assert answer.status == 502
            assert answer.headers["Content-Type"].startswith("text/html")
            assert answer.text.startswith("<!DOCTYPE html>")

    run(main())


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("fault", "made"), [(Fault.CUT_BEFORE, 0), (Fault.CUT_AFTER, 1), (Fault.CUT_REPLY, 1)]
)
def test_a_cut_connection_before_and_after_the_work(
    run: Run, fault: Fault, made: int, tls: bool
) -> None:
    async def main() -> None:
        async with service(tls=tls) as (photos, client):
            token = await client.upload_token(jpeg(300))
            photos.faults.next(Kind.CREATE_ITEMS, fault)
            with pytest.raises(aiohttp.ClientError):
                await client.create([token], names=["a.jpg"])
            assert len(photos.library.items) == made
            assert photos.requests.statuses["create_items", 0] == 1
            # The client cannot know; sent again, it is still one item.
            assert statuses(await client.create([token], names=["a.jpg"])) == [0]
            assert [item.creations for item in photos.library.items] == [made + 1]

    run(main())


def test_half_of_a_reply_arrives(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            await client.album("A title that is in the half that arrives")
            photos.faults.next(Kind.LIST_ALBUMS, Fault.CUT_REPLY)
            headers = {"Authorization": f"Bearer {client.token}"}
            url = f"{photos.base_url}/v1/albums"
            async with client.session.get(url, headers=headers) as response:
                assert response.status == 200
                arrived = b""
                with pytest.raises(aiohttp.ClientPayloadError):
                    async for piece in response.content.iter_any():
                        arrived += piece
            assert arrived.startswith(b"{")
            assert len(arrived) == int(response.headers["Content-Length"]) // 2

    run(main())


def test_a_body_that_is_cut_keeps_whole_granules(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            data = jpeg(8 * GRANULE)
            kept = []
            for number in range(4):
                url = await client.session_url(len(data))
                photos.faults.next(Kind.UPLOAD_CHUNK, Fault.CUT_BODY)
                with pytest.raises(aiohttp.ClientError):
                    await client.chunk(url, data, 0, final=True)
                received = await client.received(url)
                assert received % GRANULE == 0
                assert received < len(data)
                kept.append(received)
                answer = await client.chunk(url, data[received:], received, final=True)
                assert statuses(await client.create([answer.text])) == [0], number
            assert max(kept) > 0
            assert len(photos.library.items) == 1

    run(main())


def test_the_same_seed_cuts_at_the_same_place_whatever_else_arrives(run: Run) -> None:
    async def main(noise: int) -> int:
        # With latency the others are there before the first one's bytes are read.
        async with service(faults=FaultPlan(seed=5), latency=0.1) as (photos, client):
            data = jpeg(8 * GRANULE)
            url = await client.session_url(len(data))
            photos.faults.next(Kind.UPLOAD_CHUNK, Fault.CUT_BODY)
            others = [await client.session_url(len(data)) for _ in range(noise)]
            cut, *_ = await asyncio.gather(
                client.chunk(url, data, 0, final=True),
                *(client.chunk(other, data, 0, final=True) for other in others),
                return_exceptions=True,
            )
            assert isinstance(cut, aiohttp.ClientError)
            return await client.received(url)

    assert run(main(0)) == run(main(6)) > 0


def test_a_raw_upload_that_is_cut_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            photos.faults.next(Kind.UPLOAD_RAW, Fault.CUT_BODY)
            with pytest.raises(aiohttp.ClientError):
                await client.raw(jpeg(500_000))
            assert not photos.library.uploads
            assert (await client.raw(jpeg(500_000))).status == 200

    run(main())


def test_a_slow_read_takes_its_time(run: Run) -> None:
    async def main() -> None:
        async with service(faults=FaultPlan(slow=0.05)) as (photos, client):
            loop = asyncio.get_running_loop()
            for fault, least in ((True, 0.15), (False, 0.0)):
                if fault:
                    photos.faults.next(Kind.UPLOAD_RAW, Fault.SLOW_READ)
                start = loop.time()
                assert (await client.raw(jpeg(4 * 65_536))).status == 200
                assert loop.time() - start >= least
            assert photos.library.uploads.total() == 2

    run(main())


def test_an_expired_token_stays_refused_until_it_is_refreshed(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            photos.faults.next(Kind.LIST_ALBUMS, Fault.TOKEN_EXPIRED)
            for _ in range(2):
                answer = await client.get("/v1/albums")
                assert (answer.status, answer.error["status"]) == (401, "UNAUTHENTICATED")
            async with signed_in(photos) as refreshed:
                assert (await refreshed.get("/v1/albums")).status == 200

    run(main())


def test_some_items_of_a_batch_fail_inside(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            tokens = [await client.upload_token(jpeg(200, f"-{n}-")) for n in range(20)]
            photos.faults.next(Kind.CREATE_ITEMS, Fault.ITEM_INTERNAL)
            answer = await client.create(tokens)
            assert answer.status == 200
            codes = Counter(statuses(answer))
            assert set(codes) == {0, 13}
            assert len(photos.library.items) == codes[0] < 20
            assert set(statuses(await client.create(tokens))) == {0}
            assert len(photos.library.items) == 20

    run(main())


def test_the_days_quota_can_end_early(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            photos.faults.next(Kind.UPLOAD_RAW, Fault.DAY_QUOTA)
            for answer in (await client.raw(jpeg(200)), await client.get("/v1/albums")):
                metadata = answer.error["details"][0]["metadata"]
                assert metadata["quota_limit"] == "ApiCallsPerProjectPerDay"
            photos.advance_to_next_day()
            async with signed_in(photos) as client:
                assert (await client.get("/v1/albums")).status == 200

    run(main())


def test_sign_in_can_go_wrong_too(run: Run) -> None:
    async def main() -> None:
        async with service() as (photos, client):
            photos.faults.next(Kind.TOKEN, Fault.UNAVAILABLE)
            async with client.session.post(photos.token_url) as response:
                assert response.status == 503
            photos.faults.next(Kind.TOKEN, Fault.CUT_BEFORE)
            with pytest.raises(aiohttp.ClientError):
                await client.session.post(photos.token_url)

    run(main())


def test_a_run_with_many_faults_leaves_the_service_whole(run: Run) -> None:
    """Every request is sent until it is through: then everything is there once."""

    async def main() -> None:
        faults = FaultPlan(0.4, seed=11, slow=0.001)
        async with service(faults=faults) as (photos, client):

            async def through(kind: str, **options: object) -> str:
                while True:
                    try:
                        if kind == "raw":
                            answer = await client.raw(options["data"])  # type: ignore[arg-type]
                        else:
                            answer = await client.create([str(options["token"])])
                        if answer.status == 401:
                            async with signed_in(photos) as fresh:
                                client.token = fresh.token
                        elif answer.status == 200 and (kind == "raw" or statuses(answer) == [0]):
                            return answer.text
                    except aiohttp.ClientError:
                        continue

            datas = [jpeg(2_000, f"-{n}-") for n in range(60)]
            tokens = await asyncio.gather(*(through("raw", data=data) for data in datas))
            for token in tokens:
                await through("create", token=token)
            assert len(photos.library.items) == 60
            assert len({item.sha256 for item in photos.library.items}) == 60
            assert photos.requests.faults.total() > 30

    run(main())
