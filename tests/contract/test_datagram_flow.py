"""Datagram transports: Unix sockets, flow control, what closing does to what is buffered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.datagrams import LOCAL, Receiver, endpoint
from contract.support import turns, until
from loops import Run


def test_sendto_after_abort_is_dropped(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            address = transport.get_extra_info("sockname")
            transport.abort()
            assert transport.is_closing()
            transport.sendto(b"late", address)
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            assert protocol.got == []

    run(main)
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_close_calls_connection_lost_once(run: Run) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            transport.close()
            transport.close()
            assert not protocol.lost
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            assert transport.get_extra_info("socket").fileno() == -1

    run(main)


def test_no_datagram_is_received_after_close(run: Run) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", transport.get_extra_info("sockname"))
            transport.close()
            await until(lambda: protocol.lost)
            await turns(3)
            assert protocol.got == []

    run(main)


def test_unix_datagrams(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("d")
    here, there = str(folder / "h"), str(folder / "t")

    async def main() -> None:
        async with (
            endpoint(local_addr=here, family=socket.AF_UNIX) as (left, left_protocol),
            endpoint(local_addr=there, family=socket.AF_UNIX) as (right, right_protocol),
        ):
            left.sendto(b"one", there)
            await until(lambda: right_protocol.got)
            assert right_protocol.got == [(b"one", here)]
            right.sendto(b"two", here)
            await until(lambda: left_protocol.got == [(b"two", there)])

    run(main)


@asynccontextmanager
async def unix_endpoint(folder: Path) -> AsyncIterator[tuple[Any, Receiver, socket.socket]]:
    """An endpoint connected to a plain socket that takes only a few datagrams."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as far:
        far.bind(str(folder / "far"))
        far.setblocking(False)
        async with endpoint(
            local_addr=str(folder / "near"), remote_addr=str(folder / "far"), family=socket.AF_UNIX
        ) as (transport, protocol):
            yield transport, protocol, far


def test_a_full_unix_socket_pauses_and_resumes_writing_and_loses_nothing(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def main() -> None:
        folder = tmp_path_factory.mktemp("d")
        async with unix_endpoint(folder) as (transport, protocol, far):
            transport.set_write_buffer_limits(high=5000)
            count = 0
            buffer = bytearray(1000)
            while "pause_writing" not in protocol.events:
                buffer[:4] = b"%04d" % count
                transport.sendto(buffer)
                count += 1
            assert transport.get_write_buffer_size() > 5000
            buffer[:4] = b"----"
            received: list[bytes] = []

            def drained() -> bool:
                with contextlib.suppress(BlockingIOError):
                    received.append(far.recv(2000)[:4])
                return len(received) == count

            await until(drained)
            assert received == [b"%04d" % number for number in range(count)]
            await until(lambda: protocol.events[-1] == "resume_writing")
            assert protocol.events == ["connection_made", "pause_writing", "resume_writing"]

    run(main)


@pytest.mark.parametrize("method", ["close", "abort"])
def test_close_sends_what_is_buffered_and_abort_does_not(
    run: Run, method: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def main() -> int:
        folder = tmp_path_factory.mktemp("d")
        received = 0
        async with unix_endpoint(folder) as (transport, protocol, far):
            for _ in range(1000):
                transport.sendto(b"x" * 100)
            assert transport.get_write_buffer_size() > 0
            getattr(transport, method)()
            while True:
                try:
                    far.recv(2000)
                    received += 1
                except BlockingIOError:
                    if protocol.lost:
                        break
                    await asyncio.sleep(0)
        return received

    received = run(main)
    assert received == 1000 if method == "close" else received < 1000


class OneByOne(asyncio.DatagramProtocol):
    """Hands each datagram to whoever waits; without that it is dropped."""

    def __init__(self) -> None:
        self.waiter: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.dropped: list[bytes] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.waiter.done():
            self.dropped.append(data)
        else:
            self.waiter.set_result(data)


def burst(address: Any, count: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for number in range(count):
            sender.sendto(b"%d" % number, address)


def test_a_task_that_waits_for_a_datagram_runs_before_the_next_one(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(OneByOne, local_addr=LOCAL)
        burst(transport.get_extra_info("sockname"), 5)
        for number in range(5):
            assert await protocol.waiter == b"%d" % number
            protocol.waiter = loop.create_future()
        assert protocol.dropped == []
        transport.close()

    run(main)


def test_what_a_datagram_schedules_comes_before_the_next_one(run: Run) -> None:
    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        seen: list[str] = []

        class Scheduling(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                seen.append(data.decode())
                loop.call_soon(seen.append, "callback")

        transport, _ = await loop.create_datagram_endpoint(Scheduling, local_addr=LOCAL)
        burst(transport.get_extra_info("sockname"), 3)
        await until(lambda: len(seen) == 6)
        transport.close()
        return seen

    assert run(main) == ["0", "callback", "1", "callback", "2", "callback"]


def test_a_stopped_loop_gives_out_no_further_datagram(loop: asyncio.AbstractEventLoop) -> None:
    seen: list[bytes] = []

    class Stopping(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            seen.append(data)
            loop.stop()

    transport, _ = loop.run_until_complete(
        loop.create_datagram_endpoint(Stopping, local_addr=LOCAL)
    )
    burst(transport.get_extra_info("sockname"), 3)
    for number in range(1, 4):
        loop.run_forever()
        assert seen == [b"%d" % one for one in range(number)]
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))


@pytest.mark.parametrize("most", [1, 2])
def test_max_size_cuts_datagrams_off(run: Run, most: int) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            assert transport.max_size == 256 * 1024
            transport.max_size = most
            assert transport.max_size == most
            burst(transport.get_extra_info("sockname"), 12)
            await until(lambda: len(protocol.got) == 12)
            assert [data for data, _ in protocol.got][-1] == b"11"[:most]

    run(main)


def test_timers_and_other_files_come_between_datagrams(run: Run) -> None:
    """Also where the protocol takes its time for each."""
    seen: list[str] = []

    class Slow(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            if not seen:
                far.send(b"x")
            time.sleep(0.005)
            seen.append("datagram")

    near, far = socket.socketpair()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as sender, near, far:
            transport, _ = await loop.create_datagram_endpoint(Slow, local_addr=LOCAL)
            address = transport.get_extra_info("sockname")
            for _ in range(20):
                sender.sendto(b"x", address)
            loop.call_later(0.012, seen.append, "timer")

            def readable() -> None:
                loop.remove_reader(near)
                seen.append("file")

            loop.add_reader(near, readable)
            await until(lambda: seen.count("datagram") == 20)
            transport.abort()
            await asyncio.sleep(0)

    run(main)
    assert seen.index("file") <= 4
    assert seen.index("timer") <= 6
