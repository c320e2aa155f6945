"""BufferedProtocol on stream transports, and changing the protocol in mid-stream."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from contract.support import Recorder, both_kinds, connected, receive, turns, until
from loops import Report, Run


class Buffered(asyncio.BufferedProtocol):
    """Receives into a buffer of its own of a few bytes."""

    def __init__(self, size: int = 4) -> None:
        self.buffer: Any = bytearray(size)
        self.data = bytearray()
        self.hints: list[int] = []
        self.events: list[str] = []
        self.reason: BaseException | None = None
        self.lost = False

    def get_buffer(self, sizehint: int) -> Any:
        self.hints.append(sizehint)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        assert 0 < nbytes <= len(self.buffer)
        self.data += self.buffer[:nbytes]

    def eof_received(self) -> None:
        self.events.append("eof_received")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.reason = exc
        self.lost = True


@both_kinds
def test_data_lands_in_the_buffer_of_the_protocol_piece_by_piece(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Buffered) as (_, protocol, peer):
            peer.send(b"0123456789")
            await until(lambda: len(protocol.data) == 10)
            assert protocol.data == b"0123456789"
            assert set(protocol.hints) == {-1}
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.lost)
            assert protocol.events == ["eof_received"]
            assert protocol.reason is None

    run(main)


@both_kinds
@pytest.mark.parametrize("parts", [(1000,), (400, 600), (999, 1)], ids=str)
def test_a_buffer_of_just_what_comes_is_asked_for_no_more(
    run: Run, kind: str, parts: tuple[int, ...]
) -> None:
    """Once it is full there is none, and that is no error as long as nothing comes."""

    class Exact(Buffered):
        def __init__(self) -> None:
            super().__init__(1000)

        def get_buffer(self, sizehint: int) -> Any:
            self.hints.append(sizehint)
            return memoryview(self.buffer)[len(self.data) :]

        def buffer_updated(self, nbytes: int) -> None:
            self.data += self.buffer[len(self.data) :][:nbytes]

    async def main() -> None:
        async with connected(kind, Exact) as (transport, protocol, peer):
            for part in parts:
                before = len(protocol.data)
                peer.send(b"x" * part)
                await until(lambda b=before, p=part: len(protocol.data) == b + p)
            await turns(5)
            assert len(protocol.hints) == len(parts)
            assert not transport.is_closing()
            transport.write(b"whole")
            assert await receive(peer, 5) == b"whole"
            # The next message has a buffer again.
            protocol.data.clear()
            peer.send(b"y" * 1000)
            await until(lambda: len(protocol.data) == 1000)
            await turns(5)
            assert len(protocol.hints) == len(parts) + 1
            peer.shutdown(socket.SHUT_WR)
            protocol.data.clear()
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


@both_kinds
@pytest.mark.parametrize("form", ["bytearray", "memoryview"])
def test_a_buffer_may_be_a_view_into_a_larger_one(run: Run, kind: str, form: str) -> None:
    class Filling(Buffered):
        def __init__(self) -> None:
            super().__init__(100)
            self.filled = 0

        def get_buffer(self, sizehint: int) -> Any:
            return memoryview(self.buffer)[self.filled :]

        def buffer_updated(self, nbytes: int) -> None:
            self.filled += nbytes

    async def main() -> None:
        async with connected(kind, Filling) as (_, protocol, peer):
            for piece in (b"one", b"two", b"three"):
                before = protocol.filled
                peer.send(piece)
                await until(lambda b=before, p=piece: protocol.filled == b + len(p))
            assert protocol.buffer[: protocol.filled] == b"onetwothree"

    run(main)


@both_kinds
def test_the_buffer_is_let_go_after_the_read(run: Run, kind: str) -> None:
    """A bytearray that is still exported cannot be resized."""

    class Resizing(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            super().buffer_updated(nbytes)
            self.buffer += b"\0"

    async def main() -> None:
        async with connected(kind, Resizing) as (_, protocol, peer):
            peer.send(b"x" * 50)
            await until(lambda: len(protocol.data) == 50)
            protocol.buffer += b"\0"

    run(main)


def fatal(run: Run, kind: str, protocol_class: type[Buffered]) -> tuple[BaseException, Report]:
    """Send to a protocol that fails: its connection_lost reason and the one report."""
    reports: list[Report] = []

    async def main() -> BaseException | None:
        async with connected(kind, protocol_class) as (transport, protocol, peer):
            peer.send(b"data")
            await until(lambda: protocol.lost)
            assert transport.is_closing()
            return protocol.reason

    reason = run(main, reports=reports)
    assert reason is not None
    [report] = reports
    assert report["exception"] is reason
    assert set(report) == {"message", "exception", "transport", "protocol"}
    return reason, report


@both_kinds
def test_an_empty_buffer_is_a_fatal_error(run: Run, kind: str) -> None:
    class Empty(Buffered):
        def get_buffer(self, sizehint: int) -> bytearray:
            return bytearray()

    reason, report = fatal(run, kind, Empty)
    assert isinstance(reason, RuntimeError)
    assert "get_buffer() returned an empty buffer" in str(reason)
    assert report["message"] == "Fatal error: protocol.get_buffer() call failed."


@both_kinds
def test_an_exception_in_get_buffer_is_a_fatal_error(run: Run, kind: str) -> None:
    class Broken(Buffered):
        def get_buffer(self, sizehint: int) -> bytearray:
            raise LookupError("no buffer")

    reason, report = fatal(run, kind, Broken)
    assert isinstance(reason, LookupError)
    assert report["message"] == "Fatal error: protocol.get_buffer() call failed."


@both_kinds
@pytest.mark.parametrize("wrong", [None, 5, "text"])
def test_a_buffer_that_is_none_is_a_fatal_error(run: Run, kind: str, wrong: object) -> None:
    class Wrong(Buffered):
        def get_buffer(self, sizehint: int) -> Any:
            return wrong

    reason, _ = fatal(run, kind, Wrong)
    assert isinstance(reason, TypeError)


@both_kinds
@pytest.mark.parametrize("wrong", [b"read only", memoryview(bytearray(9))[::3], "text", [0]])
def test_a_buffer_that_cannot_be_filled_is_a_fatal_error(
    run: Run, kind: str, wrong: object
) -> None:
    class Wrong(Buffered):
        def get_buffer(self, sizehint: int) -> Any:
            return wrong

    reason, report = fatal(run, kind, Wrong)
    name = type(wrong).__name__
    assert isinstance(reason, TypeError)
    assert str(reason) == f"recv_into() argument 1 must be read-write bytes-like object, not {name}"
    assert report["message"] == "Fatal read error on socket transport"


@both_kinds
def test_an_exception_in_buffer_updated_is_a_fatal_error(run: Run, kind: str) -> None:
    class Broken(Buffered):
        def buffer_updated(self, nbytes: int) -> None:
            raise LookupError("broken")

    reason, report = fatal(run, kind, Broken)
    assert isinstance(reason, LookupError)
    assert report["message"] == "Fatal error: protocol.buffer_updated() call failed."


@both_kinds
def test_set_protocol_changes_who_gets_the_data(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, first, peer):
            peer.send(b"one")
            await until(lambda: first.data == b"one")
            second = Recorder()
            second.events.append("set")
            transport.set_protocol(second)
            assert transport.get_protocol() is second
            peer.send(b"two")
            await until(lambda: second.data == b"two")
            third = Buffered()
            transport.set_protocol(third)
            peer.send(b"three")
            await until(lambda: third.data == b"three")
            fourth = Recorder()
            fourth.events.append("set")
            transport.set_protocol(fourth)
            peer.send(b"four")
            await until(lambda: fourth.data == b"four")
            assert (first.data, second.data, third.data) == (b"one", b"two", b"three")
            transport.set_protocol(first)
        assert "connection_lost" not in second.events + fourth.events

    run(main)


@both_kinds
def test_set_protocol_inside_data_received_gives_the_rest_to_the_new_one(
    run: Run, kind: str
) -> None:
    final = Recorder()
    final.events.append("set")

    class Upgrading(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.set_protocol(final)
            self.transport.write(b"upgraded")

    async def main() -> None:
        async with connected(kind, Upgrading) as (transport, protocol, peer):
            peer.send(b"upgrade")
            assert await receive(peer, 8) == b"upgraded"
            peer.send(b"rest")
            await until(lambda: final.data == b"rest")
            assert protocol.data == b"upgrade"
            transport.set_protocol(protocol)

    run(main)


@both_kinds
def test_pause_reading_with_a_buffered_protocol(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Buffered) as (transport, protocol, peer):
            transport.pause_reading()
            peer.send(b"held")
            await asyncio.sleep(0.005)
            assert not protocol.data
            transport.resume_reading()
            await until(lambda: protocol.data == b"held")
            await turns(3)

    run(main)
