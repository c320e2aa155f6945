"""Readiness that the kernel tells once: no data may stay behind because of what came with it.

Reads that end short although more is there, urgent data, Ctrl-C in the middle of a batch of events,
a protocol that pauses and resumes, writes that are held back when the transport ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any

import pytest

from contract.support import (
    Recorder,
    both_kinds,
    connected,
    raw_pair,
    receive,
    receive_all,
    turns,
    until,
)
from loops import Child, Run


def send_with_descriptors(peer: socket.socket) -> bytes:
    """Send pieces of which a read returns one at most: each second one carries a descriptor."""
    pieces = [b"one", b"two", b"three", b"four", b"five"]
    for number, piece in enumerate(pieces):
        if number % 2 == 0:
            socket.send_fds(peer, [piece], [peer.fileno()])
        else:
            peer.send(piece)
    return b"".join(pieces)


def test_a_read_that_ends_at_a_passed_descriptor_is_not_taken_for_the_last(run: Run) -> None:
    async def main() -> None:
        async with connected("unix", Recorder) as (_, protocol, peer):
            for _ in range(3):
                protocol.data.clear()
                sent = send_with_descriptors(peer)
                await until(lambda sent=sent: protocol.data == sent)  # type: ignore[misc]

    run(main)


def test_a_read_that_ends_where_credentials_change_is_not_taken_for_the_last(child: Child) -> None:
    """With SO_PASSCRED what two processes have written never comes in one read."""
    out = child.check("""
        import asyncio, os, socket
        class Protocol(asyncio.Protocol):
            data = b""
            def data_received(self, data):
                self.data += data
        async def main():
            loop = asyncio.get_running_loop()
            near, peer = socket.socketpair()
            near.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            near.setblocking(False)
            transport, protocol = await loop.create_connection(Protocol, sock=near)
            for number in range(3):
                peer.send(b"parent ")
                pid = os.fork()
                if pid == 0:
                    peer.send(b"child ")
                    os._exit(0)
                os.waitpid(pid, 0)
                peer.send(b"parent again\\n")
                await asyncio.sleep(0.02)
            print(protocol.data.decode(), end="")
            transport.abort()
            peer.close()
        run(main())
    """)
    assert out == "parent child parent again\n" * 3


def test_a_read_pipe_on_a_socket_reads_beyond_a_passed_descriptor(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("unix")
        with peer:
            transport, protocol = await loop.connect_read_pipe(Recorder, near)
            sent = send_with_descriptors(peer)
            await until(lambda: len(protocol.data) == len(sent))
            assert protocol.data == sent
            transport.close()
            await until(lambda: protocol.lost)

    run(main)


def unix_sockets_know_urgent_data() -> bool:
    near, far = socket.socketpair()
    with near, far:
        try:
            near.send(b"!", socket.MSG_OOB)
        except OSError:
            return False
    return True


@both_kinds
def test_data_around_an_urgent_byte_arrive_without_it(run: Run, kind: str) -> None:
    """A read stops before the urgent byte, whatever is behind it."""
    if kind == "unix" and not unix_sockets_know_urgent_data():
        pytest.skip("this kernel has no urgent data on Unix sockets")

    async def main() -> None:
        async with connected(kind, Recorder) as (_, protocol, peer):
            await turns(3)
            for _ in range(3):
                protocol.data.clear()
                peer.send(b"before")
                peer.send(b"!", socket.MSG_OOB)
                peer.send(b"after")
                await until(lambda: len(protocol.data) >= 11)
                assert protocol.data == b"beforeafter"

    run(main)


def test_an_urgent_byte_alone_changes_nothing(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            peer.send(b"!", socket.MSG_OOB)
            await asyncio.sleep(0.02)
            assert protocol.events == ["connection_made"]
            peer.send(b"data")
            await until(lambda: protocol.data)
            assert protocol.data == b"data"
            transport.write(b"answer")
            assert await receive(peer, 6) == b"answer"

    run(main)


def test_ctrl_c_does_not_lose_data_that_came_in_the_same_poll(child: Child) -> None:
    """The signal and the data arrive while a callback that runs no bytecode holds the loop."""
    out = child.check("""
        import asyncio, signal, socket, threading
        class Protocol(asyncio.Protocol):
            def data_received(self, data):
                print(data.decode())
                loop.stop()
        loop = new_event_loop()
        near, peer = socket.socketpair()
        near.setblocking(False)
        transport, _ = loop.run_until_complete(loop.create_connection(Protocol, sock=near))
        loop.run_until_complete(asyncio.sleep(0.01))
        inside, done = threading.Lock(), threading.Lock()
        inside.acquire()
        done.acquire()
        def interrupt():
            inside.acquire()
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            peer.send(b"data")
            done.release()
        thread = threading.Thread(target=interrupt)
        thread.start()
        loop.call_soon(inside.release)
        loop.call_soon(done.acquire)
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("KeyboardInterrupt")
        thread.join()
        loop.run_forever()
        transport.abort()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        peer.close()
    """)
    assert out == "KeyboardInterrupt\ndata\n"


@both_kinds
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_data_received_does_not_lose_the_room_to_write(
    loop: asyncio.AbstractEventLoop, kind: str, error: type[BaseException]
) -> None:
    """Both come in one event; the transport must write the rest in the next run."""
    size = 3_000_000
    received = bytearray()

    class Exiting(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise error("in data_received")

    def drain(peer: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while piece := peer.recv(1 << 20):
                received.extend(piece)

    def drain_and_send(peer: socket.socket) -> None:
        drain(peer)
        peer.send(b"data")

    near, peer = raw_pair(kind)
    transport, protocol = loop.run_until_complete(loop.create_connection(Exiting, sock=near))
    transport.write(b"x" * size)
    loop.run_until_complete(asyncio.sleep(0.01))
    assert transport.get_write_buffer_size() > 0
    loop.call_soon(drain_and_send, peer)
    with pytest.raises(error, match="in data_received"):
        loop.run_forever()
    assert protocol.data == b"data"

    async def rest() -> None:
        loop.add_reader(peer, drain, peer)
        await until(lambda: len(received) == size)
        await until(lambda: transport.get_write_buffer_size() == 0)
        loop.remove_reader(peer)
        transport.close()
        await until(lambda: protocol.lost)

    loop.run_until_complete(rest())
    assert received == b"x" * size
    assert protocol.reason is None
    peer.close()


class Restless:
    """Pauses and resumes reading, each time it gets something."""

    transport: Any
    count = 0
    calls = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def again(self, size: int) -> None:
        self.count += size
        self.calls += 1
        for _ in range(2):
            self.transport.pause_reading()
            self.transport.resume_reading()


class RestlessProtocol(Restless, asyncio.Protocol):
    def data_received(self, data: bytes) -> None:
        self.again(len(data))


class RestlessBufferedProtocol(Restless, asyncio.BufferedProtocol):
    def __init__(self) -> None:
        self.buffer = bytearray(64)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.again(nbytes)


@both_kinds
@pytest.mark.parametrize("factory", [RestlessProtocol, RestlessBufferedProtocol])
def test_pausing_and_resuming_in_each_callback_gives_one_read_in_a_turn(
    run: Run, kind: str, factory: Callable[[], RestlessProtocol | RestlessBufferedProtocol]
) -> None:
    async def main() -> None:
        async with connected(kind, factory) as (_, protocol, peer):
            sent = passed = 0
            before = protocol.calls
            with contextlib.suppress(BlockingIOError):
                while sent < 50_000:
                    sent += peer.send(b"x" * 1000)
            while protocol.count < sent:
                await asyncio.sleep(0)
                passed += 1
                assert protocol.calls - before <= passed + 1
                assert passed < 1_000_000, f"{protocol.count} of {sent} bytes"

    run(main)


@both_kinds
@pytest.mark.parametrize("end", ["abort", "close and write"])
def test_what_a_callback_wrote_before_it_ended_the_transport_is_sent(
    run: Run, kind: str, end: str
) -> None:
    class Answering(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(b"1")
            self.transport.write(b"2")
            if end == "abort":
                self.transport.abort()
            else:
                self.transport.close()
                self.transport.write(b"3")

    async def main() -> None:
        async with connected(kind, Answering) as (_, protocol, peer):
            peer.send(b"question")
            assert await receive_all(peer) == b"12"
            await until(lambda: protocol.lost)
            assert protocol.events == ["connection_made", "data_received", "connection_lost"]
            assert protocol.reason is None

    run(main)
