"""Making and ending very many of a kind leaves memory and counts of references where they were.

Batuta makes a million of what is cheap; a leak of one reference or of one small block each would
be a thousand times what is allowed. Stock asyncio does the same with fewer, to show that the bounds
are fair.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from batuta import _batuta

from leaks.ways import Way

Loop = asyncio.AbstractEventLoop
MILLION = 1_000_000

CALLS = 0


def shared_callback(*_args: object) -> None:
    """The callback of everything here: references to it are counted."""
    global CALLS
    CALLS += 1


SHARED_CONTEXT = contextvars.copy_context()
SHARED_RESULT = object()


class Failure(Exception):
    """What fails here."""


async def nothing() -> None:
    pass


async def fails() -> None:
    raise Failure


async def forever(future: asyncio.Future[None]) -> None:
    await future


# What is made. Each does `count` of them and leaves nothing.


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


# What asyncio makes of these; Batuta's own where its classes stand behind asyncio's names.


async def sleeps(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        await asyncio.sleep(0)
        await asyncio.sleep(0.0, SHARED_RESULT)


async def delayed_sleeps(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        await asyncio.gather(*[asyncio.sleep(1e-6) for _ in range(1000)])


async def gathered(loop: Loop, count: int) -> None:
    for _ in range(count // 1000):
        await asyncio.gather(*[nothing() for _ in range(999)])
        await asyncio.gather(nothing(), fails(), return_exceptions=True)


async def failed_gathers(loop: Loop, count: int) -> None:
    for _ in range(count // 4):
        with contextlib.suppress(Failure):
            await asyncio.gather(nothing(), fails(), nothing(), fails())


async def groups(loop: Loop, count: int) -> None:
    for _ in range(count // 10):
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(nothing())


async def failed_groups(loop: Loop, count: int) -> None:
    for _ in range(count // 4):
        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                group.create_task(fails())
                group.create_task(forever(loop.create_future()))
                await loop.create_future()


async def waits(loop: Loop, count: int) -> None:
    for _ in range(count // 10):
        done, pending = await asyncio.wait([loop.create_task(nothing()) for _ in range(10)])
        assert (len(done), len(pending)) == (10, 0)


async def wait_fors(loop: Loop, count: int) -> None:
    for _ in range(count):
        await asyncio.wait_for(asyncio.sleep(0), 3600)


async def timed_out(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1e-9):
                await loop.create_future()


async def timeouts(loop: Loop, count: int) -> None:
    for _ in range(count):
        async with asyncio.timeout(3600):
            await asyncio.sleep(0)


async def shields(loop: Loop, count: int) -> None:
    for _ in range(count):
        await asyncio.shield(nothing())


async def as_completed(loop: Loop, count: int) -> None:
    for _ in range(count // 10):
        for one in asyncio.as_completed([nothing() for _ in range(10)]):
            await one


async def events(loop: Loop, count: int) -> None:
    for _ in range(count):
        event = asyncio.Event()
        loop.call_soon(event.set)
        await event.wait()


async def locks(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        lock = asyncio.Lock()
        async with lock:
            waiting = loop.create_task(lock.acquire())
            await asyncio.sleep(0)
        await waiting
        lock.release()


async def abandoned_waits(loop: Loop, count: int) -> None:
    """Cancelled while they wait for what others share."""
    event, lock, semaphore = asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(1)
    queue: asyncio.Queue[None] = asyncio.Queue()
    async with lock, semaphore:
        for _ in range(count // 4):
            waiting = [
                loop.create_task(one)
                for one in (event.wait(), lock.acquire(), semaphore.acquire(), queue.get())
            ]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)


async def semaphores(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        semaphore = asyncio.BoundedSemaphore(1)
        async with semaphore:
            waiting = loop.create_task(semaphore.acquire())
            await asyncio.sleep(0)
        await waiting
        semaphore.release()


async def conditions(loop: Loop, count: int) -> None:
    async def waiter(condition: asyncio.Condition) -> None:
        async with condition:
            await condition.wait()

    for _ in range(count):
        condition = asyncio.Condition()
        waiting = loop.create_task(waiter(condition))
        await asyncio.sleep(0)
        async with condition:
            condition.notify_all()
        await waiting


async def barriers(loop: Loop, count: int) -> None:
    for _ in range(count // 2):
        barrier = asyncio.Barrier(2)
        await asyncio.gather(barrier.wait(), barrier.wait())


async def queues(loop: Loop, count: int) -> None:
    kinds: list[Callable[[int], asyncio.Queue[Any]]]
    kinds = [asyncio.Queue, asyncio.LifoQueue, asyncio.PriorityQueue]
    for _ in range(count // 6):
        for kind in kinds:
            queue = kind(1)
            await queue.put(1)
            putting = loop.create_task(queue.put(2))
            await asyncio.sleep(0)
            assert await queue.get() == 1
            assert await queue.get() == 2
            await putting


async def queues_in_use(loop: Loop, count: int) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(count):
        queue.put_nowait(SHARED_RESULT)
        assert await queue.get() is SHARED_RESULT
        queue.task_done()


@dataclass(frozen=True)
class Work:
    """Something to do very often on Batuta, `on_stock` times on stock."""

    do: Callable[[Loop, int], Awaitable[None]]
    count: int = MILLION
    debug: bool = False

    @property
    def name(self) -> str:
        return self.do.__name__ + ("-debug" if self.debug else "")

    def times(self, way: Way) -> int:
        return max(1000, self.count // 20) if way.is_stock else self.count


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
ASYNCIO_WORK = [
    Work(sleeps),
    Work(delayed_sleeps, 300_000),
    Work(gathered, 500_000),
    Work(failed_gathers, 50_000),
    Work(groups, 300_000),
    Work(failed_groups, 20_000),
    Work(waits, 100_000),
    Work(wait_fors, 100_000),
    Work(timed_out, 50_000),
    Work(timeouts, 100_000),
    Work(shields, 100_000),
    Work(as_completed, 100_000),
    Work(events, 200_000),
    Work(locks, 200_000),
    Work(abandoned_waits, 50_000),
    Work(semaphores, 200_000),
    Work(conditions, 50_000),
    Work(barriers, 50_000),
    Work(queues, 200_000),
    Work(queues_in_use, 500_000),
]

# The counts


def resident() -> int:
    """Bytes of memory that the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@dataclass(frozen=True)
