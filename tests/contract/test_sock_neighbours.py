"""Waits of sock_* calls on a socket that callbacks, transports and other loops want, too."""

from __future__ import annotations

import asyncio
import socket

from contract.support import (
    Recorder,
    answered,
    both_kinds,
    raw_pair,
    receive,
    same_number,
    turns,
    until,
)
from loops import LoopFactory, Run


def test_a_reader_between_two_calls_is_an_ordinary_one(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with near, far:
            for _ in range(3):
                await answered(loop.sock_recv(near, 100), far, b"for the call")
                assert loop.remove_reader(near) is False
                assert loop.remove_writer(near) is False
                called: list[int] = []
                loop.add_reader(near, called.append, 1)
                await turns(5)
                assert called == []
                far.send(b"for the reader")
                # As long as the data is there, each turn that polls calls it.
                await until(lambda called=called: len(called) > 3)  # type: ignore[misc]
                assert near.recv(100) == b"for the reader"
                assert loop.remove_reader(near) is True
                assert loop.remove_reader(near) is False

    run(main)


def test_a_writer_beside_a_waiting_call_is_an_ordinary_one(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with near, far:
            receiving = asyncio.ensure_future(loop.sock_recv(near, 100))
            await turns(3)
            called: list[int] = []
            loop.add_writer(near, called.append, 1)
            await until(lambda: len(called) > 3)
            assert not receiving.done()
            far.send(b"data")
            assert await asyncio.wait_for(receiving, 10) == b"data"
            count = len(called)
            await until(lambda: len(called) > count)
            assert loop.remove_reader(near) is False
            assert loop.remove_writer(near) is True
            await answered(loop.sock_recv(near, 100), far, b"more")

    run(main)


def test_a_call_waits_beside_a_writer_and_without_it(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with near, far:
            loop.add_writer(near, int)
            await answered(loop.sock_recv(near, 100), far, b"beside")
            receiving = asyncio.ensure_future(loop.sock_recv(near, 100))
            await turns(3)
            assert loop.remove_writer(near) is True
            await turns(3)
            assert not receiving.done()
            far.send(b"without")
            assert await asyncio.wait_for(receiving, 10) == b"without"
            await answered(loop.sock_recv(near, 100), far, b"again")

    run(main)


def test_a_waiting_call_is_a_reader_to_the_loop(run: Run) -> None:
    """`remove_reader()` takes it away: it then waits until it is cancelled."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        selector = loop._selector  # type: ignore[attr-defined]
        near, far = raw_pair("unix")
        with near, far:
            for _ in range(2):
                task = asyncio.ensure_future(loop.sock_recv(near, 100))
                await turns(3)
                assert selector.get_key(near).events == 1
                reader, writer = selector.get_key(near).data
                assert isinstance(reader, asyncio.Handle)
                assert writer is None
                assert loop.remove_reader(near) is True
                assert loop.remove_reader(near) is False
                assert near.fileno() not in selector.get_map()
                far.send(b"data")
                await turns(10)
                assert not task.done()
                task.cancel()
                assert await loop.sock_recv(near, 100) == b"data"

    run(main)


def test_a_reader_takes_the_place_of_a_waiting_call(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with near, far:
            task = asyncio.ensure_future(loop.sock_recv(near, 100))
            await turns(3)
            got: list[bytes] = []
            loop.add_reader(near, lambda: got.append(near.recv(100)))
            far.send(b"data")
            await until(lambda: got)
            assert not task.done()
            task.cancel()
            await turns(3)
            far.send(b"more")
            await until(lambda: len(got) == 2)
            assert loop.remove_reader(near) is True

    run(main)


@both_kinds
def test_a_socket_of_calls_becomes_that_of_a_transport(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair(kind)
        with far:
            await answered(loop.sock_recv(near, 100), far, b"handshake")
            transport, protocol = await loop.create_connection(Recorder, sock=near)
            far.send(b"data")
            await until(lambda: protocol.data == b"data")
            transport.write(b"answer")
            assert await receive(far, 6) == b"answer"
            number = near.fileno()
            transport.close()
            await until(lambda: protocol.lost)
        other = same_number(number)
        heir = socket.socket(fileno=number)
        with heir, other:
            await answered(loop.sock_recv(heir, 100), other, b"next")

    run(main)


def test_a_call_that_waits_gives_way_to_a_transport(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        with far:
            task = asyncio.ensure_future(loop.sock_recv(near, 100))
            await turns(3)
            transport, protocol = await loop.create_connection(Recorder, sock=near)
            far.send(b"data")
            await until(lambda: protocol.data == b"data")
            assert not task.done()
            task.cancel()
            await turns(3)
            far.send(b"more")
            await until(lambda: protocol.data == b"datamore")
            transport.close()
            await until(lambda: protocol.lost)

    run(main)


def test_two_loops_wait_for_one_socket_in_turn(loop_factory: LoopFactory) -> None:
    near, far = raw_pair("unix")
    loops = [loop_factory(), loop_factory()]
    with near, far:
        for number in range(6):
            loop = loops[number % 2]
            data = b"%d" % number
            loop.run_until_complete(answered(loop.sock_recv(near, 100), far, data))
            # The other loop has the socket, too, and must not hang on what it sees of it.
            loops[1 - number % 2].run_until_complete(asyncio.sleep(0.001))
    for loop in loops:
        loop.close()
