"""Stream transports, writing: order, ownership of buffers, half-close, close and abort."""

from __future__ import annotations

import array
import asyncio
import logging
import socket
import sys
from typing import Any

import pytest

from contract.support import Recorder, both_kinds, connected, receive, receive_all, turns, until
from loops import Run

BIG = 1_500_000  # more than the socket buffers hold


def skip_where_stock_keeps_the_buffer(is_stock: bool) -> None:
    if is_stock and sys.version_info >= (3, 12):
        pytest.skip("stock 3.12+ keeps a view of what it could not send, and sends what changed")


@both_kinds
@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_every_form_of_bytes_is_sent(run: Run, kind: str, form: Any) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            assert transport.write(form(b"some bytes")) is None
            transport.write(form(b""))
            assert await receive(peer, 10) == b"some bytes"

    run(main)


@both_kinds
def test_a_memoryview_of_wide_items_is_sent_whole(run: Run, kind: str) -> None:
    async def main() -> None:
        values = array.array("I", range(1000))
        async with connected(kind, Recorder) as (transport, _, peer):
            transport.write(memoryview(values))
            assert await receive(peer, 4000) == values.tobytes()

    run(main)


@both_kinds
@pytest.mark.parametrize("wrong", ["text", None, 5, [b"list"], object()])
def test_what_is_not_bytes_is_refused(run: Run, kind: str, wrong: object) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            with pytest.raises(
                TypeError, match=r"^data( argument|:)? .*(bytes-like|bytes, bytearray)"
            ):
                transport.write(wrong)
            transport.write(b"goes on")
            assert await receive(peer, 7) == b"goes on"

    run(main)


@both_kinds
@pytest.mark.parametrize("size", [10, 1000, 100_000, BIG])
@pytest.mark.parametrize("through", ["bytearray", "memoryview"])
def test_changing_a_buffer_after_write_changes_nothing_that_is_sent(
    run: Run, is_stock: bool, kind: str, size: int, through: str
) -> None:
    skip_where_stock_keeps_the_buffer(is_stock and size >= 100_000)

    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            for _ in range(2):  # the second time behind data that could not be sent at once
                buffer = bytearray(b"a" * size)
                transport.write(memoryview(buffer) if through == "memoryview" else buffer)
                buffer[:] = b"b" * size
            assert await receive(peer, 2 * size) == b"a" * (2 * size)

    run(main)


@both_kinds
def test_a_bytearray_can_be_resized_right_after_write(run: Run, is_stock: bool, kind: str) -> None:
    skip_where_stock_keeps_the_buffer(is_stock)

    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            transport.write(b"x" * BIG)
            buffer = bytearray(b"12345")
            transport.write(buffer)
            del buffer[:]
            buffer += b"other"
            assert (await receive(peer, BIG + 5))[-5:] == b"12345"

    run(main)


