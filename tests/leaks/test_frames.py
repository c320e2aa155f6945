"""Exceptions of tasks, futures, callbacks and runs keep frames alive no longer than on stock."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from typing import Any

import pytest

from leaks.frames import (
    Failure,
    Loop,
    Scenario,
    Watch,
    compare,
    fails,
    fails_at_once,
    live_no_longer_than_on_stock,
    seen,
    waits,
)
from leaks.ways import WAYS, Way


async def awaited_task(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(fails(watch))
    with seen(watch, Failure):
        await task
    del task
    watch.see("without the task")


async def awaited_done_task(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(fails_at_once(watch))
    await asyncio.wait([task])
    for number in range(3):
        with seen(watch, Failure, f"time {number}"):
            await task
    del task
    watch.see("without the task")


async def awaited_by_several(watch: Watch, loop: Loop) -> None:
    tasks = [loop.create_task(fails(watch))]

    async def waiter(number: int) -> None:
        with seen(watch, Failure, f"waiter {number}"):
            await tasks[0]

    await asyncio.gather(waiter(1), waiter(2), waiter(3))
    watch.see("before")
    tasks.clear()
    watch.see("without the task")


async def nested_tasks(watch: Watch, loop: Loop) -> None:
    inner = loop.create_task(fails(watch))
    middle = loop.create_task(waits(watch, inner))
    outer = loop.create_task(waits(watch, middle))
    with seen(watch, Failure):
        await outer
    del outer
    watch.see("without the outer one")
    del middle
    watch.see("without the middle one")
    del inner
    watch.see("without the inner one")


async def asked_task(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(fails(watch))
    await asyncio.wait([task])
    watch.see("done")
    watch.length("traceback", task.exception() or Failure())
    del task
    watch.see("without the task")


async def result_of_a_task(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(fails(watch))
    await asyncio.wait([task])
    for number in range(3):
        with seen(watch, Failure, f"time {number}"):
            task.result()
    del task
    watch.see("without the task")


async def exception_of_a_future(watch: Watch, loop: Loop) -> None:
    def thrower() -> None:
        local = watch.new()
        raise Failure(local is None)

    future = loop.create_future()
    try:
        thrower()
    except Failure as error:
        future.set_exception(error)
    watch.see("set")
    for number in range(3):
        with seen(watch, Failure, f"time {number}"):
            await future
    del future
    watch.see("without the future")


async def awaited_future(watch: Watch, loop: Loop) -> None:
    future = loop.create_future()
    task = loop.create_task(waits(watch, future))
    await asyncio.sleep(0)
    loop.call_soon(future.set_exception, Failure())
    with seen(watch, Failure):
        await task
    del task
    watch.see("without the task")
    del future
    watch.see("without the future")


async def cancelled_task(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(waits(watch, loop.create_future()))
    await asyncio.sleep(0)
    watch.see("waits")
    task.cancel("message")
    with seen(watch, asyncio.CancelledError):
        await task
    with seen(watch, asyncio.CancelledError, "again"):
        await task
    del task
    watch.see("without the task")


async def cancelled_task_that_nobody_asks(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(waits(watch, loop.create_future()))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    watch.see("done")
    del task
    watch.see("without the task")


async def cancelled_before_it_began(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(waits(watch, loop.create_future()))
    task.cancel()
    with seen(watch, asyncio.CancelledError):
        await task
    del task
    watch.see("without the task")


async def failure_while_cancelled(watch: Watch, loop: Loop) -> None:
    async def cleans_up() -> None:
        local = watch.new()
        try:
            await loop.create_future()
        finally:
            raise Failure(local is None)

    task = loop.create_task(cleans_up())
    await asyncio.sleep(0)
    task.cancel()
    with seen(watch, Failure):
        await task
    del task
    watch.see("without the task")


async def cancellation_that_is_caught(watch: Watch, loop: Loop) -> None:
    async def goes_on() -> None:
        local = watch.new()
        try:
            await loop.create_future()
        except asyncio.CancelledError:
            del local
            watch.see("caught")
        watch.see("goes on")
        await asyncio.sleep(0)
        watch.see("resumed")

    task = loop.create_task(goes_on())
    await asyncio.sleep(0)
    task.cancel()
    await task
    del task
    watch.see("without the task")


async def cancelled_through_tasks(watch: Watch, loop: Loop) -> None:
    inner = loop.create_task(waits(watch, loop.create_future()))
    outer = loop.create_task(waits(watch, inner))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    outer.cancel()
    with seen(watch, asyncio.CancelledError):
        await outer
    del outer
    watch.see("without the outer one")
    del inner
    watch.see("without the inner one")


async def failing_callback(watch: Watch, loop: Loop) -> None:
    def raises() -> None:
        local = watch.new()
        raise Failure(local is None)

    loop.call_soon(raises)
    loop.call_later(0, raises)
    loop.call_soon_threadsafe(raises)
    future = loop.create_future()
    future.add_done_callback(lambda _: raises())
    future.set_result(None)
    await asyncio.sleep(0.001)
    watch.see("later")


async def failing_reader(watch: Watch, loop: Loop) -> None:
    near, far = socket.socketpair()

    def raises() -> None:
        local = watch.new()
        near.recv(1)
        raise Failure(local is None)

    loop.add_reader(near, raises)
    far.send(b"x")
    while not watch.reports:
        await asyncio.sleep(0)
    loop.remove_reader(near)
    near.close()
    far.close()
    watch.see("later")


async def failing_protocol(watch: Watch, loop: Loop) -> None:
    class Fails(asyncio.Protocol):
        reason: BaseException | None = None
        lost = False

        def data_received(self, data: bytes) -> None:
            local = watch.new()
            raise Failure(local is None)

        def connection_lost(self, exc: BaseException | None) -> None:
            watch.see("lost")
            assert isinstance(exc, Failure)
            Fails.lost = True

    near, far = socket.socketpair()
    transport, _ = await loop.create_connection(Fails, sock=near)
    far.send(b"x")
    while not Fails.lost:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    far.close()
    watch.see("with the transport")
    del transport, _
    watch.see("later")


async def exception_that_nobody_asks_for(watch: Watch, loop: Loop) -> None:
    task = loop.create_task(fails(watch))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert task.done()
    watch.see("done")
    del task
    watch.see("without the task")
    assert watch.reports == ["Task exception was never retrieved"]


async def sock_call_that_fails(watch: Watch, loop: Loop) -> None:
    async def receives(sock: socket.socket) -> None:
        local = watch.new()
        await loop.sock_recv(sock, 10)
        del local

    listener = socket.create_server(("127.0.0.1", 0))
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    near.setblocking(False)
    task = loop.create_task(receives(near))
    await asyncio.sleep(0)
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    with seen(watch, ConnectionResetError):
        await task
    near.close()
    listener.close()
    del task
    watch.see("without the task")


async def eager_task(watch: Watch, loop: Loop) -> None:
    if sys.version_info >= (3, 12):
        task_class: Any = type(loop.create_task(asyncio.sleep(0)))
        task = task_class(fails_at_once(watch), loop=loop, eager_start=True)
        watch.see("made")
        with seen(watch, Failure):
            await task
        del task
        watch.see("without the task")


async def native_classes(watch: Watch, loop: Loop) -> None:
    """Where the loop makes others by default: compared with stock's."""
    from batuta import _batuta

    native: Any = _batuta
    is_stock = not isinstance(loop, _batuta.NativeLoop)
    make_task: Any = asyncio.tasks.Task if is_stock else native.Task
    make_future: Any = asyncio.futures.Future if is_stock else native.Future
    future = make_future(loop=loop)
    inner = make_task(waits(watch, future), loop=loop)
    outer = make_task(waits(watch, inner), loop=loop)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    future.set_exception(Failure())
    for number in range(2):
        with seen(watch, Failure, f"time {number}"):
            await outer
    del outer
    watch.see("without the outer one")
    del inner
    watch.see("without the inner one")


