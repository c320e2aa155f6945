"""One fifo: callbacks, task steps, future callbacks, readiness and timers run in stock's order."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from contract.support import Recorder, connected, raw_pair, until
from loops import Run


def test_callbacks_run_in_the_order_of_call_soon(loop: asyncio.AbstractEventLoop) -> None:
    ran: list[int] = []
    for number in range(1000):
        loop.call_soon(ran.append, number)
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == list(range(1000))


def test_tasks_futures_and_callbacks_share_one_fifo(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        ran: list[str] = []

        async def step(name: str) -> None:
            ran.append(name)

        future = loop.create_future()
        future.add_done_callback(lambda _: ran.append("done callback 1"))
        future.add_done_callback(lambda _: ran.append("done callback 2"))
        loop.call_soon(ran.append, "call_soon 1")
        first = loop.create_task(step("task 1"))
        loop.call_soon(ran.append, "call_soon 2")
        future.set_result(None)
        loop.call_soon_threadsafe(ran.append, "threadsafe")
        second = loop.create_task(step("task 2"))
        await first
        await second
        return ran

    assert run(main) == [
        "call_soon 1",
        "task 1",
        "call_soon 2",
        "done callback 1",
        "done callback 2",
        "threadsafe",
        "task 2",
    ]


def test_a_waiter_wakes_one_turn_after_the_result_and_behind_what_is_queued(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        ran: list[str] = []
        future = loop.create_future()

        async def waiter() -> None:
            await future
            ran.append("waiter")

        task = loop.create_task(waiter())
        await asyncio.sleep(0)
        loop.call_soon(ran.append, "before")
        future.set_result(None)
        loop.call_soon(ran.append, "after")
        assert ran == []
        await task
        return ran

    assert run(main) == ["before", "waiter", "after"]


def test_a_task_that_sleeps_zero_goes_to_the_back(run: Run) -> None:
    async def main() -> list[str]:
        ran: list[str] = []

        async def worker(name: str) -> None:
            for step in range(3):
                ran.append(f"{name}{step}")
                await asyncio.sleep(0)

        await asyncio.gather(worker("a"), worker("b"), worker("c"))
        return ran

    assert run(main) == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_what_a_turn_adds_waits_for_the_next_turn(loop: asyncio.AbstractEventLoop) -> None:
    ran: list[str] = []

    def parent(name: str) -> None:
        ran.append(name)
        loop.call_soon(ran.append, f"child of {name}")

    loop.call_soon(parent, "1")
    loop.call_soon(parent, "2")
    loop.call_soon(parent, "3")
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["1", "2", "3"]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran[3:] == ["child of 1", "child of 2", "child of 3"]


def test_stop_finishes_the_turn_and_keeps_the_rest(loop: asyncio.AbstractEventLoop) -> None:
    ran: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(ran.append, "same turn")
    loop.call_soon(loop.call_soon, ran.append, "next turn")
    loop.run_forever()
    assert ran == ["same turn"]
    assert not loop.is_running()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["same turn", "next turn"]


def test_stop_before_the_run_gives_one_turn_with_timers_that_are_due(
    loop: asyncio.AbstractEventLoop,
) -> None:
    ran: list[str] = []
    loop.call_later(-1, ran.append, "timer")
    loop.call_soon(ran.append, "soon")
    loop.stop()
    loop.run_forever()
    assert ran == ["soon", "timer"]
    assert not loop.is_running()


def test_a_cancelled_handle_of_the_same_turn_does_not_run(loop: asyncio.AbstractEventLoop) -> None:
    ran: list[str] = []
    handles: list[asyncio.Handle] = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(loop.call_soon(ran.append, "cancelled"))
    loop.call_soon(ran.append, "kept")
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["kept"]
    assert handles[0].cancelled()


def test_readers_run_before_timers_that_are_due(loop: asyncio.AbstractEventLoop) -> None:
    """The poll of a turn comes before its timers."""
    near, far = raw_pair("unix")
    ran: list[str] = []

    def note(name: str) -> None:
        ran.append(name)
        if len(ran) == 3:
            loop.stop()

    def readable() -> None:
        note(near.recv(1).decode())

    loop.add_reader(near, readable)

    def block() -> None:
        loop.call_later(0.001, note, "timer 1")
        loop.call_later(0.002, note, "timer 2")
        far.send(b"r")
        time.sleep(0.01)

    loop.call_soon(block)
    loop.run_forever()
    loop.remove_reader(near)
    near.close()
    far.close()
    assert ran == ["r", "timer 1", "timer 2"]


def test_what_readers_and_timers_schedule_waits_for_the_next_turn(
    loop: asyncio.AbstractEventLoop,
) -> None:
    pairs = [raw_pair("unix") for _ in range(3)]
    ran: list[str] = []

    def readable(number: int) -> None:
        pairs[number][0].recv(1)
        ran.append("reader")
        loop.call_soon(ran.append, "from reader")

    def timer() -> None:
        ran.append("timer")
        loop.call_soon(ran.append, "from timer")
        loop.call_soon(loop.stop)

    for number, (near, _) in enumerate(pairs):
        loop.add_reader(near, readable, number)

    def block() -> None:
        loop.call_later(0.001, timer)
        for _, far in pairs:
            far.send(b"x")
        time.sleep(0.01)

    loop.call_soon(block)
    loop.run_forever()
    for near, far in pairs:
        loop.remove_reader(near)
        near.close()
        far.close()
    assert ran == ["reader"] * 3 + ["timer"] + ["from reader"] * 3 + ["from timer"]


def test_what_data_received_schedules_runs_after_all_connections_of_the_poll(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        ran: list[str] = []

        class Noting(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                ran.append("data")
                loop.call_soon(ran.append, "scheduled")

        async with (
            connected("tcp", Noting) as (_, _, peer1),
            connected("tcp", Noting) as (_, _, peer2),
        ):
            peer1.send(b"x")
            peer2.send(b"x")
            time.sleep(0.01)
            await until(lambda: len(ran) == 4)
        return ran

    assert run(main) == ["data", "data", "scheduled", "scheduled"]


def test_a_running_loop_cannot_be_run_again(run: Run, is_stock: bool) -> None:
    if is_stock and sys.version_info[:2] == (3, 13):
        pytest.skip("stock 3.13 forgets that it runs when it refuses to run again")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert loop.is_running()
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_until_complete(loop.create_future())
        await asyncio.sleep(0)

    run(main)


def test_a_second_loop_cannot_run_inside_a_running_one(run: Run) -> None:
    async def main() -> None:
        other = run.factory()
        try:
            with pytest.raises(RuntimeError, match="another loop is running"):
                other.run_forever()
        finally:
            other.close()

    run(main)


def test_a_closed_loop_refuses_work(loop: asyncio.AbstractEventLoop) -> None:
    loop.close()
    loop.close()
    assert loop.is_closed()
    for call in (
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1, print),
        lambda: loop.call_at(1, print),
        lambda: loop.call_soon_threadsafe(print),
        lambda: loop.run_forever(),
    ):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call()


def test_a_running_loop_cannot_be_closed(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            asyncio.get_running_loop().close()

    run(main)
    assert asyncio._get_running_loop() is None


def test_run_until_complete_says_when_the_loop_stopped_too_early(
    loop: asyncio.AbstractEventLoop,
) -> None:
    future = loop.create_future()
    loop.call_soon(loop.stop)
    with pytest.raises(RuntimeError, match="Event loop stopped before Future completed"):
        loop.run_until_complete(future)
