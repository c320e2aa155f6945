"""TLS: flow control both ways: nobody holds more than was agreed."""

from __future__ import annotations

import array
import asyncio
import contextlib
import socket
import ssl

import pytest

from contract.support import Recorder, reset, until
from contract.tls_peer import Contexts, accepted, make_contexts
from loops import Report, Run


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts()


PATTERN = bytes(range(256)) * 4096  # one MiB


class Pump(Recorder):
    """Sends a lot, as fast as the transport lets it, and counts what comes."""

    def __init__(self, amount: int) -> None:
        super().__init__()
        self.left = amount
        self.may_write = True
        self.most_buffered = 0

    def start(self) -> None:
        while self.may_write and self.left:
            piece = PATTERN[: min(self.left, 70_001)]
            self.left -= len(piece)
            self.transport.write(piece)
            self.most_buffered = max(self.most_buffered, self.transport.get_write_buffer_size())

    def pause_writing(self) -> None:
        super().pause_writing()
        self.may_write = False

    def resume_writing(self) -> None:
        super().resume_writing()
        self.may_write = True
        self.start()


def test_much_in_both_directions_at_once(run: Run, tls: Contexts) -> None:
    amount = 12_000_000

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ends: list[Pump] = []

        def factory() -> Pump:
            ends.append(Pump(amount))
            return ends[-1]

        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            port = server.sockets[0].getsockname()[1]
            await loop.create_connection(
                factory, "127.0.0.1", port, ssl=tls.client, server_hostname="localhost"
            )
            await until(lambda: len(ends) == 2 and all(end.transport for end in ends))
            for end in ends:
                end.start()
            await until(lambda: all(len(end.data) == amount for end in ends))
            for end in ends:
                repeated = b"".join(
                    PATTERN[: min(70_001, amount - at)] for at in range(0, amount, 70_001)
                )
                assert end.data == repeated
                assert "pause_writing" in end.events
                assert end.most_buffered < 2_000_000
                end.transport.close()
            await until(lambda: all(end.lost for end in ends))

    run(main)


