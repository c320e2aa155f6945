"""Cycles through sockets, transports and loops are collected; everything is tracked, and its weak
references die.

As in `test_cycles`: a knot is tied, let go of, and must be gone after a collection, not before.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import socket
import weakref
from typing import Any

import pytest
from batuta import _batuta

from leaks.knots import Knot, Loop, Witness, check, collect_twice
from leaks.ways import Way

native: Any = _batuta


# Sockets and transports


class Tied(socket.socket):
    """A socket that can hold what uses it."""

    tied: Any


def tied_pair() -> tuple[Tied, Tied]:
    left, right = (Tied(fileno=one.detach()) for one in socket.socketpair())
    left.setblocking(False)
    right.setblocking(False)
    return left, right


async def sock_call_that_nobody_awaits(loop: Loop, witness: Any) -> None:
    near, far = tied_pair()
    near.close()
    far.close()
    near.tied = loop.sock_recv(near, 10), witness


async def buffer_of_a_sock_call(loop: Loop, witness: Any) -> None:
    class Buffer(bytearray):
        tied: Any

    near, far = tied_pair()
    near.close()
    far.close()
    buffer = Buffer(10)
    buffer.tied = loop.sock_recv_into(near, buffer), witness


@pytest.mark.parametrize("knot", [sock_call_that_nobody_awaits, buffer_of_a_sock_call])
def test_cycles_of_sock_calls(way: Way, knot: Knot) -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine '.*sock_recv(_into)?' was never awaited"):
        check(way, knot)


class Protocol(asyncio.Protocol):
    transport: Any
    tied: Any

    def connection_made(self, transport: Any) -> None:
        self.transport = transport


async def closed(transport: Any) -> None:
    transport.close()
    for _ in range(4):
        await asyncio.sleep(0)


async def stream_transport(loop: Loop, witness: Any) -> None:
    near, far = tied_pair()
    transport, _ = await loop.create_connection(Protocol, sock=near)
    await closed(transport)
    far.close()
    transport.tied = transport, witness  # type: ignore[attr-defined]


async def protocol_of_a_transport(loop: Loop, witness: Any) -> None:
    near, far = tied_pair()
    transport, protocol = await loop.create_connection(Protocol, sock=near)
    far.send(b"hello")
    transport.write(b"hello")
    protocol.tied = witness
    await closed(transport)
    far.close()
    witness.tied = protocol


async def socket_of_a_transport(loop: Loop, witness: Any) -> None:
    near, far = tied_pair()
    transport, _ = await loop.create_connection(Protocol, sock=near)
    near.tied = transport, witness
    transport.tied = near  # type: ignore[attr-defined]
    await closed(transport)
    far.close()


async def buffered_write_of_a_transport(loop: Loop, witness: Any) -> None:
    """More is written than the kernel takes, then the connection is aborted."""
    near, far = tied_pair()
    transport, protocol = await loop.create_connection(Protocol, sock=near)
    transport.write(bytes(8 << 20))
    assert transport.get_write_buffer_size() > 0
    protocol.tied = witness
    transport.abort()
    for _ in range(4):
        await asyncio.sleep(0)
    far.close()
    witness.tied = protocol


async def datagram_transport(loop: Loop, witness: Any) -> None:
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    await closed(transport)
    transport.tied = transport, witness  # type: ignore[attr-defined]


async def read_pipe(loop: Loop, witness: Any) -> None:
    read, write = os.pipe()
    transport, _ = await loop.connect_read_pipe(Protocol, open(read, "rb", 0))
    await closed(transport)
    os.close(write)
    transport.tied = transport, witness  # type: ignore[attr-defined]


async def write_pipe(loop: Loop, witness: Any) -> None:
    read, write = os.pipe()
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, open(write, "wb", 0))
    await closed(transport)
    os.close(read)
    transport.tied = transport, witness  # type: ignore[attr-defined]


async def server(loop: Loop, witness: Any) -> None:
    def factory() -> Protocol:
        raise AssertionError(holder)

    holder: list[Any] = [witness]
    serving = await loop.create_server(factory, "127.0.0.1", 0)
    holder.append(serving)
    serving.close()
    await serving.wait_closed()


TRANSPORT_KNOTS = [
    stream_transport,
    protocol_of_a_transport,
    socket_of_a_transport,
    buffered_write_of_a_transport,
    datagram_transport,
    read_pipe,
    write_pipe,
    server,
]


@pytest.mark.parametrize("knot", TRANSPORT_KNOTS)
def test_cycles_of_transports(way: Way, knot: Knot) -> None:
    check(way, knot)


# Loops


def test_a_closed_loop_in_a_cycle_is_collected(way: Way) -> None:
    loop: Any = way.new_loop()
    loop.tied = loop
    loop.set_exception_handler(functools.partial(print, loop))
    loop.set_task_factory(lambda loop, coro, **keywords: asyncio.Task(coro, loop=loop, **keywords))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    reference = weakref.ref(loop)
    del loop
    assert reference() is not None
    gc.collect()
    assert reference() is None


def test_a_loop_that_is_not_closed_is_collected_with_all_it_holds(way: Way) -> None:
    """Callbacks, timers, tasks, readers and transports refer to the loop, which holds them."""

    def abandoned() -> weakref.ref[Witness]:
        witness = Witness()
        loop = way.new_loop()

        async def holds() -> None:
            await loop.create_future()
            print(witness)

        async def connect() -> Any:
            transport, protocol = await loop.create_connection(Protocol, sock=near)
            protocol.tied = witness
            return transport

        near, far = tied_pair()
        watched, other = tied_pair()
        transport = loop.run_until_complete(connect())
        watched.tied = far.tied = other, transport
        loop.add_reader(watched, print, watched, witness, far)
        task = loop.create_task(holds())
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.run_until_complete(asyncio.sleep(0))
        loop.call_soon(print, loop, witness)
        loop.call_later(3600, print, loop, witness)
        return weakref.ref(witness)

    reference = abandoned()
    assert reference() is not None
    with pytest.warns(ResourceWarning) as caught:
        collect_twice()
    assert reference() is None
    said = " ".join(str(one.message) for one in caught)
    assert "unclosed event loop" in said
    assert "unclosed transport" in said


# Tracking and weak references


async def objects(loop: Loop) -> dict[str, Any]:
    """One of each, and alive."""
    near, far = socket.socketpair()
    near.setblocking(False)
    future = loop.create_future()
    made = {
        "future": future,
        "native future": native.Future(loop=loop),
        "iterator of a future": future.__await__(),
        "iterator of a native future": native.Future(loop=loop).__await__(),
        "task": loop.create_task(asyncio.sleep(0)),
        "native task": native.Task(asyncio.sleep(0), loop=loop),
        "handle": loop.call_soon(len, ()),
        "threadsafe handle": loop.call_soon_threadsafe(len, ()),
        "timer": loop.call_later(0, len, ()),
        "sock call": loop.sock_recv(near, 1),
        "loop": loop,
    }
    made["sock call"].close()
    transport, _ = await loop.create_connection(Protocol, sock=near)
    datagram, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    read, write = os.pipe()
    reading, _ = await loop.connect_read_pipe(Protocol, open(read, "rb", 0))
    writing, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, open(write, "wb", 0))
    made |= {"stream": transport, "datagram": datagram, "reading": reading, "writing": writing}
    far.close()
    for one in (transport, datagram, reading, writing):
        await closed(one)
    return made


def test_all_are_tracked_by_the_collector(way: Way) -> None:
    async def main() -> dict[str, bool]:
        made = await objects(asyncio.get_running_loop())
        return {name: gc.is_tracked(one) for name, one in made.items()}

    tracked = way.run(main)
    assert all(tracked.values()), tracked


def test_weak_references_die_with_their_objects(way: Way) -> None:
    async def main() -> tuple[dict[str, Any], list[str]]:
        made = await objects(asyncio.get_running_loop())
        called: list[str] = []
        references = {}
        for name, one in made.items():
            # The iterators of futures take none on stock either.
            with contextlib.suppress(TypeError):
                note = functools.partial(lambda name, _: called.append(name), name)
                references[name] = weakref.ref(one, note)
        del made, one
        await asyncio.sleep(0.001)
        gc.collect()
        return references, called

    references, called = way.run(main)
    gc.collect()
    alive = [name for name, reference in references.items() if reference() is not None]
    assert alive == []
    assert sorted(called) == sorted(references)
    assert set(references) >= {
        "future",
        "native future",
        "task",
        "native task",
        "handle",
        "threadsafe handle",
        "timer",
        "sock call",
        "loop",
        "stream",
        "datagram",
        "reading",
        "writing",
    }


def test_a_weak_reference_is_dead_before_its_callback_runs(way: Way) -> None:
    async def main() -> None:
        seen: list[object] = []
        loop = asyncio.get_running_loop()
        for make in (loop.create_future, functools.partial(native.Future, loop=loop)):
            future = make()
            reference = weakref.ref(future, lambda dead: seen.append(dead()))
            del future
            assert reference() is None
        assert seen == [None, None]

    way.run(main)
