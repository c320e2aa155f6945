"""`timeout()` and `timeout_at()`, the interpreter's and the native ones, on both loops; what they,
`wait_for()` and `sleep()` have alike."""

from __future__ import annotations

import asyncio
import contextvars
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
    dies,
    forever,
    leaves_the_memory_as_it_was,
    looks_like,
)
from loops import Run

pytestmark = both()


def test_a_timeout_in_time(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        async with aio.timeout(10) as timeout:
            assert isinstance(timeout, asyncio.Timeout)
            assert before + 10 <= timeout.when() <= loop.time() + 10
            assert repr(timeout) == f"<Timeout [active] when={round(timeout.when(), 3)}>"
            await asyncio.sleep(0)
        assert not timeout.expired()
        assert repr(timeout) == "<Timeout [finished]>"
        for state in ("created", "active", "expiring", "expired", "finished"):
            assert repr(timeout._state).startswith("<_State.")
            assert any(member.value == state for member in type(timeout._state))

    run(main)


@pytest.mark.parametrize("debug", [False, True])
def test_a_timeout_that_expires(run: Run, aio: Any, debug: bool) -> None:
    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        timeout = aio.timeout(0.01)
        assert repr(timeout) == "<Timeout [created]>"
        with pytest.raises(TimeoutError) as caught:
            async with timeout:
                await forever()
        assert isinstance(caught.value.__cause__, asyncio.CancelledError)
        assert timeout.expired()
        assert repr(timeout) == "<Timeout [expired]>"
        assert task.cancelling() == 0

    run(main, debug=debug)


@pytest.mark.parametrize("debug", [False, True])
def test_a_timeout_cancels_without_an_argument(run: Run, aio: Any, debug: bool) -> None:
    class Own(asyncio.Task):  # type: ignore[type-arg]
        asked = 0

        def cancel(self) -> bool:  # type: ignore[override]
            self.asked += 1
            return super().cancel()

    class OwnNative(_batuta.Task):  # type: ignore[type-arg]
        asked = 0

        def cancel(self) -> bool:  # type: ignore[override]
            self.asked += 1
            return super().cancel()

    async def wait_too_long() -> None:
        async with aio.timeout(0.01):
            await forever()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for kind in (Own, OwnNative):
            task: Any = kind(wait_too_long(), loop=loop)
            with pytest.raises(TimeoutError):
                await asyncio.shield(task)
            assert task.asked == 1
            assert task.cancelling() == 0

    run(main, debug=debug)


@pytest.mark.parametrize("delay", [0, -1])
def test_a_timeout_of_no_time_expires_at_the_next_wait(run: Run, aio: Any, delay: float) -> None:
    async def main() -> None:
        order: list[str] = []
        with pytest.raises(TimeoutError):
            async with aio.timeout(delay):
                order.append("inside")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                order.append("too far")
        assert order == ["inside"]
        async with aio.timeout(delay) as timeout:
            pass
        assert not timeout.expired()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main)


def test_no_timeout(run: Run, aio: Any) -> None:
    async def main() -> None:
        async with aio.timeout(None) as timeout:
            assert timeout.when() is None
            assert repr(timeout) == "<Timeout [active] when=None>"
        async with aio.timeout_at(None):
            pass

    run(main)


