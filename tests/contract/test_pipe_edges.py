"""Pipe transports at the edges: packets, terminals, devices, broken pipes, late writes."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import tty
import weakref
from typing import IO, Any

import pytest

from contract.support import Recorder, until
from loops import Run

BIG = 400_000  # more than a pipe holds


def pipe(flags: int = 0) -> tuple[IO[bytes], IO[bytes]]:
    read_end, write_end = os.pipe2(flags)
    return os.fdopen(read_end, "rb", 0), os.fdopen(write_end, "wb", 0)


def test_every_packet_of_a_packet_pipe_is_delivered(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe(os.O_DIRECT)
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        for size in range(1, 6):
            writer.write(b"x" * size)
        await until(lambda: len(protocol.chunks) == 5)
        assert [len(chunk) for chunk in protocol.chunks] == [1, 2, 3, 4, 5]
        transport.close()
        await until(lambda: protocol.lost)
        writer.close()

    run(main)


def test_every_datagram_of_a_socket_read_as_a_pipe_is_delivered(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair(type=socket.SOCK_DGRAM)
        transport, protocol = await loop.connect_read_pipe(Recorder, near)
        for size in range(1, 6):
            far.send(b"x" * size)
        await until(lambda: len(protocol.chunks) == 5)
        assert [len(chunk) for chunk in protocol.chunks] == [1, 2, 3, 4, 5]
        transport.close()
        await until(lambda: protocol.lost)
        far.close()

    run(main)


def test_an_exception_of_data_received_is_reported_and_reading_goes_on(run: Run) -> None:
    class Picky(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            raise ValueError(data)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reported: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        reader, writer = pipe()
        _, protocol = await loop.connect_read_pipe(Picky, reader)
        for number in range(3):
            writer.write(b"%d" % number)
            await until(lambda number=number: len(protocol.chunks) == number + 1)
        writer.close()
        await until(lambda: protocol.lost)
        assert protocol.reason is None
        assert [str(one["exception"]) for one in reported] == ["b'0'", "b'1'", "b'2'"]
        assert sorted(reported[0]) == ["exception", "handle", "message"]
        message = "Exception in callback _UnixReadPipeTransport._read_ready()"
        assert reported[0]["message"] == message
        assert isinstance(reported[0]["handle"], asyncio.Handle)

    run(main)


def test_what_came_while_reading_was_paused_is_read_up_to_the_end(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        transport.pause_reading()
        writer.write(b"x" * 60_000)
        await asyncio.sleep(0.01)
        assert protocol.data == b""
        writer.write(b"y" * 5000)
        writer.close()
        await asyncio.sleep(0.01)
        assert not protocol.lost
        transport.resume_reading()
        await until(lambda: protocol.lost)
        assert protocol.data == b"x" * 60_000 + b"y" * 5000

    run(main)


@pytest.mark.parametrize("closing", [False, True])
def test_a_reader_that_leaves_data_behind_is_a_broken_pipe(run: Run, closing: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(b"x" * BIG)
        if closing:
            transport.close()
        reader.close()
        await until(lambda: protocol.lost)
        assert isinstance(protocol.reason, BrokenPipeError)
        assert transport.get_write_buffer_size() == 0

    run(main)


@pytest.mark.parametrize(("how", "silent"), [("close", 5), ("broken", 4)])
def test_late_writes_are_dropped_and_warned_about(
    run: Run, how: str, silent: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        if how == "close":
            transport.close()
        else:
            reader.close()
            transport.write(b"fails")
        await until(lambda: protocol.lost)
        for number in range(8):
            transport.write(b"late")
            transport.write(b"")
            assert len(caplog.records) == max(0, number + 1 - silent)
        assert {record.getMessage() for record in caplog.records} == {
            "pipe closed by peer or os.write(pipe, data) raised exception."
        }
        reader.close()

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main)


def test_repr_says_what_the_transport_does(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        inward, reading = await loop.connect_read_pipe(Recorder, reader)
        outward, writing = await loop.connect_write_pipe(Recorder, writer)
        incoming, outgoing = f"fd={reader.fileno()}", f"fd={writer.fileno()}"
        await asyncio.sleep(0.01)
        assert f"{incoming} polling>" in repr(inward)
        assert f"{outgoing} idle bufsize=0>" in repr(outward)
        inward.pause_reading()
        assert f"{incoming} idle>" in repr(inward)
        outward.write(b"x" * BIG)
        waiting = outward.get_write_buffer_size()
        assert waiting > 0
        assert f"{outgoing} polling bufsize={waiting}>" in repr(outward)
        outward.close()
        assert f" closing {outgoing} polling bufsize={waiting}>" in repr(outward)
        inward.resume_reading()
        await until(lambda: reading.lost and writing.lost)
        assert len(reading.data) == BIG
        assert f" closed {incoming} closed>" in repr(inward)
        assert f" closed {outgoing} closed>" in repr(outward)

    run(main)


def test_devices_that_cannot_be_watched(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reported: list[BaseException] = []
        loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
        source: Any = open("/dev/null", "rb", 0)
        transport, protocol = await loop.connect_read_pipe(Recorder, source)
        await asyncio.sleep(0.005)
        assert protocol.events == ["connection_made"]
        assert [type(error) for error in reported] == [PermissionError]
        transport.close()
        await until(lambda: protocol.lost)
        sink: Any = open("/dev/null", "wb", 0)
        outward, writing = await loop.connect_write_pipe(Recorder, sink)
        outward.write(b"x" * 5_000_000)
        assert outward.get_write_buffer_size() == 0
        outward.close()
        await until(lambda: writing.lost)
        assert writing.reason is None
        assert sink.closed
        assert len(reported) == 1

    run(main)


def test_a_device_that_refuses_data_ends_the_transport(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        full: Any = open("/dev/full", "wb", 0)
        transport, protocol = await loop.connect_write_pipe(Recorder, full)
        transport.write(b"x")
        await until(lambda: protocol.lost)
        assert isinstance(protocol.reason, OSError)

    run(main)


def test_a_terminal_read_and_written_under_one_number(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        keyboard: Any = os.fdopen(slave, "rb", 0)
        screen: Any = os.fdopen(slave, "wb", 0, closefd=False)
        inward, reading = await loop.connect_read_pipe(Recorder, keyboard)
        outward, _ = await loop.connect_write_pipe(Recorder, screen)
        outward.write(b"s" * BIG)
        assert outward.get_write_buffer_size() > 0
        os.write(master, b"typed")
        shown = 0

        def look() -> bool:
            nonlocal shown
            try:
                shown += len(os.read(master, 65536))
            except BlockingIOError:
                pass
            return shown == BIG

        await until(look)
        await until(lambda: reading.data == b"typed")
        os.write(master, b", more")
        await until(lambda: reading.data == b"typed, more")
        outward.close()
        inward.close()
        await until(lambda: reading.lost)
        os.close(master)

    run(main)


def test_nothing_keeps_a_finished_transport_alive(run: Run) -> None:
    async def use() -> list[weakref.ref[Any]]:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        inward, reading = await loop.connect_read_pipe(Recorder, reader)
        outward, writing = await loop.connect_write_pipe(Recorder, writer)
        outward.write(b"x" * BIG)
        outward.close()
        await until(lambda: reading.lost and writing.lost)
        return [weakref.ref(thing) for thing in (inward, outward, reading, writing)]

    async def main() -> None:
        seen = await use()
        await asyncio.sleep(0)
        gc.collect()
        assert [ref() for ref in seen] == [None] * 4

    run(main)


def test_a_socket_cannot_be_both_ends_under_one_number(run: Run, is_stock: bool) -> None:
    if is_stock:
        pytest.skip("stock takes the descriptor from the first transport without a word")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        transport, protocol = await loop.connect_read_pipe(Recorder, near)
        with pytest.raises(RuntimeError, match="is used by transport"):
            await loop.connect_write_pipe(Recorder, near)
        far.send(b"still read")
        await until(lambda: protocol.data == b"still read")
        transport.close()
        await until(lambda: protocol.lost)
        far.close()

    run(main)


def test_a_refused_line_of_writelines_sends_nothing_and_blocks_nothing(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        wrong: Any = [b"good", 5]
        with pytest.raises(TypeError):
            transport.writelines(wrong)
        transport.writelines([b"one ", bytearray(b"two "), memoryview(b"three")])
        transport.close()
        await until(lambda: protocol.lost)
        assert reader.read() == b"one two three"
        reader.close()

    run(main)


def test_what_cannot_be_written_is_an_assertion_as_in_asyncio(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        wrong: Any = "text"
        with pytest.raises(AssertionError, match=r"^'text'$"):
            transport.write(wrong)
        transport.write(b"right")
        assert reader.read(5) == b"right"
        transport.close()
        await until(lambda: protocol.lost)
        reader.close()

    run(main)
