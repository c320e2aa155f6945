"""Waits of sock_* calls on descriptors whose number goes to another file between them.

Sockets are closed, detached, duplicated, replaced and forked without the loop being told.
"""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from contract.support import answered, raw_pair, receive, same_number, turns, until
from loops import SUBJECT, Child, Run, load


def test_the_next_socket_of_a_number_gets_its_own_data(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        numbers = set()
        for number in range(20):
            near, far = raw_pair("unix")
            with near, far:
                numbers.add(near.fileno())
                await answered(loop.sock_recv(near, 100), far, b"%d" % number)
                far.send(b"never read")
        assert len(numbers) < 20, "no number was used again"

    run(main)


def test_a_thousand_sockets_come_and_go(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        watched = loop._selector.get_map()  # type: ignore[attr-defined]
        before = set(watched)
        for _ in range(25):
            pairs = [socket.socketpair() for _ in range(40)]
            for pair in pairs:
                for sock in pair:
                    sock.setblocking(False)
            tasks = [asyncio.ensure_future(loop.sock_recv(near, 10)) for near, _ in pairs]
            await turns(3)
            assert set(watched) - before == {near.fileno() for near, _ in pairs}
            for number, (_, far) in enumerate(pairs):
                if number % 3:
                    far.send(b"%d" % number)
            for number, task in enumerate(tasks):
                if number % 3:
                    assert await asyncio.wait_for(task, 10) == b"%d" % number
                else:
                    task.cancel()
            await turns(3)
            assert set(watched) == before
            for near, far in pairs[::-1]:
                near.close()
                far.close()

    run(main)


@pytest.mark.parametrize("closed", ["the first", "the second"])
def test_a_duplicate_that_stays_open_disturbs_nobody(run: Run, closed: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        twin = near.dup()
        first, second = (near, twin) if closed == "the first" else (twin, near)
        await answered(loop.sock_recv(first, 100), far, b"before")
        number = first.fileno()
        first.close()
        other = same_number(number)
        heir = socket.socket(fileno=number)
        waiting = asyncio.ensure_future(loop.sock_recv(heir, 100))
        await turns(3)
        await answered(loop.sock_recv(second, 100), far, b"to the duplicate")
        await turns(3)
        assert not waiting.done()
        other.send(b"to the heir")
        assert await asyncio.wait_for(waiting, 10) == b"to the heir"
        await answered(loop.sock_recv(second, 100), far, b"and again")
        for sock in (heir, other, second, far):
            sock.close()

    run(main)


def test_a_callback_is_not_called_for_a_duplicate_of_the_former_socket(run: Run) -> None:
    """The call was cancelled as its socket became ready; then the number got a reader."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        twin = near.dup()
        await answered(loop.sock_recv(near, 100), far, b"before")
        task = asyncio.ensure_future(loop.sock_recv(near, 100))
        await turns(3)
        task.cancel()
        await turns(2)
        number = near.fileno()
        near.close()
        other = same_number(number)
        called: list[bytes] = []
        loop.add_reader(number, lambda: called.append(os.read(number, 10)))
        far.send(b"for the duplicate")
        await turns(5)
        assert called == []
        other.send(b"mine")
        await until(lambda: called)
        assert called == [b"mine"]
        assert loop.remove_reader(number) is True
        os.close(number)
        for sock in (other, twin, far):
            sock.close()

    run(main)


def test_another_file_under_the_number_of_an_open_socket_is_waited_for(run: Run) -> None:
    """dup2() changes the file; the socket object cannot know."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        other, peer = raw_pair("unix")
        with near, far, other, peer:
            await answered(loop.sock_recv(near, 100), far, b"first")
            os.dup2(other.fileno(), near.fileno())
            await answered(loop.sock_recv(near, 100), peer, b"second")

    run(main)


def test_a_socket_object_that_is_made_anew_is_waited_for(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        number = near.fileno()
        await answered(loop.sock_recv(near, 100), far, b"first")
        near.close()
        other = same_number(number)
        near.__init__(fileno=number)  # type: ignore[misc]
        near._closed = False  # type: ignore[attr-defined]
        near.setblocking(False)
        await answered(loop.sock_recv(near, 100), other, b"second")
        for sock in (near, far, other):
            sock.close()

    run(main)


def test_a_detached_socket_goes_on_in_another_object(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        await answered(loop.sock_recv(near, 100), far, b"first")
        heir = socket.socket(fileno=near.detach())
        with heir, far:
            await answered(loop.sock_recv(heir, 100), far, b"second")
            with pytest.raises(OSError, match="Bad file descriptor"):
                await loop.sock_recv(near, 100)

    run(main)


def test_two_objects_of_one_number_wait_for_one_direction_each(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        twin = socket.socket(fileno=near.fileno())
        receiving = asyncio.ensure_future(loop.sock_recv(near, 100))
        sending = asyncio.ensure_future(loop.sock_sendall(twin, b"s" * 1_000_000))
        await turns(5)
        assert len(await receive(far, 1_000_000)) == 1_000_000
        await asyncio.wait_for(sending, 10)
        assert not receiving.done()
        far.send(b"data")
        assert await asyncio.wait_for(receiving, 10) == b"data"
        twin.detach()
        near.close()
        far.close()

    run(main)


def test_a_wait_for_a_closed_socket_does_not_disturb_the_next_one() -> None:
    """A mistake of the program: the call waits for ever. With stock asyncio the next one fails."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        task = asyncio.ensure_future(loop.sock_recv(near, 100))
        await turns(3)
        number = near.fileno()
        near.close()
        far.close()
        other = same_number(number)
        heir = socket.socket(fileno=number)
        with heir, other:
            waiting = asyncio.ensure_future(loop.sock_recv(heir, 100))
            await turns(3)
            task.cancel()
            await turns(3)
            other.send(b"for the heir")
            assert await asyncio.wait_for(waiting, 10) == b"for the heir"

    Run(load(SUBJECT))(main)


def test_a_closed_socket_that_lives_on_in_a_child_does_not_keep_the_loop_busy(
    child: Child,
) -> None:
    out = child.check("""
        import asyncio, os, socket, time
        async def main():
            loop = asyncio.get_running_loop()
            near, far = socket.socketpair()
            near.setblocking(False)
            for _ in range(3):
                task = asyncio.ensure_future(loop.sock_recv(near, 10))
                await asyncio.sleep(0.01)
                far.send(b"x")
                assert await task == b"x"
            hold, release = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(release)
                os.read(hold, 1)
                os._exit(0)
            os.close(hold)
            number = near.fileno()
            near.close()
            far.send(b"nobody reads this")
            used = time.process_time()
            await asyncio.sleep(0.2)
            assert time.process_time() - used < 0.1
            left, right = socket.socketpair()
            os.dup2(left.fileno(), number)
            heir = socket.socket(fileno=number)
            heir.setblocking(False)
            task = asyncio.ensure_future(loop.sock_recv(heir, 10))
            far.send(b"nor this")
            await asyncio.sleep(0.01)
            right.send(b"mine")
            print((await task).decode())
            os.close(release)
            os.waitpid(pid, 0)
        run(main())
    """)
    assert out == "mine\n"
