"""A loop's timers go by its own `time()`, and so by whatever a program has put in its place.

Tests do so to let hours pass at once: they replace `time()` in the loop, in its class or in a class
of their own, or `time.monotonic()`, which asyncio's `time()` asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import batuta
import pytest

from contract.support import turns
from loops import Run

HOUR = 3600.0
monotonic = time.monotonic


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = monotonic()

    def __call__(self, *_: Any) -> float:
        return self.now


Way = Callable[[asyncio.AbstractEventLoop, Clock], contextlib.AbstractContextManager[Any]]

WAYS: dict[str, Way] = {
    "in the loop": lambda loop, clock: mock.patch.object(loop, "time", clock),
    "in the class": lambda loop, clock: mock.patch.object(
        type(loop), "time", lambda *args: clock(*args)
    ),
    "of the system": lambda _, clock: mock.patch("time.monotonic", clock),
}
every_way = pytest.mark.parametrize("way", WAYS)
both_modules = pytest.mark.parametrize(
    "module", [pytest.param(asyncio, id="asyncio's"), pytest.param(batuta, id="batuta's")]
)


@contextlib.contextmanager
def replaced(way: str) -> Iterator[Clock]:
    clock = Clock()
    with WAYS[way](asyncio.get_running_loop(), clock):
        yield clock


async def sleeps(module: ModuleType) -> None:
    await module.sleep(HOUR)


async def times_out(module: ModuleType) -> None:
    with pytest.raises(TimeoutError):
        async with module.timeout(HOUR):
            await asyncio.get_running_loop().create_future()


async def times_out_at(module: ModuleType) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        async with module.timeout_at(loop.time() + HOUR):
            await loop.create_future()


async def waits_for(module: ModuleType) -> None:
    with pytest.raises(TimeoutError):
        await module.wait_for(asyncio.get_running_loop().create_future(), HOUR)


async def waits(module: ModuleType) -> None:
    never = asyncio.get_running_loop().create_future()
    assert await module.wait([never], timeout=HOUR) == (set(), {never})


async def is_called_later(_: ModuleType) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(HOUR, future.set_result, None)
    await future


async def is_called_at(_: ModuleType) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_at(loop.time() + HOUR, future.set_result, None)
    await future


Waiting = Callable[[ModuleType], Coroutine[Any, Any, None]]
WAITS: list[Waiting] = [
    *(sleeps, times_out, times_out_at, waits_for, waits, is_called_later, is_called_at)
]


@pytest.mark.parametrize("wait", WAITS)
@both_modules
@every_way
def test_an_hour_passes_when_the_clock_says_so(
    run: Run, way: str, module: ModuleType, wait: Waiting
) -> None:
    async def main() -> None:
        with replaced(way) as clock:
            task = asyncio.ensure_future(wait(module))
            await turns(3)
            clock.now += HOUR - 1
            await turns(5)
            assert not task.done()
            clock.now += 2
            await turns(5)
            assert task.done()
            await task

    run(main)


@pytest.mark.parametrize("wait", WAITS)
@both_modules
def test_a_clock_that_is_replaced_later_counts_as_well(
    run: Run, module: ModuleType, wait: Waiting
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(wait(module))
        await turns(3)
        with replaced("in the loop") as clock:
            clock.now += HOUR + 1
            await turns(5)
            assert task.done()
        await task

    run(main)


@every_way
def test_no_time_passes_while_the_clock_stands(run: Run, way: str) -> None:
    async def main() -> None:
        loop, fired = asyncio.get_running_loop(), []
        with replaced(way) as clock:
            handle = loop.call_later(0.001, fired.append, "late")
            assert handle.when() == clock.now + 0.001
            assert loop.time() == clock.now
            time.sleep(0.01)
            await turns(5)
            assert fired == []
        await asyncio.sleep(0.002)
        assert fired == ["late"]
        assert abs(loop.time() - monotonic()) < 0.1

    run(main)


@every_way
def test_steps_of_a_tenth_arrive(run: Run, way: str) -> None:
    """0.2 + 0.1 is a little more than 0.3: the resolution of the clock makes up for it."""

    async def main() -> None:
        with replaced(way) as clock:
            clock.now = 0.0
            passed: list[int] = []

            async def step() -> None:
                for number in range(8):
                    await asyncio.sleep(0.1)
                    passed.append(number)

            task = asyncio.ensure_future(step())
            for number in range(1, 9):
                await turns(4)
                clock.now = number / 10
            await turns(4)
            assert passed == list(range(8))
            await task

    run(main)


def test_the_resolution_may_be_a_programs_own(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        fired: list[float] = []
        with replaced("in the loop") as clock:
            clock.now = 1.0
            loop._clock_resolution = 0.5
            for when in (1.4, 1.6):
                loop.call_at(when, fired.append, when)
            await turns(3)
            assert fired == [1.4]

    run(main)


def test_the_module_that_asyncio_reads_the_time_from_may_be_replaced(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with mock.patch("asyncio.base_events.time") as module:
            module.monotonic.return_value = 5.0
            assert loop.time() == 5.0
            assert loop.call_later(1, int).when() == 6.0
        assert abs(loop.time() - monotonic()) < 0.1

    run(main)


def test_slow_callbacks_are_slow_by_the_loops_clock(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        with replaced("in the loop") as clock:

            def dawdle() -> None:
                clock.now += 7

            loop.call_soon(dawdle)
            await turns(3)
        loop.set_debug(False)

    run(main)
    assert any("took 7.000 seconds" in text for text in caplog.messages)


@every_way
def test_a_clock_that_goes_slowly_is_waited_for(run: Run, way: str) -> None:
    async def main() -> None:
        start = monotonic()
        with replaced(way) as clock:

            def at_half_speed(*_: Any) -> float:
                return clock.now + (monotonic() - start) / 2

            with mock.patch.object(Clock, "__call__", at_half_speed):
                await asyncio.sleep(0.01)
        assert 0.02 <= monotonic() - start < 1

    run(main)


def loop_class(run: Run) -> Any:
    loop = run.factory()
    loop.close()
    return type(loop)


def test_a_class_of_a_programs_own_may_have_another_clock(run: Run) -> None:
    class Loop(loop_class(run)):  # type: ignore[misc]
        offset = 0.0

        def time(self) -> float:
            return super().time() + self.offset

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        fired: list[str] = []
        loop.call_later(HOUR, fired.append, "by another")
        await turns(3)
        assert fired == []
        loop.offset = HOUR
        await turns(3)
        assert fired == ["by another"]

    Run(Loop)(main)


def test_timers_are_set_by_call_at(run: Run) -> None:
    class Loop(loop_class(run)):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Any] = []

        def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
            self.seen.append((callback, args))
            return super().call_at(when, callback, *args, context=context)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        fired: list[int] = []
        handle = loop.call_later(0.001, fired.append, 1)
        assert loop.seen.pop() == (fired.append, (1,))
        assert isinstance(handle, asyncio.TimerHandle)
        for module in (asyncio, batuta):
            await module.sleep(0.002)
            assert len(loop.seen) == 1
            loop.seen.clear()
        assert fired == [1]
        with pytest.raises(TypeError):
            loop.call_later(None, fired.append)

    Run(Loop)(main)


@every_way
def test_what_a_clock_raises_ends_the_run(run: Run, way: str) -> None:
    """As anything does that the loop itself runs into; the loop is whole and may run again."""
    loop = run.factory()
    try:
        fired: list[str] = []
        loop.call_later(0.001, fired.append, "fired")

        def broken(*_: Any) -> float:
            raise LookupError

        with WAYS[way](loop, broken), pytest.raises(LookupError):  # type: ignore[arg-type]
            loop.run_forever()
        assert not loop.is_running()
        loop.run_until_complete(asyncio.sleep(0.005))
        assert fired == ["fired"]
    finally:
        loop.close()


def test_other_changes_of_the_time_module_mean_nothing(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with mock.patch.object(time, "something_new", 1, create=True):
            before = monotonic()
            assert before <= loop.time() <= monotonic()
            await asyncio.sleep(0.001)
        with mock.patch("time.monotonic", return_value=5.0):
            assert loop.time() == 5.0
        before = monotonic()
        assert before <= loop.time() <= monotonic()

    run(main)
