"""Cancelling a sock_* call at its await, then giving its file descriptor to somebody else.

The cancelled call must have let go: the new owner of the number gets every byte and every event,
and the old call touches nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from contract.support import raw_pair, same_number, turns, until
from loops import Run

Call = Callable[[Any, socket.socket], Coroutine[Any, Any, object]]


def full(sock: socket.socket) -> None:
    """Fill the send buffer of the socket."""
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(b"f" * 65536)


def listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def backlogged() -> tuple[socket.socket, list[socket.socket], socket.socket]:
    """A listener whose queue is full, those that fill it, and a socket that cannot connect."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    client = socket.socket()
    client.setblocking(False)
    return listener, fillers, client


CALLS: dict[str, Call] = {
    "sock_recv": lambda loop, sock: loop.sock_recv(sock, 100),
    "sock_recv_into": lambda loop, sock: loop.sock_recv_into(sock, bytearray(100)),
    "sock_recvfrom": lambda loop, sock: loop.sock_recvfrom(sock, 100),
    "sock_recvfrom_into": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(100)),
    "sock_sendall": lambda loop, sock: loop.sock_sendall(sock, b"s" * 100_000),
    "sock_sendto": lambda loop, sock: loop.sock_sendto(sock, b"s" * 100, sock.target),
    "sock_accept": lambda loop, sock: loop.sock_accept(sock),
    "sock_connect": lambda loop, sock: loop.sock_connect(sock, sock.target),
}


class Waiting:
    """A socket on which the named call has to wait, and everything to close afterwards."""

    def __init__(self, method: str) -> None:
        self.others: list[socket.socket] = []
        if method == "sock_accept":
            self.sock = listening()
        elif method == "sock_connect":
            listener, fillers, client = backlogged()
            self.sock = _Client(listener.getsockname())
            client.close()
            self.others = [listener, *fillers]
        elif method == "sock_sendto":
            far = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            far.bind("")  # Linux gives it a name
            far.setblocking(False)
            self.sock = _Client(far.getsockname(), socket.AF_UNIX, socket.SOCK_DGRAM)
            self.others = [far]
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.sock.sendto(b"f" * 1000, far.getsockname())
        elif method in ("sock_recvfrom", "sock_recvfrom_into"):
            self.sock, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.sock.setblocking(False)
            far.setblocking(False)
            self.others = [far]
        else:
            self.sock, far = raw_pair("unix")
            self.others = [far]
        if method == "sock_sendall":
            full(self.sock)

    def close(self) -> None:
        for sock in [self.sock, *self.others]:
            sock.close()


class _Client(socket.socket):
    """A socket that remembers where it is to connect or to send."""

    def __init__(self, target: Any, *kind: int) -> None:
        super().__init__(*kind)
        self.setblocking(False)
        self.target = target


MOMENTS = ["before it starts", "while it waits", "as it becomes ready"]
# A connection cannot be made to succeed and be seen by the loop only afterwards.
CASES = [(m, w) for m in CALLS for w in MOMENTS if (m, w) != ("sock_connect", MOMENTS[2])]


@pytest.mark.parametrize(("method", "when"), CASES)
def test_the_next_owner_of_the_fd_is_not_disturbed(run: Run, method: str, when: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = Waiting(method)
        task = asyncio.ensure_future(CALLS[method](loop, waiting.sock))
        fd = waiting.sock.fileno()
        if when != "before it starts":
            await turns(3)
            assert not task.done(), "the call did not have to wait"
        caller = None
        if when == "as it becomes ready":
            if method == "sock_accept":
                caller = socket.create_connection(waiting.sock.getsockname())
            elif method.startswith("sock_send"):
                waiting.others[0].recv(1000)
            else:
                waiting.others[0].send(b"for the old owner")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        waiting.close()
        if caller is not None:
            caller.close()

        other = same_number(fd)
        got: list[bytes] = []
        other.send(b"first")
        await turns(5)
        loop.add_reader(fd, lambda: got.append(os.read(fd, 100)))
        await until(lambda: got)
        other.send(b"second")
        await until(lambda: len(got) == 2)
        assert got == [b"first", b"second"]
        assert loop.remove_reader(fd) is True
        assert loop.remove_writer(fd) is False
        os.close(fd)
        other.close()

    run(main)


@pytest.mark.parametrize("method", list(CALLS))
def test_a_cancelled_call_leaves_nothing_registered(run: Run, method: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = Waiting(method)
        task = asyncio.ensure_future(CALLS[method](loop, waiting.sock))
        await turns(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert loop.remove_reader(waiting.sock) is False
        assert loop.remove_writer(waiting.sock) is False
        waiting.close()

    run(main)


def test_a_cancelled_recv_takes_no_bytes(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        for number in range(20):
            task = asyncio.ensure_future(loop.sock_recv(near, 100))
            await turns(number % 3)
            task.cancel()
            await asyncio.wait([task])
            far.send(b"%02d" % number)
            assert await loop.sock_recv(near, 100) == b"%02d" % number
        near.close()
        far.close()

    run(main)


def test_a_recv_that_timed_out_can_be_called_again(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        with near, far:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(loop.sock_recv(near, 10), 0.005)
            far.send(b"at last")
            assert await loop.sock_recv(near, 10) == b"at last"

    run(main)


def test_sendall_cancelled_half_way_stops_there(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with near, far:
            task = asyncio.ensure_future(loop.sock_sendall(near, b"a" * 3_000_000))
            await turns(3)
            task.cancel()
            await asyncio.wait([task])
            received = bytearray()
            while True:
                try:
                    received += far.recv(1 << 20)
                except BlockingIOError:
                    break
            assert 0 < len(received) < 3_000_000
            await asyncio.sleep(0.005)
            with pytest.raises(BlockingIOError):
                far.recv(1)

    run(main)
