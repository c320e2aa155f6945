"""Making and ending very many of what a loop has leaves memory and counts of references where they
were: futures, tasks, handles, timers, transports, and loops themselves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
from typing import Any

import pytest
from batuta import _batuta

from leaks.counting import (
    SHARED_CONTEXT,
    SHARED_RESULT,
    Failure,
    Loop,
    Work,
    check,
    fails,
    forever,
    nothing,
    resident,
    shared_callback,
)
from leaks.ways import Way


async def pending_future(loop: Loop, count: int) -> None:
    for _ in range(count):
        loop.create_future()


async def result(loop: Loop, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.set_result(SHARED_RESULT)
        assert await future is SHARED_RESULT


async def awaited_later(loop: Loop, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        loop.call_soon(future.set_result, SHARED_RESULT)
        await future


async def callbacks(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        future = loop.create_future()
        future.add_done_callback(shared_callback)
        future.add_done_callback(shared_callback, context=SHARED_CONTEXT)
        future.set_result(None)
        await asyncio.sleep(0)


async def removed_callbacks(loop: Loop, count: int) -> None:
    future = loop.create_future()
    for _ in range(count // 2):
        future.add_done_callback(shared_callback)
        future.add_done_callback(shared_callback, context=SHARED_CONTEXT)
        assert future.remove_done_callback(shared_callback) == 2


async def iterators(loop: Loop, count: int) -> None:
    future = loop.create_future()
    for _ in range(count):
        iterator: Any = future.__await__()
        next(iterator)
        future._asyncio_future_blocking = False
        iterator.close()


async def exceptions(loop: Loop, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.set_exception(Failure())
        with contextlib.suppress(Failure):
            await future


async def cancelled_futures(loop: Loop, count: int) -> None:
    for _ in range(count):
        future = loop.create_future()
        future.cancel("message")
        with contextlib.suppress(asyncio.CancelledError):
            future.result()


async def tasks(loop: Loop, count: int) -> None:
    for _ in range(count):
        await loop.create_task(nothing())


async def tasks_at_once(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        waiting = [loop.create_task(nothing(), name="shared name") for _ in range(1000)]
        await waiting[-1]


async def failed_tasks(loop: Loop, count: int) -> None:
    for _ in range(count):
        with contextlib.suppress(Failure):
            await loop.create_task(fails())


async def cancelled_tasks(loop: Loop, count: int) -> None:
    for _ in range(count):
        task = loop.create_task(forever(loop.create_future()))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def listed_tasks(loop: Loop, count: int) -> None:
    for _ in range(count):
        task = loop.create_task(nothing())
        assert len(asyncio.all_tasks()) == 2
        await task


async def native_classes(loop: Loop, count: int) -> None:
    """On stock's loop, too, where their steps are callables."""
    native: Any = _batuta
    for _ in range(count):
        future = native.Future(loop=loop)
        task = native.Task(forever(future), loop=loop)
        await asyncio.sleep(0)
        future.set_result(None)
        await task


