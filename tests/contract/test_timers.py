"""Timers: never early, equal times in order of creation, cancelled ones cost nothing."""

from __future__ import annotations

import asyncio
import contextvars
import math
import random
import sys
import time
import weakref
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from loops import Run


@pytest.mark.parametrize("start", [0, 1, 2])
def test_timers_never_fire_early(run: Run, start: int) -> None:
    """Stock allows itself one tick of the clock; that tick is the whole tolerance."""
    tick = time.get_clock_info("monotonic").resolution
    shuffled = random.Random(start)
    delays = [step * 0.00013 for step in range(300)] + [1e-9, 1e-6, 0.05, 0.1]
    shuffled.shuffle(delays)

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        errors: list[float] = []
        all_fired = loop.create_future()

        def fire(due: float) -> None:
            errors.append(time.monotonic() - due)
            if len(errors) == len(delays):
                all_fired.set_result(None)

        for delay in delays:
            due = time.monotonic() + delay
            loop.call_later(delay, fire, due)
        await all_fired
        return errors

    assert min(run(main)) >= -tick


def test_sleep_never_returns_early(run: Run) -> None:
    tick = time.get_clock_info("monotonic").resolution

    async def main() -> None:
        for delay in (0.0001, 0.0004, 0.0009, 0.0011, 0.0023, 0.0106):
            for _ in range(10):
                before = time.monotonic()
                await asyncio.sleep(delay)
                assert time.monotonic() - before >= delay - tick

    run(main)


