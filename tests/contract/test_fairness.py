"""A task that only gives way with sleep(0) starves nothing: not I/O, timers, threads, signals.

The bounds are in turns of the loop and generous: they tell a late delivery from one that never
comes, not a fast loop from a slow one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from contract.support import Recorder, connected, raw_pair
from loops import Run

SECONDS = 20.0


async def spin_until(condition: Callable[[], object]) -> int:
    """Spin with sleep(0) until the condition holds; the number of turns it took."""
    deadline = time.monotonic() + SECONDS
    count = 0
    while not condition():
        await asyncio.sleep(0)
        count += 1
        assert time.monotonic() < deadline, f"starved for {count} turns"
    return count


def test_a_reader_is_served_while_a_task_spins(run: Run) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        got: list[bytes] = []
        loop.add_reader(near, lambda: got.append(near.recv(10)))
        far.send(b"x")
        count = await spin_until(lambda: got)
        loop.remove_reader(near)
        near.close()
        far.close()
        return count

    assert run(main) <= 1000


def test_a_connection_makes_progress_while_a_task_spins(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            for number in range(50):
                peer.send(b"%04d" % number)
                await spin_until(lambda n=number: len(protocol.data) == 4 * (n + 1))
            transport.write(b"y" * 1_000_000)
            received = 0

            def drained() -> bool:
                nonlocal received
                try:
                    received += len(peer.recv(65536))
                except BlockingIOError:
                    return False
                return received == 1_000_000

            await spin_until(drained)

    run(main)


def test_a_timer_fires_while_a_task_spins(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fired: list[float] = []
        due = loop.time() + 0.02
        loop.call_at(due, lambda: fired.append(loop.time()))
        await spin_until(lambda: fired)
        assert fired[0] >= due

    run(main)


def test_another_thread_gets_in_while_a_task_spins(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        got: list[int] = []

        def feed() -> None:
            for number in range(100):
                loop.call_soon_threadsafe(got.append, number)

        thread = threading.Thread(target=feed)
        thread.start()
        await spin_until(lambda: len(got) == 100)
        thread.join()
        assert got == list(range(100))

    run(main)


def test_a_signal_handler_runs_while_a_task_spins(run: Run) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        got: list[int] = []
        loop.add_signal_handler(signal.SIGUSR1, got.append, 1)
        os.kill(os.getpid(), signal.SIGUSR1)
        count = await spin_until(lambda: got)
        loop.remove_signal_handler(signal.SIGUSR1)
        return count

    assert run(main) <= 1000


def test_a_chain_of_call_soon_does_not_starve_io_and_timers(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        got: set[str] = set()
        links = 0
        deadline = time.monotonic() + SECONDS

        def readable() -> None:
            near.recv(1)
            got.add("io")

        def link() -> None:
            nonlocal links
            links += 1
            if len(got) < 2 and time.monotonic() < deadline:
                loop.call_soon(link)
            elif not done.done():
                done.set_result(None)

        done = loop.create_future()
        loop.add_reader(near, readable)
        loop.call_later(0.01, got.add, "timer")
        far.send(b"x")
        loop.call_soon(link)
        await done
        loop.remove_reader(near)
        near.close()
        far.close()
        assert got == {"io", "timer"}, f"starved for {links} links"

    run(main)


@pytest.mark.parametrize("flood", [2, 100])
def test_a_busy_connection_does_not_starve_another(run: Run, flood: int) -> None:
    """One peer always has bytes waiting; another that says little is heard all the same."""

    async def main() -> None:
        async with (
            connected("tcp", Recorder) as (loud, loud_protocol, loud_peer),
            connected("tcp", Recorder) as (_, quiet, quiet_peer),
        ):

            def refill() -> None:
                loud_protocol.data.clear()
                loud_protocol.chunks.clear()
                try:
                    for _ in range(flood):
                        loud_peer.send(b"z" * 4096)
                except BlockingIOError:
                    pass

            for number in range(20):
                refill()
                quiet_peer.send(b"q")

                def heard(wanted: int = number + 1) -> bool:
                    refill()
                    return len(quiet.data) == wanted

                await spin_until(heard)
            assert not loud.is_closing()

    run(main)


@pytest.mark.parametrize("kind", ["connection", "pipe", "reader"])
def test_what_waits_in_a_new_file_comes_before_what_is_scheduled_later(run: Run, kind: str) -> None:
    """A program may count on it: whoever connects a socket or a pipe with data in it is told of the
    data before his next steps."""

    async def main() -> None:
        loop, order = asyncio.get_running_loop(), []

        class Notes(asyncio.Protocol):
            def data_received(self, data: bytes) -> None:
                order.append("data")

        # A coroutine that has connected something goes on a turn later.
        for later in range(1 + (kind == "reader"), 5):
            near, far = raw_pair("unix")
            far.send(b"x")
            if kind == "connection":
                transport, _ = await loop.create_connection(Notes, sock=near)
            elif kind == "pipe":
                pipe = os.fdopen(os.dup(near.fileno()), "rb", 0)
                near.close()
                transport, _ = await loop.connect_read_pipe(Notes, pipe)  # type: ignore[assignment]
            else:
                loop.add_reader(near, lambda near=near: order.append(near.recv(1) and "data"))
            for _ in range(later):
                await asyncio.sleep(0)
            order.append("later")
            if kind == "reader":
                loop.remove_reader(near)
                near.close()
            else:
                transport.close()
            far.close()
            await asyncio.sleep(0.001)
        assert order == ["data", "later"] * (len(order) // 2)
        assert len(order) >= 6

    run(main)


def test_the_end_of_a_connection_comes_soon_while_tasks_run(run: Run) -> None:
    """With both ends in one loop, as tests of servers have them, a peer's farewell is there after
    few turns."""

    async def main() -> int:
        async with connected("unix", Recorder) as (_, protocol, peer):
            await asyncio.sleep(0.002)
            peer.close()
            return await spin_until(lambda: protocol.lost)

    assert max(run(main) for _ in range(5)) <= 6