def test_rescheduling(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        timeout = aio.timeout_at(loop.time() + 3600)
        with pytest.raises(RuntimeError, match="Timeout has not been entered"):
            timeout.reschedule(1)
        with pytest.raises(TimeoutError):
            async with timeout:
                timeout.reschedule(None)
                assert timeout.when() is None
                when = loop.time() + 0.01
                timeout.reschedule(when)
                assert timeout.when() == when
                await forever()
        assert loop.time() >= when
        with pytest.raises(RuntimeError, match="Cannot change state of expired Timeout"):
            timeout.reschedule(1)

    run(main)


def test_a_timeout_is_entered_once_and_by_a_task(run: Run, aio: Any) -> None:
    async def main() -> None:
        timeout = aio.timeout(10)
        async with timeout:
            with pytest.raises(RuntimeError, match="Timeout has already been entered"):
                async with timeout:
                    pass

        caught: list[BaseException] = []

        def outside() -> None:
            try:
                aio.timeout(10).__aenter__().send(None)
            except RuntimeError as exc:
                caught.append(exc)

        asyncio.get_running_loop().call_soon(outside)
        await asyncio.sleep(0)
        assert str(caught[0]) == "Timeout should be used inside a task"

    run(main)


def test_a_cancellation_from_outside_is_no_timeout(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def waits() -> None:
            async with aio.timeout(0.01):
                try:
                    await forever()
                finally:
                    # The time is over, and the task is cancelled from outside as well.
                    task.cancel()

        task = asyncio.create_task(waits())
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_another_exception_goes_through_a_timeout(run: Run, aio: Any) -> None:
    async def main() -> None:
        with pytest.raises(ZeroDivisionError):
            async with aio.timeout(10):
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError) as caught:
            async with aio.timeout(0.001):
                try:
                    await forever()
                except asyncio.CancelledError:
                    raise ZeroDivisionError from None
        context = caught.value.__context__
        if sys.version_info >= (3, 13):
            assert isinstance(context, TimeoutError)
        else:
            assert isinstance(context, asyncio.CancelledError)

    run(main)


def test_the_inner_of_two_timeouts_expires(run: Run, aio: Any) -> None:
    async def main() -> None:
        async with aio.timeout(10) as outer:
            with pytest.raises(TimeoutError):
                async with aio.timeout(0.001) as inner:
                    await forever()
        assert inner.expired()
        assert not outer.expired()

    run(main)


def test_who_asks_for_the_handle_gets_one(run: Run, aio: Any) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with aio.timeout(0.01) as timeout:
                handle = timeout._timeout_handler
                assert isinstance(handle, asyncio.TimerHandle)
                assert timeout._timeout_handler is handle
                assert handle.when() == timeout.when()
                await forever()
        async with aio.timeout(3600) as timeout:
            handle = timeout._timeout_handler
        assert handle.cancelled()

    run(main)


# All of them


@pytest.mark.parametrize("debug", [False, True])
def test_contexts_stay_apart(run: Run, aio: Any, debug: bool) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")

    async def main() -> None:
        async def sleeps(number: int) -> int:
            variable.set(number)
            await aio.sleep(0.001)
            async with aio.timeout(10):
                await aio.sleep(0)
            await aio.wait_for(aio.sleep(0), 10)
            return variable.get()

        assert await asyncio.gather(*[sleeps(n) for n in range(5)]) == list(range(5))

    run(main, debug=debug)


def test_they_look_like_stocks(aio: Any) -> None:
    for name in ("sleep", "wait_for", "timeout", "timeout_at"):
        looks_like(getattr(aio, name), getattr(asyncio, name))
    for name in ("__aenter__", "__aexit__", "reschedule"):
        looks_like(getattr(aio.Timeout, name), getattr(asyncio.Timeout, name))


# Life and death


def test_they_let_go_of_what_they_waited_for(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def sleeps(witness: Witness) -> None:
            assert await aio.sleep(0.001, witness) is witness

        async def waits(witness: Witness) -> None:
            assert await aio.wait_for(answer(witness), 10) is witness

        async def fails(witness: Witness) -> None:
            async def raises() -> None:
                raise ValueError(witness)

            with pytest.raises(ValueError):
                await aio.wait_for(raises(), 10)

        async def expires(witness: Witness) -> None:
            async def holds() -> object:
                await forever()
                return witness

            with pytest.raises(TimeoutError):
                await aio.wait_for(holds(), 0.001)
            with pytest.raises(TimeoutError):
                async with aio.timeout(0.001):
                    await holds()

        for make in (sleeps, waits, fails, expires):
            await dies(make)

    run(main)


def test_cycles_are_collected(run: Run, aio: Any) -> None:
    async def main() -> None:
        # Nobody but the cycle itself holds the coroutines.
        for make in (lambda it: aio.sleep(0, it), lambda it: aio.wait_for(it[0], None)):
            witness = Witness()
            reference = weakref.ref(witness)
            box: list[Any] = [asyncio.get_running_loop().create_future(), witness]
            coroutine = make(box)
            coroutine.send(None)
            box.append(coroutine)
            box[0].add_done_callback(box.append)
            del box, witness, coroutine
            gc.collect()
            assert reference() is None

    run(main)


def test_many_leave_the_memory_as_it_was(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def round_of(count: int) -> None:
            for _ in range(count):
                await aio.sleep(0)
                await aio.wait_for(answer(), 10)
                async with aio.timeout(10):
                    pass
            for _ in range(count // 100):
                sleepers = [asyncio.create_task(aio.sleep(3600)) for _ in range(10)]
                await asyncio.sleep(0)
                for sleeper in sleepers:
                    sleeper.cancel()
                await asyncio.wait(sleepers)

        await leaves_the_memory_as_it_was(round_of)

    run(main)


def test_a_cancel_of_the_programs_own_runs_in_a_copy_of_the_tasks_context(
    run: Run, aio: Any
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    class Own(asyncio.Future[None]):
        def cancel(self, msg: object = None) -> bool:
            seen.append(variable.get())
            variable.set("its own")
            return super().cancel(msg)

    async def main() -> None:
        variable.set("the task's")
        with pytest.raises(TimeoutError):
            async with aio.timeout(0.01):
                await Own()
        if sys.version_info >= (3, 12):  # before, the task itself cancels what it waits for
            with pytest.raises(TimeoutError):
                await aio.wait_for(Own(), 0.01)
        assert set(seen) == {"the task's"}
        assert variable.get() == "the task's"

    run(main)


def test_a_subclass_of_task_is_cancelled_in_its_context(run: Run, aio: Any) -> None:
    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="-")
    seen: list[str] = []

    class Traced(asyncio.Task):  # type: ignore[type-arg]
        def cancel(self, msg: Any = None) -> bool:
            seen.append(request.get())
            return super().cancel(msg)

    async def handler() -> None:
        request.set("r-17")
        with pytest.raises(TimeoutError):
            async with aio.timeout(0.001):
                await asyncio.sleep(30)

    async def main() -> None:
        await Traced(handler(), loop=asyncio.get_running_loop())

    run(main)
    assert seen == ["r-17"]
