"""call_soon_threadsafe: nothing is lost, a sleeping loop wakes, other threads and loops work."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from loops import LoopFactory, Run


def test_calls_from_many_threads_all_arrive_each_thread_in_order(run: Run) -> None:
    threads_count, calls = 8, 2000

    async def main() -> list[tuple[int, int]]:
        loop = asyncio.get_running_loop()
        got: list[tuple[int, int]] = []
        all_in = loop.create_future()

        def note(thread: int, number: int) -> None:
            got.append((thread, number))
            if len(got) == threads_count * calls:
                all_in.set_result(None)

        def feed(thread: int) -> None:
            for number in range(calls):
                loop.call_soon_threadsafe(note, thread, number)

        threads = [threading.Thread(target=feed, args=(n,)) for n in range(threads_count)]
        for thread in threads:
            thread.start()
        await all_in
        for thread in threads:
            thread.join()
        return got

    got = run(main)
    for thread in range(threads_count):
        assert [number for who, number in got if who == thread] == list(range(calls))


def test_a_sleeping_loop_wakes_for_a_call_from_another_thread(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for pause in (0.0, 0.01, 0.05):
            woken = loop.create_future()

            def poke(pause: float = pause, woken: asyncio.Future[None] = woken) -> None:
                time.sleep(pause)
                loop.call_soon_threadsafe(woken.set_result, None)

            thread = threading.Thread(target=poke)
            thread.start()
            await woken  # no timer is set: only the call can wake the loop
            thread.join()

    run(main)


def test_stop_from_another_thread(loop: asyncio.AbstractEventLoop) -> None:
    timer = threading.Timer(0.05, loop.call_soon_threadsafe, args=(loop.stop,))
    timer.start()
    loop.run_forever()
    timer.join()
    assert not loop.is_running()


def test_the_handle_of_a_threadsafe_call_can_be_cancelled(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        ran: list[str] = []
        handle = loop.call_soon_threadsafe(ran.append, "cancelled")
        assert isinstance(handle, asyncio.Handle)
        handle.cancel()
        loop.call_soon_threadsafe(ran.append, "kept")
        await asyncio.sleep(0.001)
        return ran

    assert run(main) == ["kept"]


def test_a_threadsafe_call_takes_a_context(run: Run) -> None:
    name = contextvars.ContextVar("name", default="outer")
    context = contextvars.copy_context()
    context.run(name.set, "given")

    async def main() -> tuple[str, str]:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()

        def call() -> None:
            loop.call_soon_threadsafe(lambda: first.set_result(name.get()), context=context)
            loop.call_soon_threadsafe(lambda: second.set_result(name.get()))

        thread = threading.Thread(target=call)
        thread.start()
        result = await first, await second
        thread.join()
        return result

    assert run(main) == ("given", "outer")


def test_a_call_before_the_loop_runs_is_kept(loop: asyncio.AbstractEventLoop) -> None:
    ran: list[str] = []
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(ran.append, "early"))
    thread.start()
    thread.join()
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["early"]


def test_run_coroutine_threadsafe_gives_results_exceptions_and_cancellation(
    loop_factory: LoopFactory,
) -> None:
    loop = loop_factory()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    cancelled = threading.Event()

    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail() -> None:
        raise LookupError("no")

    async def hang() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    try:
        assert asyncio.run_coroutine_threadsafe(answer(), loop).result(30) == 42
        with pytest.raises(LookupError, match="no"):
            asyncio.run_coroutine_threadsafe(fail(), loop).result(30)
        hanging = asyncio.run_coroutine_threadsafe(hang(), loop)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)
        assert hanging.cancel()
        assert cancelled.wait(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def test_run_in_executor_and_to_thread(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        here = threading.get_ident()
        assert await loop.run_in_executor(None, threading.get_ident) != here
        assert await asyncio.to_thread(lambda: 7) == 7
        with ThreadPoolExecutor(1) as pool:
            assert await loop.run_in_executor(pool, sum, [1, 2, 3]) == 6
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    run(main)


def test_loops_in_several_threads_do_not_disturb_each_other(loop_factory: LoopFactory) -> None:
    results: dict[int, int] = {}

    def work(number: int) -> None:
        async def main() -> int:
            loop = asyncio.get_running_loop()
            ready = asyncio.Event()
            loop.call_later(0.01, ready.set)
            await ready.wait()
            server = await asyncio.start_server(double, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"%d\n" % number)
                answer = int(await reader.readline())
                writer.close()
                await writer.wait_closed()
            return answer

        with asyncio.Runner(loop_factory=loop_factory) as runner:
            results[number] = runner.run(main())

    async def double(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d\n" % (2 * int(await reader.readline())))
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {0: 0, 1: 2, 2: 4, 3: 6}


def test_a_loop_may_be_made_in_one_thread_and_run_in_another(loop_factory: LoopFactory) -> None:
    loop = loop_factory()
    got: list[int] = []
    loop.call_soon(got.append, 1)
    loop.call_later(0.001, loop.stop)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    thread.join(30)
    assert got == [1]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_loop_that_runs_in_another_thread_cannot_be_run_here(loop_factory: LoopFactory) -> None:
    loop = loop_factory()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)
    try:
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
