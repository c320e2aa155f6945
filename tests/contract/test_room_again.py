"""Room to write that comes and goes: a transport waits for it as often as it takes.

Between two waits the peer reads and answers what is small, which on some sockets the system
reports as room, too, although nobody waits for it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest

from contract.support import Recorder, both_kinds, connected, receive, turns, until
from loops import Run

CYCLES = 5


def block(transport: Any) -> int:
    """Write until something has to wait in the transport; the number of bytes."""
    written = 0
    while transport.get_write_buffer_size() == 0:
        transport.write(b"f" * 50_000)
        written += 50_000
    return written


async def small_talk(transport: Any, protocol: Recorder, peer: socket.socket) -> None:
    for number in range(10):
        protocol.data.clear()
        transport.write(b"%04d" % number)
        assert await receive(peer, 4) == b"%04d" % number
        peer.send(b"answer")
        await until(lambda: protocol.data == b"answer")


@both_kinds
def test_a_stream_waits_for_room_again_and_again(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            for _ in range(CYCLES):
                written = block(transport)
                assert await receive(peer, written) == b"f" * written
                await until(lambda: transport.get_write_buffer_size() == 0)
                await small_talk(transport, protocol, peer)
            pauses = [event for event in protocol.events if event.endswith("_writing")]
            assert pauses[::2].count("pause_writing") == len(pauses[::2])
            assert pauses[1::2].count("resume_writing") == len(pauses[1::2])

    run(main)


@both_kinds
def test_what_is_read_meanwhile_is_not_lost(run: Run, kind: str) -> None:
    """The peer writes while it makes room: both come at once."""

    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            for number in range(CYCLES):
                protocol.data.clear()
                written = block(transport)
                for piece in range(written // 10_000):
                    assert len(await receive(peer, 10_000)) == 10_000
                    peer.send(b"%02d" % (piece % 100))
                await until(lambda size=written // 10_000 * 2: len(protocol.data) == size)  # type: ignore[misc]
                assert transport.get_write_buffer_size() == 0, f"cycle {number}"

    run(main)


@both_kinds
def test_a_stream_that_was_blocked_before_it_was_made_known(run: Run, kind: str) -> None:
    """connection_made() writes more than there is room for, before reading has begun."""

    class Talkative(Recorder):
        written = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.written = block(transport)

    async def main() -> None:
        async with connected(kind, Talkative) as (transport, protocol, peer):
            assert await receive(peer, protocol.written) == b"f" * protocol.written
            await until(lambda: transport.get_write_buffer_size() == 0)
            await small_talk(transport, protocol, peer)

    run(main)


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_write_pipe_waits_for_room_again_and_again(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        if kind == "pipe":
            reader, writer = os.pipe()
            file: Any = os.fdopen(writer, "wb")
        else:
            peer, file = socket.socketpair()
            reader = peer.detach()
        os.set_blocking(reader, False)

        async def drain(count: int) -> None:
            while count:
                try:
                    count -= len(os.read(reader, min(count, 20_000)))
                except BlockingIOError:
                    await asyncio.sleep(0)

        transport, _ = await loop.connect_write_pipe(Recorder, file)
        for _ in range(CYCLES):
            await drain(block(transport))
            await until(lambda: transport.get_write_buffer_size() == 0)
            for _ in range(5):
                transport.write(b"small")
                await drain(5)
                await turns(3)
        transport.close()
        await turns(3)
        os.close(reader)

    run(main)


def test_a_connected_datagram_socket_waits_for_room_again_and_again(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(tmp_path_factory.mktemp("d") / "peer")

    class Deaf(asyncio.DatagramProtocol):
        pass

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
        peer.setblocking(False)
        peer.bind(path)
        near.connect(path)
        transport, _ = await loop.create_datagram_endpoint(Deaf, sock=near)
        sent = got = 0

        def drained() -> bool:
            nonlocal got
            try:
                while True:
                    assert len(peer.recv(2000)) == 1000
                    got += 1
            except BlockingIOError:
                return got == sent

        for _ in range(CYCLES):
            # Some of these wait; how many bytes, stock 3.13 does not know.
            for _ in range(1000):
                transport.sendto(b"d" * 1000)
                sent += 1
            await until(drained)
            for _ in range(5):
                transport.sendto(b"d" * 1000)
                sent += 1
                await until(drained)
        transport.close()
        await turns(3)
        peer.close()

    run(main)
