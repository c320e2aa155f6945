"""run_in_executor(): results, errors, cancellation both ways, other executors, replaced parts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from contract.support import turns, until
from loops import Report, Run


class ByHand(concurrent.futures.Executor):
    """Runs nothing: the test completes the futures itself."""

    def __init__(self, kind: Callable[[], Future[Any]] = Future) -> None:
        self.kind = kind
        self.submitted: list[tuple[Any, ...]] = []
        self.futures: list[Future[Any]] = []

    def submit(self, /, *call: Any, **_: Any) -> Future[Any]:
        self.submitted.append(call)
        self.futures.append(self.kind())
        return self.futures[-1]


async def first_use(loop: asyncio.AbstractEventLoop) -> None:
    """The default executor is made by the first call that needs it."""
    await loop.run_in_executor(None, int)


def test_the_result_comes_from_a_thread_of_the_default_executor(run: Run) -> None:
    def work(*numbers: int) -> tuple[int, str]:
        return sum(numbers), threading.current_thread().name

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            future = loop.run_in_executor(None, work, 1, 2, 3)
            assert isinstance(future, asyncio.Future)
            assert future.get_loop() is loop
            total, name = await future
            assert total == 6
            assert name.startswith("asyncio_")
        # Which of its threads: a result may come before its thread counts as idle again.
        total, name = await asyncio.to_thread(work, 4)
        assert total == 4
        assert name.startswith("asyncio_")

    run(main)


def test_the_chosen_default_executor_is_used(run: Run) -> None:
    def name() -> str:
        return threading.current_thread().name

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await first_use(loop)
        with ThreadPoolExecutor(1, thread_name_prefix="chosen") as chosen:
            loop.set_default_executor(chosen)
            assert await loop.run_in_executor(None, name) == "chosen_0"
            with ThreadPoolExecutor(1, thread_name_prefix="given") as given:
                assert await loop.run_in_executor(given, name) == "given_0"
            await loop.shutdown_default_executor()
            with pytest.raises(RuntimeError, match="Executor shutdown has been called"):
                loop.run_in_executor(None, name)

    run(main)


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyError(1), concurrent.futures.TimeoutError()]
)
def test_what_the_function_raises(run: Run, error: Exception) -> None:
    def work() -> None:
        raise error

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await first_use(loop)
        with pytest.raises(type(error)) as raised:
            await loop.run_in_executor(None, work)
        assert raised.value.args == error.args

    run(main)


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (concurrent.futures.CancelledError("why"), asyncio.CancelledError),
        (concurrent.futures.InvalidStateError("odd"), asyncio.InvalidStateError),
    ],
)
def test_errors_of_executors_become_asyncios_own(
    run: Run, error: Exception, seen: type[BaseException]
) -> None:
    async def main() -> None:
        executor = ByHand()
        future = asyncio.get_running_loop().run_in_executor(executor, int)
        executor.futures[0].set_exception(error)
        with pytest.raises(seen) as raised:
            await future
        assert raised.value.args == error.args

    run(main)


def test_a_result_in_a_later_turn(run: Run) -> None:
    async def main() -> None:
        executor = ByHand()
        future = asyncio.get_running_loop().run_in_executor(executor, print, 1)
        assert executor.submitted == [(print, 1)]
        await turns(2)
        assert not future.done()
        thread = threading.Thread(target=executor.futures[0].set_result, args=("done",))
        thread.start()
        thread.join()
        assert not future.done()
        await turns(1)
        assert future.done()
        assert await future == "done"

    run(main)


def test_an_executor_that_has_done_it_already(run: Run) -> None:
    class AtOnce(ByHand):
        def submit(self, /, *call: Any, **_: Any) -> Future[Any]:
            done = super().submit(*call)
            done.set_result(call)
            return done

    async def main() -> None:
        future = asyncio.get_running_loop().run_in_executor(AtOnce(), int, 5)
        assert await future == (int, 5)

    run(main)


def test_cancelling_the_loops_future_cancels_what_has_not_begun(run: Run) -> None:
    async def main() -> None:
        executor = ByHand()
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(executor, int)
        assert future.cancel()
        assert not executor.futures[0].cancelled()
        await turns(1)
        assert executor.futures[0].cancelled()
        await turns(2)
        assert future.cancelled()
        running = loop.run_in_executor(executor, int)
        executor.futures[1].set_running_or_notify_cancel()
        running.cancel()
        await turns(2)
        assert executor.futures[1].running()
        executor.futures[1].set_result(1)
        await turns(2)
        assert running.cancelled()

    run(main)


def test_cancelling_the_executors_future_cancels_the_loops(run: Run) -> None:
    async def main() -> None:
        executor = ByHand()
        future = asyncio.get_running_loop().run_in_executor(executor, int)
        executor.futures[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        assert future.cancelled()

    run(main)


def test_a_cancelled_task_does_not_wait_for_the_thread(run: Run) -> None:
    async def main() -> None:
        go_on = threading.Event()
        task = asyncio.ensure_future(asyncio.to_thread(go_on.wait, 30))
        await until(lambda: threading.active_count() > 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    run(main)


def test_a_future_that_somebody_else_completes_is_an_error(run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        executor = ByHand()
        future = asyncio.get_running_loop().run_in_executor(executor, int)
        future.set_result("mine")
        executor.futures[0].set_result("theirs")
        await turns(3)
        assert await future == "mine"

    run(main, reports=reports)
    # From 3.14 on asyncio says nothing.
    expected = [AssertionError] * (sys.version_info < (3, 14))
    assert [type(report["exception"]) for report in reports] == expected


def test_an_outcome_after_the_loop_is_closed_is_dropped(run: Run) -> None:
    executor = ByHand()

    async def main() -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(executor, int)

    future = run(main)
    executor.futures[0].set_result(1)
    assert not future.done()


def test_futures_of_subclasses_are_wrapped(run: Run) -> None:
    class Doubling(Future[int]):
        def result(self, timeout: float | None = None) -> int:
            return 2 * super().result(timeout)

        def _get_snapshot(self) -> Any:
            done, cancelled, result, exception = super()._get_snapshot()  # type: ignore[misc]
            return done, cancelled, 2 * result, exception

    async def main() -> None:
        executor = ByHand(Doubling)
        future = asyncio.get_running_loop().run_in_executor(executor, int)
        executor.futures[0].set_result(21)
        assert await future == 42

    run(main)


def test_a_replaced_call_soon_threadsafe_is_called(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        calls = []
        original = loop.call_soon_threadsafe

        def replaced(*args: Any, **kwargs: Any) -> Any:
            calls.append(args)
            return original(*args, **kwargs)

        executor = ByHand()
        first = loop.run_in_executor(executor, int)
        executor.futures[0].set_result(1)
        await first
        loop.call_soon_threadsafe = replaced
        second = loop.run_in_executor(executor, int)
        thread = threading.Thread(target=executor.futures[1].set_result, args=(2,))
        thread.start()
        thread.join()
        assert await second == 2
        assert len(calls) == 1

    run(main)


def test_debug_mode_checks_the_function(run: Run) -> None:
    async def main() -> None:
        async def work() -> None:
            pass

        loop = asyncio.get_running_loop()
        with pytest.raises(TypeError, match="coroutines cannot be used with run_in_executor"):
            loop.run_in_executor(None, work)
        with pytest.raises(TypeError, match="a callable object was expected by run_in_executor"):
            loop.run_in_executor(None, 7)  # type: ignore[arg-type]

    run(main, debug=True)


def test_arguments_that_do_not_fit(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for call in (
            lambda: loop.run_in_executor(),
            lambda: loop.run_in_executor(None),
            lambda: loop.run_in_executor(None, int, base=2),
        ):
            with pytest.raises(TypeError, match=r"run_in_executor\(\) (missing|got)"):
                call()
        with pytest.raises(AttributeError, match="submit"):
            loop.run_in_executor(object(), int)
        assert list(inspect.signature(loop.run_in_executor).parameters) == [
            "executor",
            "func",
            "args",
        ]

    run(main)


def test_a_closed_loop_refuses(run: Run) -> None:
    loop = run.factory()
    loop.close()
    executor = ByHand()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.run_in_executor(executor, int)
    assert executor.submitted == []


def test_nothing_is_left_behind(run: Run) -> None:
    class Result:
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await first_use(loop)
        gc.collect()
        gc.disable()
        try:
            result = await loop.run_in_executor(None, Result)
            left = weakref.ref(result)
            del result
            await until(lambda: left() is None, "the result is freed without the collector")
        finally:
            gc.enable()

    run(main)


def test_many_calls_from_many_threads_at_once(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as pool:
            calls = [loop.run_in_executor(pool, divmod, number, 7) for number in range(2000)]
            # From 3.14 on a call that the pool was quick with is done already.
            cancelled = {number for number in range(0, 2000, 3) if calls[number].cancel()}
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if number in cancelled:
                assert isinstance(outcome, asyncio.CancelledError)
            else:
                assert outcome == divmod(number, 7)
        assert cancelled

    run(main)
