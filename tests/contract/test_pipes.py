"""connect_read_pipe and connect_write_pipe: pipes, end of stream, flow control, errors."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import IO, Any

import pytest

from contract.support import Recorder, turns, until
from loops import Run


def pipe() -> tuple[IO[bytes], IO[bytes]]:
    read_end, write_end = os.pipe()
    return os.fdopen(read_end, "rb", 0), os.fdopen(write_end, "wb", 0)


def test_a_read_pipe_delivers_data_and_the_end(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        assert isinstance(transport, asyncio.ReadTransport)
        assert transport.get_extra_info("pipe") is reader
        writer.write(b"one")
        await until(lambda: protocol.data == b"one")
        writer.write(b"two" * 10_000)
        await until(lambda: len(protocol.data) == 30_003)
        writer.close()
        await until(lambda: protocol.lost)
        assert protocol.events == [
            "connection_made",
            "data_received",
            "eof_received",
            "connection_lost",
        ]
        assert protocol.reason is None
        assert reader.closed

    run(main)


def test_a_read_pipe_can_be_paused(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_read_pipe(Recorder, reader)
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        writer.write(b"held")
        await asyncio.sleep(0.005)
        assert protocol.data == b""
        transport.resume_reading()
        transport.resume_reading()
        assert transport.is_reading()
        await until(lambda: protocol.data == b"held")
        transport.close()
        assert transport.is_closing()
        await until(lambda: protocol.lost)
        writer.close()

    run(main)


def test_a_write_pipe_sends_in_order_more_than_the_pipe_holds(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        os.set_blocking(reader.fileno(), False)
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        assert isinstance(transport, asyncio.WriteTransport)
        assert transport.can_write_eof() is True
        mutable = bytearray(b"m" * 100_000)
        transport.write(mutable)
        transport.write(b"x" * 300_000)
        mutable[:] = b"-" * 100_000
        transport.write_eof()
        assert transport.get_write_buffer_size() > 0
        assert "pause_writing" in protocol.events
        received = bytearray()

        def ended() -> bool:
            piece = reader.read(65536)
            received.extend(piece or b"")
            return piece == b""

        await until(ended)
        assert received == b"m" * 100_000 + b"x" * 300_000
        await until(lambda: protocol.lost)
        assert protocol.reason is None
        assert protocol.events[1:] == ["pause_writing", "resume_writing", "connection_lost"]
        reader.close()

    run(main)


def test_a_write_pipe_whose_reader_goes_away_is_lost(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        reader.close()
        await until(lambda: protocol.lost)  # without a write
        assert transport.is_closing()
        assert protocol.reason is None or isinstance(protocol.reason, BrokenPipeError)

    run(main)


def test_a_write_to_a_broken_pipe_is_not_an_exception(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        reader.close()
        transport.write(b"x")
        transport.write(b"y")
        await until(lambda: protocol.lost)

    run(main)


def test_abort_drops_what_is_buffered(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = pipe()
        transport, protocol = await loop.connect_write_pipe(Recorder, writer)
        transport.write(b"x" * 1_000_000)
        transport.abort()
        await until(lambda: protocol.lost)
        assert protocol.reason is None
        assert len(reader.read(2_000_000)) < 1_000_000
        reader.close()

    run(main)


def test_a_socket_can_serve_as_a_pipe(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = socket.socketpair()
        transport, protocol = await loop.connect_write_pipe(Recorder, near)
        transport.write(b"through a socket")
        far.settimeout(5)
        await turns(2)
        assert far.recv(100) == b"through a socket"
        transport.close()
        await until(lambda: protocol.lost)
        far.close()

    run(main)


@pytest.mark.parametrize("method", ["connect_read_pipe", "connect_write_pipe"])
def test_a_regular_file_is_refused(
    run: Run, method: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("p") / "file"
    path.write_bytes(b"data")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with path.open("rb+", buffering=0) as file, pytest.raises(ValueError, match="Pipe transp"):
            await getattr(loop, method)(Recorder, file)

    run(main)


def test_a_terminal_can_be_read(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        master, slave = os.openpty()
        file: Any = os.fdopen(slave, "rb", 0)
        transport, protocol = await loop.connect_read_pipe(Recorder, file)
        os.write(master, b"typed\n")
        await until(lambda: protocol.data == b"typed\n")
        transport.close()
        await until(lambda: protocol.lost)
        os.close(master)

    run(main)


def test_streams_over_a_pipe(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader_file, writer_file = pipe()
        reader = asyncio.StreamReader()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), reader_file
        )
        writer_file.write(b"line 1\nline 2\nrest")
        writer_file.close()
        assert await reader.readline() == b"line 1\n"
        assert await reader.readline() == b"line 2\n"
        assert await reader.read() == b"rest"
        transport.close()
        await turns(3)

    run(main)
