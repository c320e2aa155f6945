"""The inside of the loop as programs use it that make its turns themselves: `_ready`, `_scheduled`,
`_selector.select()`, `_process_events()`, and `_run()` of handles.

`turn()` does what a turn of asyncio's own loop does. What other programs make of it is in
`ecosystem/programs/nested_runs.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import heapq
import selectors
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from batuta import acceleration

from contract.support import Recorder, connected
from loops import STOCK, SUBJECT, load

T = TypeVar("T")
SECONDS = 20.0


@pytest.fixture(params=["stock", "batuta", "accelerated"])
def loop(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A loop that does not run; the third time with asyncio's names replaced."""
    is_accelerated = request.param == "accelerated"
    with acceleration.held() if is_accelerated else contextlib.nullcontext():
        new = load(STOCK if request.param == "stock" else SUBJECT)()
        yield new
        new.close()


def turn(loop: Any) -> None:
    """One turn of the loop."""
    ready, scheduled = loop._ready, loop._scheduled
    while scheduled and scheduled[0]._cancelled:
        heapq.heappop(scheduled)
    timeout = max(0.0, scheduled[0]._when - loop.time()) if scheduled else None
    loop._process_events(loop._selector.select(0 if ready else timeout))
    due_by = loop.time() + loop._clock_resolution
    while scheduled and scheduled[0]._when < due_by:
        ready.append(heapq.heappop(scheduled))
    for _ in range(len(ready)):
        handle = ready.popleft()
        if not handle._cancelled:
            handle._run()


@contextlib.contextmanager
def running(loop: Any) -> Iterator[None]:
    asyncio._set_running_loop(loop)
    try:
        yield
    finally:
        asyncio._set_running_loop(None)


