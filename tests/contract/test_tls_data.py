"""TLS: what is sent arrives, however it is cut, and nobody holds more than was agreed."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from contract.support import Recorder, raw_pair, turns, until
from contract.tls_peer import Contexts, Peer, accepted, make_contexts
from loops import Report, Run


@pytest.fixture(scope="module", params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def tls(request: pytest.FixtureRequest) -> Contexts:
    return make_contexts(request.param)


PATTERN = bytes(range(256)) * 4096  # one MiB


@pytest.mark.parametrize("piece", [1, 7])
def test_records_may_come_byte_by_byte(run: Run, tls: Contexts, piece: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        peer = Peer(far, tls.server, server_side=True)
        made = asyncio.ensure_future(
            loop.create_connection(Recorder, sock=near, ssl=tls.client, server_hostname="localhost")
        )
        await peer.handshake(piece)
        await peer.flush(piece)
        transport, protocol = await made
        await peer.send(PATTERN[:500], piece)
        await peer.send(PATTERN[500:600], piece)
        await until(lambda: len(protocol.data) >= 600)
        assert protocol.data == PATTERN[:600]
        transport.write(b"answer")
        assert await peer.receive(6) == b"answer"
        transport.abort()
        await until(lambda: protocol.lost)
        far.close()

    run(main)


def test_many_records_in_one_segment_arrive_in_order(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (_, protocol, peer):
            sent = [bytes([number % 256]) * (number + 1) for number in range(200)]
            for piece in sent:
                peer.tls.write(piece)
            await peer.flush()
            await until(lambda: len(protocol.data) >= sum(map(len, sent)))
            assert protocol.data == b"".join(sent)

    run(main)


def test_half_a_record_waits_for_its_other_half(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (_, protocol, peer):
            peer.tls.write(b"first")
            peer.tls.write(b"second")
            records = peer.records()
            await peer.send_raw(records[:-3])
            await until(lambda: protocol.data)
            await turns(5)
            assert protocol.data == b"first"
            await peer.send_raw(records[-3:])
            await until(lambda: len(protocol.data) >= 11)
            assert protocol.data == b"firstsecond"

    run(main)


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


class Buffered(asyncio.BufferedProtocol):
    """Supplies memory of a fixed size, as a bytearray or a view of one."""

    def __init__(self, size: int, view: bool) -> None:
        self.memory = bytearray(size)
        self.view = view
        self.data = bytearray()
        self.lost = False
        self.hints: list[int] = []

    def get_buffer(self, sizehint: int) -> Any:
        self.hints.append(sizehint)
        return memoryview(self.memory) if self.view else self.memory

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.memory)
        self.data += self.memory[:nbytes]

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = True


@pytest.mark.parametrize("size", [1, 10, 5000, 400_000])
def test_a_buffered_protocol_supplies_the_memory(run: Run, tls: Contexts, size: int) -> None:
    async def main() -> None:
        async with accepted(tls, lambda: Buffered(size, view=True)) as (_, protocol, peer):
            amount = min(200_000, size * 2000)
            for start in range(0, amount, 1000):
                peer.tls.write(PATTERN[start : start + 1000])
            await peer.flush()
            await until(lambda: len(protocol.data) >= amount)
            assert protocol.data[:amount] == PATTERN[:amount]
            assert all(hint >= 0 for hint in protocol.hints)

    run(main)


def test_a_buffered_protocol_may_supply_a_bytearray(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, lambda: Buffered(100, view=False)) as (_, protocol, peer):
            await peer.send(PATTERN[:1000])
            await until(lambda: len(protocol.data) >= 1000)
            assert protocol.data == PATTERN[:1000]

    run(main)


def test_the_protocol_may_be_changed_between_messages(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, first, peer):
            await peer.send(b"one")
            await until(lambda: first.data == b"one")
            second = Buffered(10, view=True)
            transport.set_protocol(second)
            assert transport.get_protocol() is second
            await peer.send(b"two")
            await until(lambda: second.data == b"two")
            reader = asyncio.StreamReader()
            third = asyncio.StreamReaderProtocol(reader)
            transport.set_protocol(third)
            await peer.send(b"three\nfour\n")
            assert await reader.readline() == b"three\n"
            transport.set_protocol(first)
            await peer.send(b" five")
            await until(lambda: first.data == b"one five")
            assert reader._buffer == b"four\n"  # type: ignore[attr-defined]

    run(main)


def test_answers_in_the_call_arrive_in_order(run: Run, tls: Contexts) -> None:
    class Answering(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            for number in range(50):
                self.transport.write(b"%d " % number)
            self.transport.writelines([b"a", bytearray(b"b"), memoryview(b"c"), b""])
            self.transport.write(PATTERN[:300_000])

    async def main() -> None:
        async with accepted(tls, Answering) as (_, _, peer):
            await peer.send(b"?")
            head = b"".join(b"%d " % number for number in range(50)) + b"abc"
            assert await peer.receive(len(head)) == head
            assert await peer.receive(300_000) == PATTERN[:300_000]

    run(main)


def test_what_is_written_can_be_changed_afterwards(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, peer):
            data = bytearray(b"x" * 200_000)
            for _ in range(20):
                transport.write(data)
            data[:] = b"y" * len(data)
            transport.write(memoryview(data)[:3])
            assert await peer.receive(20 * 200_000) == b"x" * 20 * 200_000
            assert await peer.receive(3) == b"yyy"

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


@pytest.mark.parametrize("data", ["text", 5, None, [b"list"]])
def test_only_bytes_can_be_written(run: Run, tls: Contexts, data: Any) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, peer):
            with pytest.raises(TypeError, match="data: expecting a bytes-like instance, got"):
                transport.write(data)
            transport.write(b"")
            transport.write(b"fine")
            assert await peer.receive(4) == b"fine"

    run(main)


def test_write_eof_is_not_for_tls(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, _):
            assert transport.can_write_eof() is False
            with pytest.raises(NotImplementedError):
                transport.write_eof()

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