SCENARIOS: list[Scenario] = [
    awaited_task,
    awaited_done_task,
    awaited_by_several,
    nested_tasks,
    asked_task,
    result_of_a_task,
    exception_of_a_future,
    awaited_future,
    cancelled_task,
    cancelled_task_that_nobody_asks,
    cancelled_before_it_began,
    failure_while_cancelled,
    cancellation_that_is_caught,
    cancelled_through_tasks,
    failing_callback,
    failing_reader,
    failing_protocol,
    exception_that_nobody_asks_for,
    sock_call_that_fails,
    eager_task,
    native_classes,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_frames_live_no_longer_than_on_stock(way: Way, scenario: Scenario) -> None:
    live_no_longer_than_on_stock(way, scenario)


def failing_run(way: Way, watch: Watch) -> None:
    async def main() -> None:
        local = watch.new()
        await asyncio.sleep(0)
        raise Failure(local is None)

    loop = way.new_loop()
    with seen(watch, Failure, "run"):
        loop.run_until_complete(main())
    loop.close()
    watch.see("closed")
    del loop
    watch.see("without the loop")


def interrupted_run(way: Way, watch: Watch) -> None:
    async def main() -> None:
        local = watch.new()
        await asyncio.sleep(0)
        raise KeyboardInterrupt(local is None)

    loop = way.new_loop()
    with seen(watch, KeyboardInterrupt, "run"):
        loop.run_until_complete(main())
    loop.close()
    watch.see("closed")
    del loop
    watch.see("without the loop")


def interrupted_callback(way: Way, watch: Watch) -> None:
    def interrupts() -> None:
        local = watch.new()
        raise KeyboardInterrupt(local is None)

    loop = way.new_loop()
    loop.call_soon(interrupts)
    with seen(watch, KeyboardInterrupt, "run"):
        loop.run_forever()
    loop.close()
    watch.see("closed")


@pytest.mark.parametrize("run_it", [failing_run, interrupted_run, interrupted_callback])
def test_frames_after_a_run_live_no_longer_than_on_stock(loop_way: Way, run_it: Any) -> None:
    expected, found = Watch(), Watch()
    run_it(WAYS["stock"], expected)
    run_it(loop_way, found)
    gc.collect()
    assert not any(expected.alive)
    assert not any(found.alive)
    compare(found, expected)
