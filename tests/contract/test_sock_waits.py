"""Waits of sock_* calls one after the other: what a loop keeps between them shows nowhere.

A loop may leave a socket with the kernel's poller when a call has ended, to save the next one a
system call. See also test_sock_numbers.py and test_sock_neighbours.py.
"""

from __future__ import annotations

import asyncio
import socket

import pytest

from contract.support import answered, both_kinds, raw_pair, receive, turns
from loops import Run


@both_kinds
def test_one_call_after_the_other_waits_and_is_answered(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair(kind)
        with near, far:
            for number in range(50):
                await answered(loop.sock_recv(near, 100), far, b"%d" % number)
                far.send(b"ready before the call")
                assert await loop.sock_recv(near, 100) == b"ready before the call"
            task = asyncio.ensure_future(loop.sock_recv(near, 100))
            await turns(3)
            far.close()
            assert await asyncio.wait_for(task, 10) == b""

    run(main)


@pytest.mark.parametrize("buffer", [bytearray(4), memoryview(bytearray(4))])
def test_calls_that_fill_a_buffer_wait_again_and_again(
    run: Run, buffer: bytearray | memoryview
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        with near, far:
            for number in range(10):
                task = asyncio.ensure_future(loop.sock_recv_into(near, buffer))
                await turns(3)
                far.send(b"%04d" % number)
                assert await asyncio.wait_for(task, 10) == 4
                assert bytes(buffer) == b"%04d" % number

    run(main)


def test_datagrams_are_waited_for_again_and_again(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with (
            socket.socket(type=socket.SOCK_DGRAM) as near,
            socket.socket(type=socket.SOCK_DGRAM) as far,
        ):
            for sock in (near, far):
                sock.setblocking(False)
                sock.bind(("127.0.0.1", 0))
            far.connect(near.getsockname())
            for number in range(10):
                task = asyncio.ensure_future(loop.sock_recvfrom(near, 10))
                await turns(3)
                far.send(b"%d" % number)
                assert await asyncio.wait_for(task, 10) == (b"%d" % number, far.getsockname())

    run(main)


@both_kinds
def test_both_directions_of_a_socket_wait_at_once(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair(kind)
        with near, far:
            for order in ("reader first", "writer first", "reader first"):
                payload = order.encode() * 100_000
                receiving = asyncio.ensure_future(loop.sock_recv(near, 100))
                sending = asyncio.ensure_future(loop.sock_sendall(near, payload))
                await turns(5)
                assert not receiving.done()
                assert not sending.done()
                if order == "reader first":
                    far.send(b"answer")
                    assert await asyncio.wait_for(receiving, 10) == b"answer"
                    assert not sending.done()
                assert await receive(far, len(payload)) == payload
                await asyncio.wait_for(sending, 10)
                if order == "writer first":
                    assert not receiving.done()
                    far.send(b"answer")
                    assert await asyncio.wait_for(receiving, 10) == b"answer"

    run(main)


@pytest.mark.parametrize("cancelled", ["reader", "writer"])
def test_one_direction_goes_on_waiting_when_the_other_is_cancelled(
    run: Run, cancelled: str
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with near, far:
            receiving = asyncio.ensure_future(loop.sock_recv(near, 100))
            sending = asyncio.ensure_future(loop.sock_sendall(near, b"s" * 1_000_000))
            await turns(5)
            (receiving if cancelled == "reader" else sending).cancel()
            await turns(2)
            far.send(b"data")
            if cancelled == "reader":
                assert len(await receive(far, 1_000_000)) == 1_000_000
                await asyncio.wait_for(sending, 10)
                assert await loop.sock_recv(near, 100) == b"data"
            else:
                assert await asyncio.wait_for(receiving, 10) == b"data"

    run(main)


def test_a_call_whose_event_has_come_is_answered_in_the_next_run(
    loop: asyncio.AbstractEventLoop,
) -> None:
    """An exception leaves the loop between the poll and the call's next try."""
    near, far = raw_pair("unix")
    other, peer = raw_pair("unix")

    def interrupt() -> None:
        other.recv(10)
        raise KeyboardInterrupt

    with near, far, other, peer:
        task = loop.create_task(loop.sock_recv(near, 100))  # type: ignore[arg-type, var-annotated]
        loop.run_until_complete(asyncio.sleep(0))
        loop.add_reader(other, interrupt)
        for order in (peer, far), (far, peer):
            for sock in order:
                sock.send(b"data")
            with pytest.raises(KeyboardInterrupt):
                loop.run_until_complete(asyncio.sleep(0.05))
            assert loop.run_until_complete(asyncio.wait_for(task, 10)) == b"data"
            task = loop.create_task(loop.sock_recv(near, 100))  # type: ignore[arg-type]
            loop.run_until_complete(asyncio.sleep(0))
        task.cancel()
        loop.run_until_complete(asyncio.wait([task]))
        loop.remove_reader(other)


def test_debug_mode_may_change_between_and_during_waits(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with near, far:
            for debug in (False, True, False, True):
                loop.set_debug(debug)
                await answered(loop.sock_recv(near, 100), far, b"between")
                task = asyncio.ensure_future(loop.sock_recv(near, 100))
                await turns(3)
                loop.set_debug(not debug)
                await turns(3)
                far.send(b"during")
                assert await asyncio.wait_for(task, 10) == b"during"
                await answered(loop.sock_recv(near, 100), far, b"after")
            loop.set_debug(False)

    run(main)
