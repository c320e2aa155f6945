"""`gather()`, the interpreter's and the native one, on both loops."""

from __future__ import annotations

import asyncio
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
from loops import Report, Run

pytestmark = both()


async def fails(error: BaseException) -> object:
    raise error


def test_results_stand_in_the_order_of_the_arguments(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def late(value: object, turns: int) -> object:
            for _ in range(turns):
                await asyncio.sleep(0)
            return value

        assert await aio.gather(late("a", 3), late("b", 0), late("c", 1)) == ["a", "b", "c"]

    run(main)


def test_it_is_a_future_of_that_name(run: Run, aio: Any) -> None:
    async def main() -> None:
        outer = aio.gather(answer(), answer())
        assert isinstance(outer, asyncio.Future)
        assert type(outer).__name__ == "_GatheringFuture"
        assert repr(outer).startswith("<_GatheringFuture pending")
        assert outer.get_loop() is asyncio.get_running_loop()
        assert [type(child).__name__ for child in outer._children] == ["Task", "Task"]
        assert outer._cancel_requested is False
        assert await outer == [42, 42]
        assert outer.done()
        assert outer.result() == [42, 42]

    run(main)


@pytest.mark.parametrize("count", [3, 20])
def test_the_same_argument_twice_has_one_child(run: Run, aio: Any, count: int) -> None:
    async def main() -> None:
        coroutine, future = answer("c"), asyncio.get_running_loop().create_future()
        future.set_result("f")
        arguments = [coroutine, future] * count
        outer = aio.gather(*arguments)
        assert len({id(child) for child in outer._children}) == 2
        assert await outer == ["c", "f"] * count

    run(main)


def test_arguments_with_an_equality_of_their_own(run: Run, aio: Any) -> None:
    class Equal:
        def __init__(self, value: object) -> None:
            self.value = value

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Equal)

        def __hash__(self) -> int:
            return 7

        def __await__(self) -> Any:
            return answer(self.value).__await__()

    async def main() -> None:
        assert await aio.gather(Equal(1), Equal(2), answer(3)) == [1, 1, 3]

    run(main)


def test_no_argument(run: Run, aio: Any) -> None:
    async def main() -> None:
        outer = aio.gather()
        assert outer.done()
        assert await outer == []

    run(main)