@both_kinds
def test_pieces_arrive_in_the_order_of_the_writes(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            expected = bytearray()
            for number in range(2000):
                piece = b"%06d" % number * (number % 97 + 1)
                form = (bytes, bytearray, memoryview)[number % 3]
                if number % 5:
                    transport.write(form(piece))
                else:
                    transport.writelines([piece[:3], form(piece[3:]), b""])
                expected += piece
                if number % 500 == 0:
                    await asyncio.sleep(0)
            assert await receive(peer, len(expected)) == expected

    run(main)


@both_kinds
def test_writelines_takes_any_iterable(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            transport.writelines(b"%d," % number for number in range(5))
            transport.writelines([])
            transport.writelines((bytearray(b"a"), memoryview(b"b"), b"c"))
            transport.writelines([array.array("B", b"de"), b"f"])
            assert await receive(peer, 16) == b"0,1,2,3,4,abcdef"
            transport.writelines([b"x" * 1000] * (BIG // 1000))
            assert await receive(peer, BIG) == b"x" * BIG

    run(main)


@both_kinds
def test_more_pieces_than_one_system_call_takes(run: Run, kind: str) -> None:
    async def main() -> None:
        pieces = [b"%05d" % number for number in range(5000)]
        async with connected(kind, Recorder) as (transport, _, peer):
            transport.write(b"f" * BIG)
            transport.writelines(pieces)
            received = await receive(peer, BIG + 25_000)
            assert received[BIG:] == b"".join(pieces)

    run(main)


@both_kinds
def test_writes_after_close_are_dropped_with_a_warning_from_the_fifth_on(
    run: Run, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.write(b"before")
            await turns(2)
            transport.close()
            for number in range(8):
                assert transport.write(b"after") is None
                assert len(caplog.records) == max(0, number - 3)
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            transport.write(b"after connection_lost")
            assert await receive_all(peer) == b"before"
        assert {record.getMessage() for record in caplog.records} == {
            "socket.send() raised exception."
        }
        assert {record.levelno for record in caplog.records} == {logging.WARNING}

    run(main)


@both_kinds
def test_writes_after_abort_are_dropped(
    run: Run, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            transport.abort()
            for _ in range(3):
                transport.write(b"after")
                transport.writelines([b"after"])
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


@both_kinds
def test_write_eof_sends_what_is_buffered_first_and_keeps_reading(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            assert transport.can_write_eof() is True
            transport.write(b"x" * BIG)
            transport.write_eof()
            transport.write_eof()
            assert transport.is_closing() is False
            assert await receive_all(peer) == b"x" * BIG
            peer.send(b"answer")
            await until(lambda: protocol.data == b"answer")
            assert not protocol.lost

    run(main)


@both_kinds
@pytest.mark.parametrize("method", ["write", "writelines"])
def test_write_after_write_eof_is_an_error(run: Run, kind: str, method: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            transport.write_eof()
            with pytest.raises(RuntimeError, match=r"Cannot call \w+\(\) after write_eof\(\)"):
                getattr(transport, method)(b"x" if method == "write" else [b"x"])
            assert await receive_all(peer) == b""

    run(main)


@both_kinds
def test_close_sends_what_is_buffered_before_connection_lost(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.write(b"x" * BIG)
            transport.close()
            transport.close()
            assert transport.is_closing() is True
            await turns(10)
            assert not protocol.lost
            assert await receive_all(peer) == b"x" * BIG
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            assert protocol.events.count("connection_lost") == 1

    run(main)


@both_kinds
def test_abort_drops_what_is_buffered(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.write(b"x" * BIG)
            transport.abort()
            assert transport.is_closing() is True
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            received = 0
            try:
                while piece := peer.recv(1 << 20):
                    received += len(piece)
            except (BlockingIOError, ConnectionResetError):
                pass
            assert received < BIG

    run(main)


@both_kinds
def test_abort_after_close_does_not_wait_for_the_peer(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            transport.write(b"x" * BIG)
            transport.close()
            await turns(3)
            assert not protocol.lost
            transport.abort()
            await until(lambda: protocol.lost)

    run(main)


@both_kinds
def test_no_call_reaches_the_protocol_inside_the_call_that_causes_it(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            events = list(protocol.events)
            transport.close()
            assert protocol.events == events
            transport.abort()
            assert protocol.events == events
            await until(lambda: protocol.lost)

    run(main)


def test_a_broken_pipe_ends_in_connection_lost(run: Run) -> None:
    async def main() -> None:
        async with connected("unix", Recorder) as (transport, protocol, peer):
            transport.pause_reading()
            peer.close()
            transport.write(b"x")
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, BrokenPipeError)
            assert transport.is_closing() is True

    run(main)


def test_shutting_down_the_far_reading_side_ends_in_connection_lost(run: Run) -> None:
    async def main() -> None:
        async with connected("unix", Recorder) as (transport, protocol, peer):
            peer.shutdown(socket.SHUT_RD)
            transport.write(b"x")
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, BrokenPipeError)

    run(main)


def test_what_cannot_be_written_is_refused_in_asyncios_words(run: Run) -> None:
    async def main() -> None:
        async with connected("unix", Recorder) as (transport, _, peer):
            kinds = "bytes-like"
            if sys.version_info >= (3, 14):
                kinds = "bytes, bytearray, or memoryview"
            with pytest.raises(TypeError, match=f"must be a {kinds} object, not 'str'"):
                transport.write("text")
            transport.write_eof()
            with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof"):
                transport.write(b"late")
            function = "writelines" if sys.version_info >= (3, 12) else "write"
            with pytest.raises(RuntimeError, match=rf"Cannot call {function}\(\) after write_eof"):
                transport.writelines([b"late"])
            assert await receive_all(peer) == b""

    run(main)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="`writelines` is no `write` any more")
def test_writelines_is_a_write_that_a_program_may_have_replaced(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            written: list[bytes] = []
            write = transport.write

            def counting(data: bytes) -> None:
                written.append(data)
                write(data)

            transport.write = counting
            transport.writelines([b"a", bytearray(b"b"), b""])
            assert written == [b"ab"]
            assert await receive(peer, 2) == b"ab"
            with pytest.raises(TypeError, match="sequence item 0: expected a bytes-like object"):
                transport.writelines(["a"])

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`writelines` is a `write`")
def test_writelines_of_nothing_looks_no_further(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            for nothing in (None, 0, [], ()):
                transport.writelines(nothing)
            transport.write_eof()
            with pytest.raises(RuntimeError, match=r"Cannot call writelines\(\) after write_eof"):
                transport.writelines([None])
            assert await receive_all(peer) == b""

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="a TypeError before")
def test_writelines_passes_over_what_is_false(run: Run, is_stock: bool) -> None:
    if is_stock and sys.version_info < (3, 14, 10):
        pytest.skip("since a late release of 3.14")

    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            transport.writelines([b"head", None, "", 0, b"", b"body"])
            assert await receive(peer, 8) == b"headbody"
            transport.writelines([None])
            with pytest.raises(TypeError):
                transport.writelines([1])

    run(main)


def test_the_protocol_may_be_changed_by_its_private_name(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, former, peer):
            now = Recorder()
            now.connection_made(transport)
            transport._protocol = now
            assert transport.get_protocol() is now
            peer.sendall(b"for the new one")
            await until(lambda: now.chunks)
            assert former.chunks == []
            transport._protocol = former

    run(main)