def test_a_paused_protocol_gets_nothing_and_the_peer_is_held_up(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            transport.pause_reading()
            assert not transport.is_reading()
            waiting = b""
            taken = quiet = 0
            while quiet < 50:
                if not waiting:
                    peer.tls.write(PATTERN[:65536])
                    waiting = peer.records()
                try:
                    count = peer.sock.send(waiting)
                    waiting = waiting[count:]
                    taken += count
                    quiet = 0
                except BlockingIOError:
                    quiet += 1
                await asyncio.sleep(0.001)
                assert taken < 8_000_000, "a paused connection goes on receiving"
            assert not protocol.data
            assert transport.get_read_buffer_size() <= 600_000
            transport.resume_reading()
            assert transport.is_reading()
            await peer.send_raw(waiting)
            await peer.send(b"end")
            await until(lambda: protocol.data.endswith(b"end"))
            assert len(protocol.data) % 65536 == 3

    run(main)


def test_reading_may_be_paused_by_the_protocol_in_a_call(run: Run, tls: Contexts) -> None:
    class Sipper(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(0.001, self.transport.resume_reading)

    async def main() -> None:
        async with accepted(tls, Sipper) as (_, protocol, peer):
            for start in range(0, 400_000, 40_000):
                await peer.send(PATTERN[start : start + 40_000])
            await until(lambda: len(protocol.data) >= 400_000)
            assert protocol.data == PATTERN[:400_000]

    run(main)


def test_writing_pauses_at_the_high_water_mark(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            assert transport.get_write_buffer_limits() == (128 * 1024, 512 * 1024)
            transport.set_write_buffer_limits(high=100_000)
            assert transport.get_write_buffer_limits() == (25_000, 100_000)
            amount = 0
            while "pause_writing" not in protocol.events:
                transport.write(PATTERN[:50_000])
                amount += 50_000
                assert amount < 50_000_000
            assert transport.get_write_buffer_size() >= 100_000
            assert "resume_writing" not in protocol.events
            received = await peer.receive(amount)
            assert received == PATTERN[:50_000] * (amount // 50_000)
            await until(lambda: "resume_writing" in protocol.events)
            assert transport.get_write_buffer_size() == 0

    run(main)


@pytest.mark.parametrize(("high", "low"), [(1, 2), (-1, None), (None, -1)])
def test_water_marks_that_make_no_sense(
    run: Run, tls: Contexts, high: int | None, low: int | None
) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, _):
            for setter in (transport.set_write_buffer_limits, transport.set_read_buffer_limits):
                with pytest.raises(ValueError, match="must be >="):
                    setter(high=high, low=low)

    run(main)


def test_a_failing_pause_writing_is_reported(run: Run, tls: Contexts) -> None:
    class Failing(Recorder):
        def pause_writing(self) -> None:
            raise ZeroDivisionError

    reports: list[Report] = []

    async def main() -> None:
        async with accepted(tls, Failing) as (transport, protocol, peer):
            transport.set_write_buffer_limits(high=0)
            transport.write(b"more than nothing")
            assert [report["message"] for report in reports] == ["protocol.pause_writing() failed"]
            assert isinstance(reports[0]["exception"], ZeroDivisionError)
            assert reports[0]["transport"] is transport
            assert await peer.receive(17) == b"more than nothing"
            assert not protocol.lost

    run(main, reports=reports)


@pytest.mark.parametrize(("high", "expected"), [(1e5, 100_000), (1.5, 2), (2**70, 2**70)])
def test_water_marks_may_be_large_or_no_integers(
    run: Run, tls: Contexts, high: float, expected: int
) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            transport.set_write_buffer_limits(high=high)
            assert transport.get_write_buffer_limits()[1] <= max(expected, high)
            transport.set_read_buffer_limits(high=high)
            transport.write(b"fine")
            assert await peer.receive(4) == b"fine"
            await peer.send(b"also fine")
            await until(lambda: protocol.data == b"also fine")

    run(main)


class Sipping(Recorder):
    """Pauses in each call, and goes on a moment later."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(0.01, self.transport.resume_reading)


@pytest.mark.parametrize("farewell", [False, True])
def test_what_has_come_before_the_end_is_all_delivered(
    run: Run, tls: Contexts, farewell: bool
) -> None:
    async def main() -> None:
        async with accepted(tls, Sipping) as (transport, protocol, peer):
            transport.set_read_buffer_limits(high=4_000_000)
            transport.pause_reading()
            sent = PATTERN + PATTERN[:400_000]
            peer.tls.write(sent)
            sending = asyncio.ensure_future(peer.flush())
            await asyncio.sleep(0.05)
            if farewell:
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.unwrap()
            transport.resume_reading()
            await sending
            await peer.flush()
            peer.sock.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.lost)
            assert protocol.data == sent

    run(main)


def test_who_closes_in_a_call_is_not_called_inside_it(run: Run, tls: Contexts) -> None:
    inside: list[int] = []

    class Closing(Recorder):
        depth = 0

        def data_received(self, data: bytes) -> None:
            self.depth += 1
            inside.append(self.depth)
            super().data_received(data)
            self.transport.close()
            self.depth -= 1

    async def main() -> None:
        async with accepted(tls, Closing) as (transport, protocol, peer):
            transport.set_read_buffer_limits(high=4_000_000)
            transport.pause_reading()
            peer.tls.write(PATTERN)
            sending = asyncio.ensure_future(peer.flush())
            await asyncio.sleep(0.05)
            transport.resume_reading()
            await until(lambda: inside)
            sending.cancel()
            reset(peer.sock)
            await until(lambda: protocol.lost)

    run(main)
    assert set(inside) == {1}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_large_write_on_a_broken_connection_is_one_write_too_late(
    run: Run, tls: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            reset(peer.sock)
            for _ in range(3):
                transport.write(PATTERN)
            await until(lambda: protocol.lost)

    run(main)
    assert caplog.messages.count("socket.send() raised exception.") == 0


def test_one_large_write_goes_to_the_transport_below_as_a_whole(run: Run, tls: Contexts) -> None:
    """Whatever ends the connection then, none of it waits where it could be dropped."""
    sent = PATTERN * 12

    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            transport.write(sent)
            assert transport.get_write_buffer_size() == 0
            assert "pause_writing" not in protocol.events
            assert await peer.receive(len(sent)) == sent

    run(main)


@pytest.mark.parametrize("where", ["instance", "class"])
def test_write_of_the_transport_below_may_be_patched(
    run: Run, tls: Contexts, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, peer):
            transport.write(b"one")
            assert await peer.receive(3) == b"one"
            below = transport._ssl_protocol._transport
            place = below if where == "instance" else type(below)
            write, seen = below.write, []

            def note(*args: bytes) -> None:
                seen.append(args[-1])
                write(args[-1])

            with monkeypatch.context() as patch:
                patch.setattr(place, "write", note)
                transport.write(b"two")
                assert await peer.receive(3) == b"two"
            assert len(seen) == 1
            transport.write(b"three")
            assert await peer.receive(5) == b"three"
            assert len(seen) == 1

    run(main)


def test_a_buffer_of_items_larger_than_a_byte(run: Run, tls: Contexts) -> None:
    """asyncio reads as many bytes as it has items."""

    class Wide(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.counts: list[int] = []
            self.buffer = array.array("i", [0] * 300)

        def get_buffer(self, sizehint: int) -> array.array[int]:
            return self.buffer

        def buffer_updated(self, nbytes: int) -> None:
            self.counts.append(nbytes)

    async def main() -> None:
        async with accepted(tls, Wide) as (_, protocol, peer):
            await peer.send(bytes(1000))
            await until(lambda: sum(protocol.counts) >= 1000)
            assert protocol.counts == [300, 300, 300, 100]

    run(main)