def test_the_time_of_the_loop_is_the_monotonic_clock(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(1000):  # also within one turn: no cached time
            before, now, after = time.monotonic(), loop.time(), time.monotonic()
            assert before <= now <= after

    run(main)


def test_the_time_of_the_loop_goes_on_within_a_turn(run: Run) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        time.sleep(0.02)
        return loop.time() - before

    assert run(main) >= 0.02


def test_equal_times_fire_in_order_of_creation(loop: asyncio.AbstractEventLoop) -> None:
    fired: list[int] = []
    due = loop.time() + 0.01
    for number in range(20):  # few: stock's heap keeps no order of its own among equal times
        loop.call_at(due + number * 1e-6, fired.append, number)
    loop.call_at(due + 0.01, loop.stop)
    loop.run_forever()
    assert fired == list(range(20))


def test_timers_fire_in_order_of_time_not_of_creation(loop: asyncio.AbstractEventLoop) -> None:
    fired: list[int] = []
    start = loop.time() + 0.01
    numbers = list(range(200))
    random.Random(1).shuffle(numbers)
    for number in numbers:
        loop.call_at(start + number * 1e-5, fired.append, number)
    loop.call_at(start + 0.02, loop.stop)
    loop.run_forever()
    assert fired == list(range(200))


def test_timers_that_are_due_together_keep_their_order_when_the_loop_was_late(
    loop: asyncio.AbstractEventLoop,
) -> None:
    fired: list[int] = []
    now = loop.time()
    for number in reversed(range(50)):
        loop.call_at(now + number * 1e-4, fired.append, number)
    loop.call_soon(time.sleep, 0.02)
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    assert fired == list(range(50))


@pytest.mark.parametrize("delay", [0, -1, -1e-9, -1e9, -math.inf])
def test_delays_that_are_not_positive_fire_at_once(run: Run, delay: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fired = loop.create_future()
        loop.call_later(delay, fired.set_result, None)
        await asyncio.wait_for(fired, 10)

    run(main)


@pytest.mark.parametrize("delay", [1e6, 1e9, 1e15, 1e300, math.inf])
def test_huge_delays_do_not_fire_and_do_not_keep_others_from_firing(run: Run, delay: float) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        fired: list[str] = []
        handle = loop.call_later(delay, fired.append, "never")
        loop.call_later(0.01, fired.append, "soon")
        await asyncio.sleep(0.02)
        handle.cancel()
        return fired

    assert run(main) == ["soon"]


def test_a_loop_that_only_waits_for_a_huge_delay_wakes_for_a_thread(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        handle = loop.call_later(1e12, print)
        assert await asyncio.to_thread(int, "5") == 5
        handle.cancel()

    run(main)


def test_call_later_and_call_at_refuse_none(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(TypeError):
        loop.call_later(None, print)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        loop.call_at(None, print)  # type: ignore[arg-type]


@pytest.mark.parametrize("delay", [Decimal("0.01"), timedelta(seconds=1), "1", [1]], ids=type)
def test_a_delay_must_go_with_the_time(loop: asyncio.AbstractEventLoop, delay: Any) -> None:
    with pytest.raises(TypeError) as refused:
        loop.call_later(delay, print)
    with pytest.raises(TypeError) as expected:
        loop.time() + delay
    assert str(refused.value) == str(expected.value)


def test_a_delay_may_be_any_number_that_goes_with_the_time(run: Run) -> None:
    class Seconds(float):
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (Fraction(1, 100), Seconds(0.01), True * 0):
            future = loop.create_future()
            begin = loop.time()
            handle = loop.call_later(delay, future.set_result, None)  # type: ignore[arg-type]
            assert abs(handle.when() - begin - delay) < 1
            await future
            assert loop.time() - begin >= delay - 1e-6

    run(main)


def test_integer_times_are_taken(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        loop.call_later(0, first.set_result, 1)
        loop.call_at(int(loop.time()), second.set_result, 2)
        assert await first + await second == 3

    run(main)


def test_a_timer_cancelled_before_its_time_does_not_fire(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        fired: list[str] = []
        handle = loop.call_later(0.001, fired.append, "cancelled")
        loop.call_later(0.002, fired.append, "kept")
        handle.cancel()
        handle.cancel()
        await asyncio.sleep(0.02)
        return fired

    assert run(main) == ["kept"]


def test_a_timer_cancelled_by_one_that_fires_in_the_same_turn_does_not_fire(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        fired: list[str] = []

        def first() -> None:
            fired.append("first")
            second.cancel()

        loop.call_later(0.001, first)
        second = loop.call_later(0.002, fired.append, "second")
        time.sleep(0.01)  # both are due in one turn
        await asyncio.sleep(0.02)
        return fired

    assert run(main) == ["first"]


def test_cancelling_a_timer_that_fired_does_nothing(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fired: list[int] = []
        handle = loop.call_later(0, fired.append, 1)
        await asyncio.sleep(0.01)
        handle.cancel()
        assert handle.cancelled()
        await asyncio.sleep(0.01)
        assert fired == [1]

    run(main)


def test_a_cancelled_timer_lets_go_of_its_callback(run: Run) -> None:
    class Payload:
        def call(self) -> None: ...

    async def main() -> None:
        payload = Payload()
        alive = weakref.ref(payload)
        handle = asyncio.get_running_loop().call_later(1000, payload.call)
        handle.cancel()
        del payload
        assert alive() is None

    run(main)


def test_many_cancelled_timers_release_their_memory(run: Run) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        kept = loop.call_later(1000, print)
        await asyncio.sleep(0)
        before = sys.getallocatedblocks()
        for _ in range(100):
            for handle in [loop.call_later(3600 + n, print, n) for n in range(1000)]:
                handle.cancel()
            await asyncio.sleep(0)
        after = sys.getallocatedblocks()
        kept.cancel()
        return after - before

    assert run(main) < 10_000  # 100,000 timers of several blocks each


def test_a_timer_that_fired_lets_go_of_its_callback(run: Run) -> None:
    class Payload:
        def call(self) -> None: ...

    async def main() -> None:
        loop = asyncio.get_running_loop()
        payload = Payload()
        alive = weakref.ref(payload)
        loop.call_later(0, payload.call)
        del payload
        await asyncio.sleep(0.01)
        assert alive() is None

    run(main)


def test_timers_take_a_context(run: Run) -> None:
    name = contextvars.ContextVar("name", default="outer")
    context = contextvars.copy_context()
    context.run(name.set, "given")

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []

        def note() -> None:
            seen.append(name.get())

        loop.call_later(0, note, context=context)
        loop.call_at(loop.time(), note, context=context)
        loop.call_later(0, note)
        await asyncio.sleep(0.02)
        return seen

    assert run(main) == ["given", "given", "outer"]


def test_timers_may_be_set_while_the_loop_does_not_run(loop: asyncio.AbstractEventLoop) -> None:
    fired: list[float] = []
    due = loop.time() + 0.01
    loop.call_at(due, lambda: fired.append(loop.time()))
    loop.call_at(due + 0.001, loop.stop)
    loop.run_forever()
    assert fired
    assert fired[0] >= due
