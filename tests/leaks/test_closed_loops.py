"""A closed loop that nobody holds is freed at once, not by the next garbage collection.

A program may run many loops one after the other, and look for cycles that it made itself.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable

import pytest

from leaks.ways import Way


async def nothing() -> None:
    await asyncio.sleep(0)


async def timers() -> None:
    asyncio.get_running_loop().call_later(100, print)
    await asyncio.sleep(0.001)


async def threads() -> None:
    await asyncio.to_thread(int)
    await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)


async def a_wake_up() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(future.set_result, None))
    thread.start()
    await future
    thread.join()


async def a_child_process() -> None:
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0


async def a_signal_handler() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)


async def a_reader() -> None:
    near, far = socket.socketpair()
    with near, far:
        asyncio.get_running_loop().add_reader(near, print)
        asyncio.get_running_loop().remove_reader(near)


async def a_datagram_endpoint() -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    transport.close()
    await asyncio.sleep(0)


async def a_connection() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"line\n")
    assert await reader.read() == b"line\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def something_unfinished() -> None:
    asyncio.get_running_loop().call_soon(print)


PROGRAMS: list[Callable[[], Awaitable[None]]] = [
    nothing,
    timers,
    threads,
    a_wake_up,
    a_child_process,
    a_signal_handler,
    a_reader,
    a_datagram_endpoint,
    a_connection,
    something_unfinished,
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_closed_loop_is_freed_at_once(way: Way, program: Callable[[], Awaitable[None]]) -> None:
    loop = way.new_loop()
    freed = weakref.ref(loop)
    try:
        loop.run_until_complete(program())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    del loop
    assert freed() is None


def test_a_closed_loop_has_no_selector(way: Way) -> None:
    loop = way.new_loop()
    assert loop._selector is not None  # type: ignore[attr-defined]
    loop.close()
    assert loop._selector is None  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="asyncio's own watcher leaves it open")
def test_a_child_that_outlives_its_loop_leaves_no_descriptor(way: Way) -> None:
    if way.is_stock:
        pytest.skip("a thread waits (3.11), or asyncio's watcher leaves it open (3.12, 3.13)")
    before = set(os.listdir("/proc/self/fd"))
    loop = way.new_loop()
    transport, _ = loop.run_until_complete(
        loop.subprocess_exec(
            asyncio.SubprocessProtocol, "sleep", "60", stdin=None, stdout=None, stderr=None
        )
    )
    loop.close()
    transport.close()  # kills it
    assert transport.get_extra_info("subprocess").wait() == -signal.SIGKILL
    del transport
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) == before
