"""`wait_for()`, the interpreter's and the native one, on both loops."""

from __future__ import annotations

import asyncio
import fractions
import gc
import sys
import weakref
from typing import Any

import pytest
from batuta import _batuta

from contract.combining import (
    Witness,
    answer,
    both,
    forever,
)
from loops import Run

pytestmark = both()


@pytest.mark.parametrize("limit", [None, 10, 10.0, fractions.Fraction(10)])
def test_wait_for_in_time(run: Run, aio: Any, limit: Any) -> None:
    async def main() -> None:
        assert await aio.wait_for(answer(), limit) == 42
        assert await aio.wait_for(asyncio.sleep(0.001, "x"), timeout=limit) == "x"
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, "future")
        assert await aio.wait_for(fut=future, timeout=limit) == "future"
        assert await aio.wait_for(future, limit) == "future"
        with pytest.raises(ZeroDivisionError):
            await aio.wait_for(divides(), limit)

    async def divides() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    run(main)


@pytest.mark.parametrize("debug", [False, True])
def test_wait_for_too_long(run: Run, aio: Any, debug: bool) -> None:
    async def main() -> None:
        cancelled: list[str] = []

        async def waits() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                cancelled.append("inner")
                raise

        with pytest.raises(TimeoutError) as caught:
            await aio.wait_for(waits(), 0.01)
        assert cancelled == ["inner"]
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await aio.wait_for(future, 0.01)
        assert future.cancelled()

    run(main, debug=debug)


@pytest.mark.parametrize("limit", [0, -1, 0.0])
def test_wait_for_no_time(run: Run, aio: Any, limit: float) -> None:
    async def main() -> None:
        begun: list[str] = []

        async def begins() -> None:
            begun.append("begun")

        with pytest.raises(TimeoutError):
            await aio.wait_for(begins(), limit)
        assert begun == []
        done = asyncio.get_running_loop().create_future()
        done.set_result("done")
        assert await aio.wait_for(done, limit) == "done"

    run(main)


def test_who_suppresses_the_cancellation_of_a_wait_for_returns(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def stubborn() -> str:
            try:
                await forever()
            except asyncio.CancelledError:
                return "stubborn"
            return "never"

        async def wrong() -> str:
            try:
                await forever()
            except asyncio.CancelledError:
                raise KeyError("wrong") from None
            return "never"

        assert await aio.wait_for(stubborn(), 0.001) == "stubborn"
        with pytest.raises(KeyError):
            await aio.wait_for(wrong(), 0.001)

    run(main)


def test_cancelling_a_wait_for_cancels_what_it_waits_for(run: Run, aio: Any) -> None:
    async def main() -> None:
        seen: list[tuple[object, ...]] = []

        async def waits() -> None:
            try:
                await forever()
            except asyncio.CancelledError as exc:
                seen.append(exc.args)
                raise

        task = asyncio.create_task(aio.wait_for(waits(), 3600))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == [("why",) if sys.version_info >= (3, 12) else ()]
        assert task.cancelled()

    run(main)


def test_wrong_arguments_of_wait_for(run: Run, aio: Any) -> None:
    async def main() -> None:
        for wrong in (
            lambda: aio.wait_for(),
            lambda: aio.wait_for(None),
            lambda: aio.wait_for(None, 1, 2),
            lambda: aio.wait_for(None, 1, loop=None),
        ):
            with pytest.raises(TypeError, match=r"wait_for\(\)"):
                wrong()

        async def awaits(thing: Any) -> None:
            await thing

        with pytest.raises(TypeError) as plain:
            await awaits(7)
        with pytest.raises(TypeError) as raised:
            await aio.wait_for(7, 1)
        if sys.version_info >= (3, 12):
            assert str(raised.value) == str(plain.value)

    run(main)


def test_a_wait_for_leaves_no_timer(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        await aio.wait_for(answer(), 3600)
        async with aio.timeout(3600):
            pass
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]
        if isinstance(loop, _batuta.NativeLoop):
            # Nor does anything else hold what was waited with.
            witness = Witness()
            reference = weakref.ref(witness)
            await aio.wait_for(answer(witness), 3600)
            del witness
            gc.collect()
            assert reference() is None

    run(main)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="`wait_for` waits in another way")
def test_the_timeout_has_the_cancellation_as_context_and_not_what_is_being_handled(
    run: Run, aio: Any
) -> None:
    async def main() -> None:
        try:
            raise KeyError("outer")
        except KeyError:
            with pytest.raises(TimeoutError) as caught:
                await aio.wait_for(forever(), 0.001)
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert caught.value.__context__ is caught.value.__cause__

    run(main)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="`wait_for` waits in another way")
def test_what_was_done_when_the_waiter_is_cancelled_has_that_as_context(run: Run, aio: Any) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(aio.wait_for(future, 10))
        await asyncio.sleep(0)
        future.set_exception(ValueError("done"))
        task.cancel()
        with pytest.raises(ValueError, match="done") as caught:
            await task
        assert isinstance(caught.value.__context__, asyncio.CancelledError)

    run(main)
