"""A connection whose end was read and that the protocol keeps open: it can be written to, and where
the program forgets it, the collector closes it. On both loops.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from contract.kits import Kit, both_kits
from contract.support import Recorder, both_kinds, connected, raw_pair, receive, until
from loops import Run

# More than the system takes at once.
MUCH = bytes(range(256)) * 20_000


class Kept(Recorder):
    """Keeps the connection open after the end."""

    def eof_received(self) -> bool:
        super().eof_received()
        return True


async def collected(condition: Callable[[], object]) -> None:
    """Has the collector look for it until the condition holds."""

    def holds() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
        return condition()

    await until(holds)


@pytest.mark.filterwarnings("ignore:unclosed <StreamWriter:ResourceWarning")
@both_kits
def test_the_peer_of_a_handler_that_forgets_its_writer_sees_the_end(run: Run, kit: Kit) -> None:
    handled: list[bytes] = []

    async def handler(reader: Any, writer: Any) -> None:
        handled.append(await reader.read())

    async def main() -> None:
        server = await kit.start_server(handler, "127.0.0.1", 0)
        reader, writer = await kit.open_connection(*server.sockets[0].getsockname())
        writer.write(b"all of it")
        writer.write_eof()
        await until(lambda: handled)
        assert handled == [b"all of it"]
        await collected(reader.at_eof)
        writer.close()
        await writer.wait_closed()
        server.close()

    run(main)


@both_kinds
def test_a_forgotten_protocol_is_closed_by_the_collector(run: Run, kind: str) -> None:
    told: list[str] = []

    class Told(Kept):
        def eof_received(self) -> bool:
            told.append("eof_received")
            return super().eof_received()

    def is_closed(peer: socket.socket) -> bool:
        try:
            return peer.recv(1) == b""
        except BlockingIOError:
            return False

    async def main() -> None:
        near, peer = raw_pair(kind)
        with peer:
            await asyncio.get_running_loop().create_connection(Told, sock=near)
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: told)
            assert not is_closed(peer)
            del near
            await collected(lambda: is_closed(peer))

    run(main)


@both_kinds
def test_writing_goes_on_after_the_end_was_read(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Kept) as (transport, protocol, peer):
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: "eof_received" in protocol.events)
            await asyncio.sleep(0.01)
            for _ in range(2):
                transport.write(MUCH)
                assert await receive(peer, len(MUCH)) == MUCH
                await until(lambda: not transport.get_write_buffer_size())
            assert protocol.events.count("pause_writing") == 2
            assert protocol.events.count("resume_writing") == 2
            transport.close()
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


@both_kinds
def test_what_waits_when_the_end_is_read_is_sent(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Kept) as (transport, protocol, peer):
            transport.write(MUCH)
            assert transport.get_write_buffer_size()
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: "eof_received" in protocol.events)
            assert await receive(peer, len(MUCH)) == MUCH

    run(main)


@both_kinds
def test_a_new_protocol_is_told_of_the_end_when_reading_is_resumed(run: Run, kind: str) -> None:
    async def main() -> None:
        near, peer = raw_pair(kind)
        with peer:
            loop = asyncio.get_running_loop()
            transport, first = await loop.create_connection(Kept, sock=near)
            peer.send(b"before")
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: "eof_received" in first.events)
            second = Kept()
            transport.set_protocol(second)
            transport.pause_reading()
            await asyncio.sleep(0.001)
            transport.resume_reading()
            await until(lambda: "eof_received" in second.events)
            transport.abort()
            await until(lambda: second.lost)
            assert (first.data, second.data) == (b"before", b"")

    run(main)