def run_by_hand(loop: Any, main: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, by turns of our own."""
    deadline = time.monotonic() + SECONDS
    with running(loop):
        task: asyncio.Task[T] = loop.create_task(main)
        while not task.done():
            turn(loop)
            assert time.monotonic() < deadline, task
    return task.result()


async def steps(log: list[str]) -> None:
    """Something of all that waits in a queue."""
    loop = asyncio.get_running_loop()

    async def step(name: str, count: int) -> str:
        for number in range(count):
            log.append(f"{name}{number}")
            await asyncio.sleep(0)
        return name

    loop.call_soon(log.append, "soon")
    log.extend(await asyncio.gather(step("a", 3), step("b", 2), step("c", 1)))
    future = loop.create_future()
    future.add_done_callback(lambda future: log.append(f"told of {future.result()}"))
    loop.call_soon(future.set_result, "the result")
    log.append(await future)
    done, pending = await asyncio.wait([asyncio.create_task(step("d", 2))])
    log.append(f"{len(done)} {len(pending)}")
    async with asyncio.TaskGroup() as group:
        group.create_task(step("e", 2))
        group.create_task(step("f", 2))
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        log.append("late")
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(SECONDS)
    except TimeoutError:
        log.append("too late")
    await asyncio.sleep(0.005)
    log.append(await loop.run_in_executor(None, lambda: "a thread"))
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        received = asyncio.create_task(loop.sock_recv(far, 10))
        await asyncio.sleep(0)
        await loop.sock_sendall(near, b"by socket")
        log.append((await received).decode())
        arrived = asyncio.Event()
        loop.add_reader(far, lambda: (log.append(far.recv(10).decode()), arrived.set()))
        near.send(b"to reader")
        await arrived.wait()
        loop.remove_reader(far)


async def talk(log: list[str]) -> None:
    """Connections, of protocols and streams."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.readline():
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        log.append("closed")

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for number in range(5):
        writer.write(b"%d\n" % number)
        log.append((await reader.readline()).decode())
    writer.close()
    await writer.wait_closed()
    while log[-1] != "closed":
        await asyncio.sleep(0)
    server.close()
    async with connected("tcp", Recorder) as (transport, protocol, peer):
        transport.write(b"x" * 1_000_000)
        received = 0
        while received < 1_000_000:
            with contextlib.suppress(BlockingIOError):
                received += len(peer.recv(1 << 20))
            await asyncio.sleep(0)
        peer.send(b"an answer")
        while not protocol.data:
            await asyncio.sleep(0.001)
        log.append(bytes(protocol.data).decode())


@pytest.mark.parametrize("program", [steps, talk])
def test_a_program_does_the_same_by_hand(
    loop: Any, program: Callable[[list[str]], Coroutine[Any, Any, None]]
) -> None:
    by_hand: list[str] = []
    run_by_hand(loop, program(by_hand))
    by_loop: list[str] = []
    loop.run_until_complete(program(by_loop))
    assert by_hand == by_loop
    assert len(by_hand) > 5


def test_turns_inside_a_callback_of_a_running_loop(loop: Any) -> None:
    logs: list[list[str]] = [[], []]
    results: list[Any] = []

    def inside() -> None:
        for log, program in zip(logs, (steps, talk), strict=True):
            task = loop.create_task(program(log))
            while not task.done():
                turn(loop)
            results.append(task.result())

    async def main() -> str:
        outside = asyncio.create_task(asyncio.sleep(0.01, "outside"))
        loop.call_soon(inside)
        return await outside

    assert loop.run_until_complete(main()) == "outside"
    assert results == [None, None]
    assert [log[-1] for log in logs] == ["to reader", "an answer"]


def test_all_that_waits_is_counted_and_has_a_handle(loop: Any) -> None:
    log: list[str] = []

    async def main(name: str) -> None:
        log.append(name)

    ready = loop._ready
    assert not ready
    assert len(ready) == 0
    with running(loop):
        tasks = [loop.create_task(main("task"))]
        loop.call_soon(log.append, "callback")
        tasks.append(loop.create_task(main("other task")))
    assert len(ready) == len(loop._ready) == 3
    assert ready
    handles = list(ready)
    assert all(isinstance(handle, asyncio.Handle) for handle in handles)
    assert ready[0] is handles[0]
    assert handles[1] in ready
    assert ready[-1] is handles[2]
    assert not any(handle.cancelled() for handle in handles)
    assert log == []
    loop.run_until_complete(asyncio.wait_for(tasks[1], 5))
    assert log == ["task", "callback", "other task"]


def test_what_comes_while_somebody_looks_stays_behind(loop: Any) -> None:
    """Up to 3.11 a look may run the collector, and that finalizers which call the loop."""
    log: list[str] = []

    async def main(number: int) -> None:
        log.append(f"task {number}")

    def collecting(phase: str, _: dict[str, int]) -> None:
        if phase == "start" and len(late) < 30:
            late.append(loop.call_soon(log.append, "late"))

    late: list[asyncio.Handle] = []
    with running(loop):
        tasks = [loop.create_task(main(number)) for number in range(50)]
    former = gc.get_threshold()
    gc.callbacks.append(collecting)
    gc.set_threshold(1)
    try:
        first = loop._ready[0]
    finally:
        gc.set_threshold(*former)
        gc.callbacks.remove(collecting)
    assert first is loop._ready[0]
    loop.run_until_complete(asyncio.wait_for(tasks[-1], SECONDS))
    loop.run_until_complete(asyncio.sleep(0))
    assert log == [*(f"task {number}" for number in range(50)), *(["late"] * len(late))]


def test_handles_can_be_taken_out_and_put_back(loop: Any) -> None:
    log: list[str] = []
    ready = loop._ready
    for name in "abcde":
        loop.call_soon(log.append, name)
    a, b = ready.popleft(), ready.popleft()
    assert len(ready) == 3
    ready.append(a)
    ready.appendleft(b)
    ready.extendleft([ready.popleft(), ready.popleft()])
    ready.extend([ready.popleft()])
    turn(loop)
    assert log == ["b", "d", "e", "a", "c"]
    with pytest.raises(IndexError, match="pop from an empty deque"):
        ready.popleft()


def test_a_cancelled_handle_does_not_run_when_put_back(loop: Any) -> None:
    log: list[str] = []
    with running(loop):
        task = loop.create_task(asyncio.sleep(0))
    step = loop._ready.popleft()
    handle = loop.call_soon(log.append, "cancelled")
    assert loop._ready.popleft() is handle
    handle.cancel()
    loop._ready.append(handle)
    loop._ready.append(step)
    loop.run_until_complete(task)
    assert log == []


def test_what_is_cleared_does_not_run(loop: Any) -> None:
    log: list[str] = []
    loop.call_soon(log.append, "cleared")
    loop._ready.clear()
    loop.run_until_complete(asyncio.sleep(0))
    assert log == []


def test_timers_are_a_heap_and_leave_it_when_they_are_ready(loop: Any) -> None:
    log: list[int] = []
    now = loop.time()
    for number in (5, 3, 9, 1, 7):
        loop.call_at(now + number * 100, log.append, number)
    scheduled = loop._scheduled
    assert all(isinstance(timer, asyncio.TimerHandle) for timer in scheduled)
    timer = heapq.heappop(scheduled)
    assert timer.when() == now + 100
    loop._ready.append(timer)
    assert len(loop._scheduled) == 4
    assert timer not in loop._scheduled
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    assert log == [1]
    assert [heapq.heappop(scheduled).when() for _ in range(4)] == [
        now + 100 * number for number in (3, 5, 7, 9)
    ]


def test_a_timer_that_was_taken_out_can_be_put_back_twice(loop: Any) -> None:
    log: list[str] = []
    loop.call_later(0, log.append, "timer")
    time.sleep(0.001)
    loop._process_events(loop._selector.select(0))
    loop._ready.append(heapq.heappop(loop._scheduled))
    timer = loop._ready.popleft()
    assert log == []
    loop._ready.appendleft(timer)
    loop.run_until_complete(asyncio.sleep(0))
    assert log == ["timer"]


def test_select_waits_no_longer_than_it_may(loop: Any) -> None:
    begin = time.monotonic()
    loop._process_events(loop._selector.select(0))
    assert time.monotonic() - begin < 1
    begin = time.monotonic()
    loop._process_events(loop._selector.select(0.05))
    assert 0.05 <= time.monotonic() - begin < SECONDS


def test_select_ends_when_another_thread_has_called(loop: Any) -> None:
    log: list[str] = []
    thread = threading.Timer(0.02, loop.call_soon_threadsafe, [log.append, "called"])
    thread.start()
    loop._process_events(loop._selector.select(SECONDS))
    thread.join()
    turn(loop)
    assert log == ["called"]
    # Called before the wait: it must not be slept over.
    loop.call_soon_threadsafe(log.append, "called before")
    begin = time.monotonic()
    loop._process_events(loop._selector.select(SECONDS))
    assert time.monotonic() - begin < SECONDS / 2
    turn(loop)
    assert log == ["called", "called before"]


def test_a_handle_of_a_step_runs_in_the_context_of_its_task(loop: Any) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")
    log: list[str] = []

    async def main() -> None:
        for _ in range(3):
            log.append(who.get())
            who.set("the task")
            await asyncio.sleep(0)

    with running(loop):
        task = loop.create_task(main())
        while not task.done():
            handle = loop._ready.popleft()
            handle._run()
            assert who.get() == "nobody"
    assert log == ["nobody", "the task", "the task"]


def test_select_can_be_replaced(loop: Any) -> None:
    """By a function that makes time pass as quickly as it likes."""
    now = [1000.0]
    asked: list[float | None] = []
    select = loop._selector.select

    def hurry(timeout: float | None = None) -> Any:
        asked.append(timeout)
        events = select(0)
        if not events and timeout:
            now[0] += timeout
        return events

    async def main() -> float:
        begin = loop.time()
        near, far = socket.socketpair()
        with near, far:
            far.setblocking(False)
            received = asyncio.create_task(loop.sock_recv(far, 10))
            await asyncio.sleep(0)
            near.send(b"x")
            assert await received == b"x"
        assert loop.time() == begin
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(1800))
        await asyncio.sleep(100_000)
        try:
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        except TimeoutError:
            now[0] += 0.5
        for _ in range(100):
            await asyncio.sleep(0)
        return float(loop.time() - begin)

    loop.time = lambda: now[0]
    loop._selector.select = hurry
    begin = time.monotonic()
    assert loop.run_until_complete(main()) == 103_660.5
    assert time.monotonic() - begin < SECONDS
    assert 1800 in asked
    assert max(filter(None, asked)) == 86_400, "a day at most"
    assert 60 in asked
    assert len(asked) > 100, "each turn asks"
    del loop._selector.select, loop.time
    count = len(asked)
    loop.run_until_complete(asyncio.sleep(0.001))
    assert len(asked) == count


