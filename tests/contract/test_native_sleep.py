"""`sleep()`, the interpreter's and the native one, on both loops."""

from __future__ import annotations

import asyncio
import decimal
import fractions
import inspect
import math
import sys
import time
from typing import Any

import pytest

from contract.combining import (
    both,
)
from loops import Run

pytestmark = both()


async def answer(value: object = 42) -> object:
    return value


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_a_sleep_lasts_as_long_as_it_should(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (0.02, fractions.Fraction(1, 50)):
            begin = loop.time()
            assert await aio.sleep(delay, "result") == "result"
            assert loop.time() - begin >= delay

    run(main)


def test_no_time_is_one_turn(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for delay in (0, -1, 0.0, -math.inf, decimal.Decimal(0)):
            order: list[str] = []
            loop.call_soon(order.append, "first")
            loop.call_soon(loop.call_soon, order.append, "second")
            assert await aio.sleep(delay, result=order) is order
            assert order == ["first"]
            await asyncio.sleep(0)
            assert order == ["first", "second"]

    run(main)


def test_sleepers_wake_in_the_order_of_their_times(run: Run, aio: Any) -> None:
    async def main() -> None:
        order: list[int] = []

        async def sleeps(number: int, delay: float) -> None:
            await aio.sleep(delay)
            order.append(number)

        await asyncio.gather(*[sleeps(n, d) for n, d in enumerate([0.02, 0.001, 0.01, 0.001])])
        assert order == [1, 3, 2, 0]

    run(main)


def test_a_sleep_ends_a_turn_after_its_time(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        sleeper = asyncio.create_task(aio.sleep(0.01))
        await asyncio.sleep(0)
        when = loop.time() + 0.01
        sleeper.add_done_callback(lambda _: order.append("sleeper"))
        loop.call_at(when, lambda: (order.append("timer"), loop.call_soon(order.append, "soon")))
        time.sleep(0.03)
        await sleeper
        await asyncio.sleep(0)
        assert order == ["timer", "soon", "sleeper"]

    run(main)


def test_a_cancelled_sleep_leaves_no_timer(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        sleeper = asyncio.create_task(aio.sleep(3600))
        await asyncio.sleep(0)
        sleeper.cancel("enough")
        with pytest.raises(asyncio.CancelledError) as caught:
            await sleeper
        assert caught.value.args == ("enough",)
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]

    run(main)


def test_an_endless_sleep_can_be_cancelled(run: Run, aio: Any) -> None:
    async def main() -> None:
        sleeper = asyncio.create_task(aio.sleep(1e9))
        await aio.sleep(0.001)
        assert not sleeper.done()
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper

    run(main)


def test_wrong_delays(run: Run, aio: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError):
            await aio.sleep("1")
        with pytest.raises(TypeError):
            await aio.sleep(None)
        if sys.version_info >= (3, 13):
            with pytest.raises(ValueError, match="Invalid delay: NaN"):
                await aio.sleep(math.nan)
        for wrong in (lambda: aio.sleep(), lambda: aio.sleep(1, 2, 3), lambda: aio.sleep(1, x=2)):
            with pytest.raises(TypeError, match=r"sleep\(\)"):
                wrong()

    run(main)


def test_without_a_loop_it_says_so(aio: Any) -> None:
    for coroutine in (aio.sleep(1), aio.wait_for(None, 1)):
        with pytest.raises(RuntimeError, match="no running event loop"):
            coroutine.send(None)
    with pytest.raises(RuntimeError, match="no running event loop"):
        aio.timeout(1)


def test_a_sleep_is_a_coroutine(aio: Any) -> None:
    coroutine = aio.sleep(0, "result")
    assert inspect.isawaitable(coroutine)
    assert asyncio.iscoroutine(coroutine)
    assert repr(coroutine).startswith("<coroutine object sleep at 0x")
    assert coroutine.__qualname__ == "sleep"
    assert coroutine.send(None) is None
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value == "result"
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        coroutine.send(None)
    with pytest.warns(RuntimeWarning, match="coroutine 'sleep' was never awaited"):
        aio.sleep(0)  # dies at once


def test_a_patched_timer_is_used(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        delays: list[float] = []
        original = loop.call_later

        def spy(delay: float, callback: Any, *args: Any, **keywords: Any) -> Any:
            delays.append(delay)
            return original(0, callback, *args, **keywords)

        loop.call_later = spy
        try:
            assert await aio.sleep(1234, "soon") == "soon"
        finally:
            del loop.call_later
        assert delays == [1234]

    run(main)
