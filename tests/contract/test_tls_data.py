"""TLS: what is sent arrives, however it is cut."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from contract.support import Recorder, raw_pair, turns, until
from contract.tls_peer import Contexts, Peer, accepted, make_contexts
from loops import Run


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
