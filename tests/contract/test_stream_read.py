"""Stream transports, reading: end of stream, half-close, resets, pausing, BufferedProtocol."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from contract.support import (
    Recorder,
    both_kinds,
    connected,
    raw_pair,
    receive,
    receive_all,
    reset,
    turns,
    until,
)
from loops import Run


@both_kinds
def test_received_data_is_bytes_of_the_exact_size(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (_, protocol, peer):
            for size in (1, 10, 1000, 4096, 50_000):
                protocol.chunks.clear()
                protocol.data.clear()
                peer.send(b"d" * size)
                await until(lambda size=size: len(protocol.data) == size)
                assert {type(chunk) for chunk in protocol.chunks} == {bytes}

    run(main)


@both_kinds
def test_received_bytes_stay_what_they_were(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (_, protocol, peer):
            for number in range(50):
                peer.send(b"%05d" % number * 100)
                await until(lambda n=number: len(protocol.data) == 500 * (n + 1))
            assert b"".join(protocol.chunks) == b"".join(b"%05d" % n * 100 for n in range(50))

    run(main)


@both_kinds
def test_a_large_transfer_arrives_whole(run: Run, kind: str) -> None:
    async def main() -> None:
        payload = bytes(range(256)) * 40_000
        async with connected(kind, Recorder) as (_, protocol, peer):
            sent = 0
            while sent < len(payload):
                try:
                    sent += peer.send(payload[sent : sent + 300_000])
                except BlockingIOError:
                    await asyncio.sleep(0)
            await until(lambda: len(protocol.data) == len(payload))
            assert protocol.data == payload

    run(main)


@both_kinds
@pytest.mark.parametrize("reply", [None, False])
def test_the_end_of_the_stream_closes_the_transport_by_default(
    run: Run, kind: str, reply: bool | None
) -> None:
    async def main() -> None:
        async with connected(kind, lambda: Recorder(reply)) as (transport, protocol, peer):
            peer.send(b"last words")
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.lost)
            assert protocol.events == [
                "connection_made",
                "data_received",
                "eof_received",
                "connection_lost",
            ]
            assert protocol.data == b"last words"
            assert protocol.reason is None
            assert transport.is_closing()
            assert await receive_all(peer) == b""

    run(main)


@both_kinds
def test_eof_received_that_is_true_keeps_the_writing_side_open(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, lambda: Recorder(True)) as (transport, protocol, peer):
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.events[-1] == "eof_received")
            await asyncio.sleep(0.005)
            assert not transport.is_closing()
            assert protocol.events.count("eof_received") == 1
            transport.write(b"still here")
            assert await receive(peer, 10) == b"still here"
            transport.close()
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


@both_kinds
def test_half_close_in_both_directions(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, lambda: Recorder(True)) as (transport, protocol, peer):
            transport.write(b"bye")
            transport.write_eof()
            assert await receive_all(peer) == b"bye"
            peer.send(b"good bye")
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.events[-1] == "eof_received")
            assert protocol.data == b"good bye"
            assert not protocol.lost
            transport.close()
            await until(lambda: protocol.lost)

    run(main)


def test_a_reset_ends_in_connection_lost(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            reset(peer)
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, ConnectionResetError)
            assert protocol.events == ["connection_made", "connection_lost"]
            assert transport.is_closing()

    run(main)


def test_a_reset_while_a_write_waits_ends_in_connection_lost(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            transport.write(b"x" * 2_000_000)
            await turns(3)
            reset(peer)
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, ConnectionResetError)
            assert protocol.events.count("connection_lost") == 1
            assert transport.get_write_buffer_size() == 0

    run(main)


def test_a_reset_while_reading_is_paused_is_seen_at_the_next_write(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            transport.pause_reading()
            reset(peer)
            await asyncio.sleep(0.01)
            transport.write(b"x")
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, (ConnectionResetError, BrokenPipeError))

    run(main)


@both_kinds
def test_pause_reading_holds_data_back(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            assert transport.is_reading() is True
            transport.pause_reading()
            transport.pause_reading()
            assert transport.is_reading() is False
            peer.send(b"held back")
            await asyncio.sleep(0.01)
            assert protocol.data == b""
            transport.resume_reading()
            transport.resume_reading()
            assert transport.is_reading() is True
            assert protocol.data == b""  # not from inside resume_reading
            await until(lambda: protocol.data == b"held back")
            peer.send(b", then free")
            await until(lambda: protocol.data == b"held back, then free")

    run(main)


@both_kinds
def test_pausing_inside_data_received_holds_the_rest_back(run: Run, kind: str) -> None:
    class Sip(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()

    async def main() -> None:
        async with connected(kind, Sip) as (transport, protocol, peer):
            for number in range(5):
                peer.send(b"a")
                await until(lambda n=number: len(protocol.data) == 2 * n + 1)
                peer.send(b"b")
                await asyncio.sleep(0.003)
                assert len(protocol.data) == 2 * number + 1
                transport.resume_reading()
                await until(lambda n=number: len(protocol.data) == 2 * n + 2)
                transport.resume_reading()

    run(main)


@both_kinds
def test_the_end_of_the_stream_is_held_back_while_paused(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.pause_reading()
            peer.send(b"last")
            peer.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0.01)
            assert protocol.events == ["connection_made"]
            transport.resume_reading()
            await until(lambda: protocol.lost)
            assert protocol.events[1:] == ["data_received", "eof_received", "connection_lost"]
            assert protocol.data == b"last"

    run(main)


@both_kinds
def test_pause_and_resume_after_close_do_nothing(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.close()
            transport.pause_reading()
            transport.resume_reading()
            assert transport.is_reading() is False
            peer.send(b"x")
            await until(lambda: protocol.lost)
            assert protocol.data == b""

    run(main)


@both_kinds
def test_nothing_is_received_after_close(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            peer.send(b"too late")
            transport.write(b"y" * 2_000_000)  # so that close has something to wait for
            transport.close()

            def drained() -> bool:
                with contextlib.suppress(BlockingIOError, ConnectionResetError):
                    peer.recv(1 << 20)
                return protocol.lost

            await until(drained)
            assert protocol.data == b""
            assert "eof_received" not in protocol.events

    run(main)


@both_kinds
def test_closing_inside_data_received_ends_the_reading(run: Run, kind: str) -> None:
    class Once(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.close()

    async def main() -> None:
        async with connected(kind, Once) as (_, protocol, peer):
            peer.send(b"a")
            await until(lambda: protocol.data)
            peer.setblocking(True)
            await until(lambda: protocol.lost)
            assert protocol.data == b"a"

    run(main)


@both_kinds
def test_connection_made_comes_before_data_that_was_already_there(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair(kind)
        peer.send(b"early")
        peer.shutdown(socket.SHUT_WR)
        _, protocol = await loop.create_connection(Recorder, sock=near)
        await until(lambda: protocol.lost)
        assert protocol.events == [
            "connection_made",
            "data_received",
            "eof_received",
            "connection_lost",
        ]
        peer.close()

    run(main)


@both_kinds
@pytest.mark.parametrize("changed", [False, True])
def test_resuming_after_the_end_tells_of_it_again(run: Run, kind: str, changed: bool) -> None:
    """A protocol has kept the connection open; it, or the next one, is asked once more."""

    async def main() -> None:
        async with connected(kind, lambda: Recorder(eof_reply=True)) as (transport, first, peer):
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: "eof_received" in first.events)
            await turns(3)
            second = Recorder() if changed else first
            transport.set_protocol(second)
            transport.resume_reading()
            await turns(3)
            assert first.events.count("eof_received") == 1
            transport.pause_reading()
            await turns(3)
            assert first.events.count("eof_received") == 1
            transport.resume_reading()
            await turns(5)
            assert first.events.count("eof_received") == 1 + (not changed)
            assert second.lost == transport.is_closing() == changed
            if changed:
                assert second.events == ["eof_received", "connection_lost"]
                first.connection_lost(None)

    run(main)


def test_after_a_large_read_that_took_all_the_loop_sleeps(run: Run) -> None:
    """No turn, and no call of the system, is spent on finding out that there is no more."""
    size = 60_000

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        timeouts: list[float | None] = []
        idle = loop.create_future()

        class Last(Recorder):
            def data_received(self, data: bytes) -> None:
                super().data_received(data)
                if len(self.data) == 4 * size:
                    del timeouts[:]
                    loop.call_later(0.2, idle.set_result, None)

        with socket.create_server(("127.0.0.1", 0)) as listener:
            near = socket.create_connection(listener.getsockname())
            peer, _ = listener.accept()
        transport, protocol = await loop.create_connection(Last, sock=near)
        for count in range(1, 4):  # the first one is not known to be large
            peer.sendall(bytes(size))
            await until(lambda count=count: len(protocol.data) == count * size)
        select = loop._selector.select

        def asked(timeout: float | None = None) -> object:
            timeouts.append(timeout)
            return select(timeout)

        loop._selector.select = asked
        try:
            peer.sendall(bytes(size))
            await idle
        finally:
            loop._selector.select = select
        assert timeouts[0], "the turn after the read did not sleep"
        transport.close()
        await until(lambda: protocol.lost)
        peer.close()

    run(main)


@both_kinds
def test_max_size_bounds_each_read(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            assert transport.max_size == 256 * 1024
            transport.max_size = 2
            assert transport.max_size == 2
            peer.sendall(b"abcdefg")
            await until(lambda: b"".join(protocol.chunks) == b"abcdefg")
            assert protocol.chunks == [b"ab", b"cd", b"ef", b"g"]
            transport.max_size = 256 * 1024
            peer.sendall(b"hijklmn")
            await until(lambda: len(protocol.chunks) == 5)
            assert protocol.chunks[-1] == b"hijklmn"

    run(main)


def test_max_size_bounds_large_reads(run: Run) -> None:
    async def main() -> None:
        async with connected("unix", Recorder) as (transport, protocol, peer):
            transport.max_size = 50_000
            peer.setblocking(True)
            await asyncio.to_thread(peer.sendall, bytes(200_000))
            await until(lambda: sum(map(len, protocol.chunks)) == 200_000)
            assert max(map(len, protocol.chunks)) == 50_000

    run(main)