def test_select_can_be_replaced_in_a_running_loop(loop: Any) -> None:
    asked: list[float | None] = []
    select = loop._selector.select

    async def main() -> None:
        await asyncio.sleep(0)
        loop._selector.select = lambda timeout=None: asked.append(timeout) or select(timeout)
        await asyncio.sleep(0.02)
        del loop._selector.select

    loop.run_until_complete(main())
    sleeps = [timeout for timeout in asked if timeout is not None and 0 < timeout <= 0.02]
    assert sleeps
    count = len(asked)
    loop.run_until_complete(asyncio.sleep(0))
    assert len(asked) == count


def test_events_that_select_makes_up_reach_their_handles(loop: Any) -> None:
    log: list[str] = []
    near, far = socket.socketpair()
    with near, far:
        loop.add_reader(far, log.append, "read")
        loop.add_writer(far, log.append, "write")
        key = loop._selector.get_key(far)
        loop._process_events([(key, selectors.EVENT_WRITE | selectors.EVENT_READ)])
        assert len(loop._ready) == 2
        loop.remove_reader(far)
        loop.remove_writer(far)
        loop._ready.clear()
        loop.add_writer(far, log.append, "writable")
        loop._process_events([(loop._selector.get_key(far), selectors.EVENT_WRITE)])
        loop._ready.popleft()._run()
        loop.remove_writer(far)
    assert log == ["writable"]
