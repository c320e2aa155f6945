"""`wait()`, the interpreter's and the native one, on both loops."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from batuta import _batuta

from contract.combining import Witness, both, dies, leaves_the_memory_as_it_was, looks_like
from loops import Run

pytestmark = both()

Futures = list[asyncio.Future[Any]]


async def answer(value: object = 42) -> object:
    return value


def pending(count: int) -> Futures:
    return [asyncio.get_running_loop().create_future() for _ in range(count)]


@pytest.mark.parametrize("collection", [list, tuple, set, frozenset, iter, dict.fromkeys])
@pytest.mark.parametrize("debug", [False, True])
def test_all_of_them(run: Run, aio: Any, collection: Any, debug: bool) -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(0.001 * n, n)) for n in range(5)]
        done, left = await aio.wait(collection(tasks))
        assert (done, left) == (set(tasks), set())
        assert all(not task._callbacks for task in tasks)
        assert await aio.wait(collection(tasks)) == (set(tasks), set())

    run(main, debug=debug)


def test_the_first_one(run: Run, aio: Any) -> None:
    async def main() -> None:
        first, second, third = futures = pending(3)
        asyncio.get_running_loop().call_soon(second.set_result, None)
        done, left = await aio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        assert (done, left) == ({second}, {first, third})
        assert not first._callbacks
        assert not third._callbacks

    run(main)


def test_the_first_exception(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second, third, fourth = futures = pending(4)
        loop.call_soon(first.set_result, None)
        loop.call_soon(second.cancel)
        loop.call_soon(third.set_exception, ValueError())
        done, left = await aio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
        assert (done, left) == ({first, second, third}, {fourth})
        # It was looked at by the wait.
        assert third._log_traceback is False

    run(main)


def test_exceptions_are_nobodys_business_otherwise(run: Run, aio: Any) -> None:
    async def main() -> None:
        [future] = pending(1)
        future.set_exception(ValueError())
        assert await aio.wait([future]) == ({future}, set())
        assert future._log_traceback is True
        future.exception()

    run(main)


@pytest.mark.parametrize("timeout", [0.01, 0, -1])
def test_a_timeout_is_no_error(run: Run, aio: Any, timeout: float) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        begin = loop.time()
        done_before, never = pending(2)
        done_before.set_result(None)
        done, left = await aio.wait([done_before, never], timeout=timeout)
        assert (done, left) == ({done_before}, {never})
        assert loop.time() - begin >= timeout
        assert not never._callbacks
        assert await aio.wait([done_before], timeout=3600) == ({done_before}, set())
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]

    run(main)


def test_the_same_one_twice_counts_once(run: Run, aio: Any) -> None:
    async def main() -> None:
        task = asyncio.create_task(answer())
        assert await aio.wait([task, task]) == ({task}, set())

    run(main)


def test_futures_of_all_kinds(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stock: Any = asyncio.futures._PyFuture(loop=loop)  # type: ignore[attr-defined]
        futures = {stock, asyncio.Future(loop=loop), _batuta.Future(loop=loop)}
        for future in futures:
            loop.call_soon(future.set_result, None)
        assert await aio.wait(futures) == (futures, set())

    run(main)


def test_a_cancelled_wait_cancels_nothing_else(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        futures = pending(3)
        task = asyncio.create_task(aio.wait(futures, timeout=3600))
        await asyncio.sleep(0)
        assert all(len(future._callbacks) == 1 for future in futures)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("why",)
        assert not any(future.done() or future._callbacks for future in futures)
        assert not [handle for handle in loop._scheduled if not handle.cancelled()]

    run(main)


def test_it_ends_in_stocks_turn(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        [future] = pending(1)
        task = asyncio.create_task(aio.wait([future]))
        await asyncio.sleep(0)
        task.add_done_callback(lambda _: order.append("waited"))
        future.add_done_callback(lambda _: order.append("callback"))
        future.set_result(None)
        for turn in range(5):
            loop.call_soon(order.append, f"turn {turn}")
            await asyncio.sleep(0)
        assert order == ["callback", "turn 0", "turn 1", "waited", "turn 2", "turn 3", "turn 4"]

    run(main)


def test_what_is_refused(run: Run, aio: Any) -> None:
    async def main() -> None:
        [future] = pending(1)
        with pytest.raises(TypeError, match="expect a list of futures, not Future"):
            await aio.wait(future)
        for nothing in ([], (), set()):
            with pytest.raises(ValueError, match=r"Set of Tasks/Futures is empty\."):
                await aio.wait(nothing)
        with pytest.raises(ValueError, match="Invalid return_when value: -1"):
            await aio.wait([future], return_when=-1)
        coroutine = answer()
        with pytest.raises(TypeError, match="Passing coroutines is forbidden"):
            await aio.wait([future, coroutine])
        coroutine.close()
        for wrong in (lambda: aio.wait(), lambda: aio.wait([future], 1), lambda: aio.wait([], x=1)):
            with pytest.raises(TypeError, match=r"wait\(\)"):
                wrong()

    run(main)


def test_it_looks_like_stocks(aio: Any) -> None:
    looks_like(aio.wait, asyncio.wait)


def test_it_lets_go_of_what_it_waited_for(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def waits(witness: Witness) -> None:
            await aio.wait([asyncio.create_task(answer(witness))], timeout=3600)

        await dies(waits)

    run(main)


def test_an_abandoned_wait_is_collected(run: Run, aio: Any) -> None:
    async def main() -> None:
        witness = Witness()
        futures = pending(2)
        waiting = aio.wait(futures)
        waiting.send(None)
        futures[0].add_done_callback(lambda _, keep=(witness, waiting): keep)
        reference = weakref.ref(witness)
        del witness, futures, waiting
        gc.collect()
        assert reference() is None

    run(main)


def test_many_leave_the_memory_as_it_was(run: Run, aio: Any) -> None:
    async def main() -> None:
        lasting = asyncio.get_running_loop().create_future()

        async def round_of(count: int) -> None:
            for _ in range(count // 10):
                tasks = [asyncio.ensure_future(answer()) for _ in range(9)]
                await aio.wait([*tasks, lasting], return_when=asyncio.FIRST_COMPLETED)
                await aio.wait(tasks)

        await leaves_the_memory_as_it_was(round_of)

    run(main)