def test_what_cannot_be_awaited_is_refused(run: Run, aio: Any) -> None:
    async def main() -> None:
        coroutine = answer()
        with pytest.raises(TypeError, match=r"An asyncio\.Future, a coroutine or an awaitable"):
            aio.gather(coroutine, 7)
        with pytest.raises(TypeError, match="unexpected keyword argument 'loop'"):
            aio.gather(loop=None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    run(main)


def test_a_child_of_a_refused_gather_counts_as_seen(run: Run, aio: Any) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(TypeError):
            aio.gather(future, 7)
        future.set_exception(ValueError())
        await asyncio.sleep(0)
        assert future._log_traceback is False
        del future
        gc.collect()

    run(main)


def test_futures_of_two_loops_are_refused(run: Run, aio: Any) -> None:
    async def main() -> None:
        other = asyncio.new_event_loop()
        try:
            mine, theirs = asyncio.get_running_loop().create_future(), other.create_future()
            with pytest.raises(ValueError, match="different loop"):
                aio.gather(mine, theirs)
            if sys.version_info >= (3, 14):
                with pytest.raises(ValueError, match="different loop"):
                    aio.gather(theirs, mine)
        finally:
            other.close()

    run(main)


def test_the_first_exception_ends_it_and_the_others_go_on(run: Run, aio: Any) -> None:
    async def main() -> None:
        error = ValueError("first")
        other = asyncio.get_running_loop().create_future()
        outer = aio.gather(fails(error), other)
        with pytest.raises(ValueError) as caught:
            await outer
        assert caught.value is error
        assert not other.done()
        other.set_exception(KeyError("second"))
        await asyncio.sleep(0)
        del other
        gc.collect()

    run(main)


def test_return_exceptions(run: Run, aio: Any) -> None:
    async def main() -> None:
        error = ValueError()
        gone = asyncio.get_running_loop().create_future()
        gone.cancel("message")
        results = await aio.gather(answer(1), fails(error), gone, return_exceptions=True)
        assert results[:2] == [1, error]
        assert isinstance(results[2], asyncio.CancelledError)
        assert results[2].args == ("message",)

    run(main)


def test_a_cancelled_child_is_an_error_of_the_gather(run: Run, aio: Any) -> None:
    async def main() -> None:
        child = asyncio.get_running_loop().create_future()
        outer = aio.gather(child, forever())
        child.cancel("why")
        with pytest.raises(asyncio.CancelledError) as caught:
            await outer
        assert caught.value.args == ("why",)
        assert not outer.cancelled()
        outer.cancel()
        for left in outer._children:
            left.cancel()
        await asyncio.sleep(0)

    run(main)


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_cancelling_cancels_the_children(run: Run, aio: Any, return_exceptions: bool) -> None:
    async def main() -> None:
        outer = aio.gather(forever(), forever(), return_exceptions=return_exceptions)
        await asyncio.sleep(0)
        assert outer.cancel("enough") is True
        assert outer._cancel_requested is True
        assert not outer.done()
        with pytest.raises(asyncio.CancelledError) as caught:
            await outer
        assert caught.value.args == ("enough",)
        assert all(child.cancelled() for child in outer._children)
        assert outer.cancel() is False

    run(main)


def test_cancelling_the_task_that_waits_for_it(run: Run, aio: Any) -> None:
    async def main() -> None:
        seen: list[str] = []

        async def child() -> None:
            try:
                await forever()
            finally:
                seen.append("cancelled")

        task = asyncio.create_task(aio_wait(child))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"] * 2

    async def aio_wait(child: Any) -> None:
        await aio.gather(child(), child())

    run(main)


def test_an_exception_that_nobody_asks_for_is_reported_of_the_gather(run: Run, aio: Any) -> None:
    reports: list[Report] = []

    async def main() -> None:
        outer = aio.gather(fails(ValueError("unseen")))
        while not outer.done():
            await asyncio.sleep(0)
        del outer
        await asyncio.sleep(0)
        gc.collect()
        assert [report["message"] for report in reports] == [
            "_GatheringFuture exception was never retrieved"
        ]

    run(main, reports=reports)


def test_callbacks_come_in_stocks_order(run: Run, aio: Any) -> None:
    async def main() -> None:
        order: list[object] = []
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        first.add_done_callback(lambda _: order.append("before"))
        outer = aio.gather(first, second)
        first.add_done_callback(lambda _: order.append("after"))
        outer.add_done_callback(lambda _: order.append("outer"))

        async def waits() -> None:
            await outer
            order.append("task")

        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        second.set_result(2)
        first.set_result(1)
        loop.call_soon(order.append, "soon")
        order.append(outer.done())
        await asyncio.sleep(0)
        order.append(outer.done())
        await task
        assert order == [False, "before", "after", "soon", True, "outer", "task"]

    run(main)


def test_a_child_shows_who_is_told(run: Run, aio: Any) -> None:
    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        outer = aio.gather(future)
        [(callback, context)] = future._callbacks
        assert callable(callback)
        assert context is not None
        assert future.remove_done_callback(callback) == 1
        future.set_result(None)
        await asyncio.sleep(0)
        assert not outer.done()

    run(main)


@pytest.mark.parametrize("debug", [False, True])
def test_children_of_all_kinds(run: Run, aio: Any, debug: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stock: Any = asyncio.futures._PyFuture(loop=loop)  # type: ignore[attr-defined]
        c_future = asyncio.Future(loop=loop)
        native: Any = _batuta.Future(loop=loop)
        for place, future in enumerate((stock, c_future, native)):
            loop.call_soon(future.set_result, place)
        inner = aio.gather(answer("x"))
        results = await aio.gather(stock, c_future, native, inner, asyncio.sleep(0, "s"))
        assert results == [0, 1, 2, ["x"], "s"]

    run(main, debug=debug)


def test_without_a_running_loop(loop: asyncio.AbstractEventLoop, aio: Any) -> None:
    future = loop.create_future()
    outer = aio.gather(future, answer("task"))
    assert outer.get_loop() is loop
    loop.call_soon(future.set_result, "future")
    assert loop.run_until_complete(outer) == ["future", "task"]


def test_a_patched_create_task_is_called(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        made: list[object] = []
        original = loop.create_task

        def spy(coro: Any, **keywords: Any) -> Any:
            made.append(coro)
            return original(coro, **keywords)

        loop.create_task = spy
        try:
            assert await aio.gather(answer(1), answer(2)) == [1, 2]
        finally:
            del loop.create_task
        assert len(made) == 2

    run(main)


def test_a_task_factory_makes_the_children(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: list[object] = []

        def factory(loop: Any, coro: Any, **keywords: Any) -> Any:
            made.append(coro)
            return asyncio.Task(coro, loop=loop, **keywords)

        loop.set_task_factory(factory)
        assert await aio.gather(answer(1), answer(2)) == [1, 2]
        assert len(made) == 2

    run(main)


def test_it_lets_go_of_what_it_gathered(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def gathers(witness: Witness) -> None:
            async def holds() -> Witness:
                return witness

            await aio.gather(holds(), holds())

        await dies(gathers)

        async def fails_with(witness: Witness) -> None:
            async def raises() -> None:
                raise ValueError(witness)

            with pytest.raises(ValueError):
                await aio.gather(raises(), answer())

        await dies(fails_with)

    run(main)


def test_a_cycle_through_it_is_collected(run: Run, aio: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        child: Any = _batuta.Future(loop=loop)
        outer = aio.gather(child, loop.create_future())
        witness = Witness()
        child.mark, outer.mark = outer, witness
        references = [weakref.ref(it) for it in (witness, outer, child)]
        del child, outer, witness
        gc.collect()
        assert [reference() for reference in references] == [None] * 3

    run(main)


def test_many_leave_the_memory_as_it_was(run: Run, aio: Any) -> None:
    async def main() -> None:
        async def round_of(count: int) -> None:
            for _ in range(count // 10):
                await aio.gather(*[answer() for _ in range(10)])

        await leaves_the_memory_as_it_was(round_of)

    run(main)


def test_it_looks_like_stocks(aio: Any) -> None:
    looks_like(aio.gather, asyncio.gather)