async def call_soon(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        for _ in range(250):
            loop.call_soon(shared_callback)
            loop.call_soon(shared_callback, SHARED_RESULT)
            loop.call_soon(shared_callback, SHARED_RESULT, None)
            loop.call_soon(shared_callback, context=SHARED_CONTEXT)
        await asyncio.sleep(0)


async def cancelled_handles(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        for _ in range(1000):
            loop.call_soon(shared_callback, SHARED_RESULT).cancel()
        await asyncio.sleep(0)


async def threadsafe(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        for _ in range(1000):
            loop.call_soon_threadsafe(shared_callback, SHARED_RESULT)
        await asyncio.sleep(0)


async def cancelled_timers(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        for _ in range(1000):
            loop.call_later(3600, shared_callback, SHARED_RESULT).cancel()
        await asyncio.sleep(0)


async def timers(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        for _ in range(1000):
            loop.call_later(0, shared_callback, SHARED_RESULT, context=SHARED_CONTEXT)
        await asyncio.sleep(0)
        await asyncio.sleep(0.0001)


async def failing_callbacks(loop: Loop, count: int) -> None:
    def raises() -> None:
        raise Failure

    loop.set_exception_handler(shared_callback)
    for _ in range(count):
        loop.call_soon(raises)
        await asyncio.sleep(0)


async def readers(loop: Loop, count: int) -> None:
    near, far = socket.socketpair()
    with near, far:
        for _ in range(count // 2):
            loop.add_reader(near, shared_callback, SHARED_RESULT)
            loop.add_writer(near, shared_callback)
            loop.remove_reader(near)
            loop.remove_writer(near)


async def sock_calls(loop: Loop, count: int) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    buffer = bytearray(10)
    with near, far:
        for _ in range(count // 2):
            await loop.sock_sendall(far, b"hello")
            assert await loop.sock_recv(near, 10) == b"hello"
            far.send(b"again")
            assert await loop.sock_recv_into(near, buffer) == 5


async def waiting_sock_calls(loop: Loop, count: int) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        for _ in range(count):
            loop.call_soon(far.send, b"hello")
            assert await loop.sock_recv(near, 10) == b"hello"


async def closed_sock_calls(loop: Loop, count: int) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        for _ in range(count):
            loop.sock_recv(near, 10).close()


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


async def stream_transports(loop: Loop, count: int) -> None:
    for _ in range(count):
        near, far = socket.socketpair()
        far.setblocking(False)
        await loop.create_connection(Echo, sock=near)
        far.send(b"hello")
        assert await loop.sock_recv(far, 10) == b"hello"
        assert await loop.sock_recv(far, 10) == b""
        far.close()


async def datagram_transports(loop: Loop, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        for _ in range(count):
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=far.getsockname()
            )
            transport.sendto(b"hello")
            data, address = far.recvfrom(10)
            assert data == b"hello"
            far.sendto(b"answer", address)
            await asyncio.sleep(0)
            transport.close()
            await asyncio.sleep(0)
            await asyncio.sleep(0)


async def pipe_transports(loop: Loop, count: int) -> None:
    for _ in range(count):
        read, write = os.pipe()
        reading, _ = await loop.connect_read_pipe(asyncio.Protocol, open(read, "rb", 0))
        writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, open(write, "wb", 0))
        writing.write(b"hello")
        await asyncio.sleep(0)
        writing.close()
        reading.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


LOOP_WORK = [
    Work(pending_future),
    Work(result),
    Work(awaited_later),
    Work(callbacks),
    Work(removed_callbacks),
    Work(iterators),
    Work(exceptions, 300_000),
    Work(cancelled_futures, 300_000),
    Work(tasks),
    Work(tasks_at_once),
    Work(failed_tasks, 200_000),
    Work(cancelled_tasks, 200_000),
    Work(listed_tasks, 50_000),
    Work(native_classes, 100_000),
    Work(call_soon),
    Work(cancelled_handles),
    Work(threadsafe),
    Work(cancelled_timers),
    Work(timers),
    Work(failing_callbacks, 100_000),
    Work(readers, 200_000),
    Work(sock_calls, 200_000),
    Work(waiting_sock_calls, 100_000),
    Work(closed_sock_calls, 300_000),
    Work(stream_transports, 10_000),
    Work(datagram_transports, 10_000),
    Work(pipe_transports, 10_000),
    Work(result, 20_000, debug=True),
    Work(tasks, 10_000, debug=True),
    Work(timers, 10_000, debug=True),
    Work(sock_calls, 10_000, debug=True),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("work", LOOP_WORK, ids=lambda work: work.name)
def test_very_many_leave_nothing(loop_way: Way, work: Work) -> None:
    check(loop_way, work)


def test_loops_leave_nothing(way: Way) -> None:
    def one_loop() -> None:
        loop = way.new_loop()
        loop.call_later(3600, shared_callback)
        loop.call_soon(shared_callback)
        loop.run_until_complete(asyncio.sleep(0))
        loop.call_soon(shared_callback, SHARED_RESULT)
        loop.close()

    def counts() -> tuple[int, int, int, int]:
        gc.collect()
        descriptors = len(os.listdir("/proc/self/fd"))
        return sys.getallocatedblocks(), sys.getrefcount(shared_callback), descriptors, resident()

    for _ in range(100):
        one_loop()
    before = counts()
    for _ in range(1000):
        one_loop()
    after = counts()
    assert after[0] - before[0] < 500
    assert after[1] == before[1]
    assert after[2] == before[2]
    assert after[3] - before[3] < 4 << 20
