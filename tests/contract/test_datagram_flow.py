"""Datagram transports: Unix sockets, flow control, what closing does to what is buffered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
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