class Snapshot:
    """How much there is of everything."""

    resident: int
    blocks: int
    objects: int
    references: dict[str, int]

    @classmethod
    def take(cls, loop: Loop) -> Snapshot:
        gc.collect()
        future = loop.create_future()
        shared = {
            "None": None,
            "the loop": loop,
            "the class of the loop": type(loop),
            "the class of futures": type(future),
            "the class of its iterators": type(future.__await__()),
            "the class of handles": type(loop.call_soon(shared_callback)),
            "the class of timers": type(loop.call_later(0, shared_callback)),
            "the class of native tasks": _batuta.Task,
            "the class of sock calls": _batuta.SockOp,
            "the class of stream transports": _batuta.StreamTransport,
            "the callback": shared_callback,
            "the context": SHARED_CONTEXT,
            "the result": SHARED_RESULT,
            "CancelledError": asyncio.CancelledError,
            "the exception": Failure,
        }
        references = {name: sys.getrefcount(value) for name, value in shared.items()}
        # Where the native module was built for the debug build of Python, and counts as well.
        if sys.abiflags and f"{sys.abiflags}-" in Path(str(_batuta.__file__)).name:
            total: Callable[[], int] = vars(sys)["gettotalrefcount"]
            references["everything"] = total()
        del future, shared
        return cls(resident(), sys.getallocatedblocks(), len(gc.get_objects()), references)


def check(way: Way, work: Work) -> None:
    count = work.times(way)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        # Fills pools, caches and what Python's own allocator keeps.
        await work.do(loop, max(4000, count // 20))
        await asyncio.sleep(0)
        before = Snapshot.take(loop)
        await work.do(loop, count)
        await asyncio.sleep(0)
        after = Snapshot.take(loop)
        for name, references in before.references.items():
            grown = after.references[name] - references
            # Caches of the interpreter (of source lines, say) hold a None here and there.
            allowed = 200 if name in ("None", "everything") else 2
            assert abs(grown) <= allowed, f"{grown} more references to {name}"
        assert after.objects - before.objects < 100
        assert after.blocks - before.blocks < 1000
        grown = after.resident - before.resident
        assert grown < 4 << 20, f"{grown >> 10} KiB more"

    way.run(main, debug=work.debug)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("work", LOOP_WORK, ids=lambda work: work.name)
def test_very_many_leave_nothing(loop_way: Way, work: Work) -> None:
    check(loop_way, work)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("work", ASYNCIO_WORK, ids=lambda work: work.name)
def test_very_much_of_asyncio_leaves_nothing(way: Way, work: Work) -> None:
    check(way, work)


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
