"""What a transport has the system watch: room to write only while something waits for it.

The system says it itself: `/proc/self/fdinfo` lists what an epoll descriptor watches. Without
this, each read of a Unix or UDP peer would wake the loop, between a request and its answer.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
import socket
from pathlib import Path
from typing import Any

import batuta
import pytest

from contract.support import Recorder, both_kinds, connected, receive, turns, until
from loops import Run

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def run() -> Run:
    return Run(batuta.new_event_loop)


def watched(fd: int) -> int:
    """The events of `fd` that the only epoll descriptor that knows it watches."""
    found = []
    for one in DESCRIPTORS.iterdir():
        try:
            if os.readlink(one) != "anon_inode:[eventpoll]":
                continue
            info = (DESCRIPTORS.parent / "fdinfo" / one.name).read_text()
        except OSError:
            continue  # The descriptor of the listing itself.
        for number, events in re.findall(r"tfd:\s*(\d+)\s+events:\s*([0-9a-f]+)", info):
            if int(number) == fd:
                found.append(int(events, 16))
    (events,) = found
    return events


def watches_room(transport: Any) -> bool:
    events = watched(transport.get_extra_info("socket").fileno())
    assert events & select.EPOLLIN
    return bool(events & select.EPOLLOUT)


@both_kinds
def test_a_stream_watches_for_room_from_its_first_full_socket_on(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.write(b"small")
            assert await receive(peer, 5) == b"small"
            await turns(3)
            assert not watches_room(transport)
            size = 3_000_000
            transport.write(b"x" * size)
            assert watches_room(transport)
            await receive(peer, size)
            await until(lambda: transport.get_write_buffer_size() == 0)
            peer.send(b"x")
            await until(lambda: protocol.data)
            if kind == "unix":  # A TCP socket is silent where nobody waits.
                transport.write(b"small")
                await receive(peer, 5)
                await until(lambda: not watches_room(transport))
            transport.write(b"x" * size)
            assert watches_room(transport)
            assert await receive(peer, size) == b"x" * size

    run(main)


def test_a_datagram_socket_does_not_watch_for_room(run: Run) -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(data, addr)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.setblocking(False)
            peer.connect(transport.get_extra_info("sockname"))
            for _ in range(3):
                peer.send(b"ping")
                assert await receive(peer, 4) == b"ping"
                assert not watches_room(transport)
        transport.close()
        await turns(3)

    run(main)
