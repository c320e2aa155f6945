"""loop.sendfile and loop.sock_sendfile: whole files, ranges, fallback, order with writes."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from contract.support import Recorder, both_kinds, connected, raw_pair, receive, turns, until
from loops import Run

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def file(tmp_path: Path) -> Iterator[IO[bytes]]:
    """A file of a megabyte, open for reading."""
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    with path.open("rb") as opened:
        yield opened


@both_kinds
def test_a_file_is_sent_between_the_writes_around_it(run: Run, kind: str, file: IO[bytes]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected(kind, Recorder) as (transport, _, peer):
            transport.write(b"before" * 100_000)
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            received = asyncio.ensure_future(receive(peer, 600_000 + len(CONTENT)))
            assert await sending == len(CONTENT)
            transport.write(b"after")
            assert await received == b"before" * 100_000 + CONTENT
            assert await receive(peer, 5) == b"after"
            assert file.tell() == len(CONTENT)

    run(main)


@pytest.mark.parametrize(
    ("offset", "count"), [(0, None), (1000, None), (1000, 5000), (0, len(CONTENT) + 10)]
)
def test_a_range_of_a_file_is_sent(
    run: Run, file: IO[bytes], offset: int, count: int | None
) -> None:
    expected = CONTENT[offset:] if count is None else CONTENT[offset : offset + count]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, peer):
            receiving = asyncio.ensure_future(receive(peer, len(expected)))
            sent = await loop.sendfile(transport, file, offset, count)
            assert sent == len(expected)
            assert await receiving == expected
            assert file.tell() == offset + sent

    run(main)


def test_an_object_that_is_no_real_file_is_sent_by_reading_it(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            receiving = asyncio.ensure_future(receive(peer, len(CONTENT)))
            assert await loop.sendfile(transport, io.BytesIO(CONTENT)) == len(CONTENT)
            assert await receiving == CONTENT
            assert transport.get_protocol() is protocol

    run(main)


def test_without_fallback_an_object_that_is_no_real_file_is_refused(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, _):
            with pytest.raises(asyncio.SendfileNotAvailableError):
                await loop.sendfile(transport, io.BytesIO(b"x"), fallback=False)

    run(main)


def test_data_arrives_while_a_file_is_sent(run: Run, file: IO[bytes]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns(3)
            peer.send(b"from the peer")
            assert await receive(peer, len(CONTENT)) == CONTENT
            await sending
            while protocol.data != b"from the peer":
                await asyncio.sleep(0)

    run(main)


def test_a_write_while_a_file_is_sent_is_refused(run: Run, file: IO[bytes]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, peer):
            transport.write(b"x" * 1_000_000)  # the file has to wait behind it
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns(3)
            with pytest.raises(RuntimeError, match="unable to write; sendfile is in progress"):
                transport.write(b"too early")
            await receive(peer, 1_000_000)
            assert await receive(peer, len(CONTENT)) == CONTENT
            await sending

    run(main)


def test_sending_a_file_on_a_closing_transport_is_refused(run: Run, file: IO[bytes]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, _):
            transport.close()
            with pytest.raises(RuntimeError, match="Transport is closing"):
                await loop.sendfile(transport, file)

    run(main)


def test_a_peer_that_goes_away_fails_the_sending(run: Run, file: IO[bytes]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("unix", Recorder) as (transport, _, peer):
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns(5)
            peer.close()
            with pytest.raises(ConnectionError):
                await sending

    run(main)


def test_sock_sendfile(run: Run, file: IO[bytes]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("tcp")
        with near, peer:
            receiving = asyncio.ensure_future(receive(peer, len(CONTENT) - 10))
            assert await loop.sock_sendfile(near, file, 10) == len(CONTENT) - 10
            assert await receiving == CONTENT[10:]

    run(main)


def test_a_cancelled_sock_sendfile_lets_go_of_the_socket(run: Run, file: IO[bytes]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("unix")
        with near, peer:
            sending = asyncio.ensure_future(loop.sock_sendfile(near, file))
            await turns(5)
            assert not sending.done()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await turns(2)
            assert loop.remove_writer(near) is False

    run(main)


@pytest.mark.parametrize(("offset", "count"), [(-1, None), (0, 0), (0, -1)])
def test_ranges_that_make_no_sense_are_refused(
    run: Run, file: IO[bytes], offset: int, count: int | None
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("tcp")
        with near, peer, pytest.raises(ValueError):
            await loop.sock_sendfile(near, file, offset, count)

    run(main)


def test_reading_goes_on_after_a_file_was_sent(run: Run, file: IO[bytes]) -> None:
    """Who resumes meanwhile does not take the descriptor from the file's way."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            # More than the socket takes, so that it has to wait.
            head = b"x" * 8_000_000
            transport.write(head)
            receiving = asyncio.ensure_future(receive(peer, len(head) + len(CONTENT)))
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            while not sending.done():
                transport.pause_reading()
                transport.resume_reading()
                await asyncio.sleep(0)
            assert await sending == len(CONTENT)
            assert await receiving == head + CONTENT
            peer.send(b"thanks")
            await until(lambda: protocol.data == b"thanks")

    run(main)


def test_reading_is_resumed_while_the_peer_keeps_the_file_waiting(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(20_000_000))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, peer):
            with path.open("rb") as large:
                sending = asyncio.ensure_future(loop.sendfile(transport, large))
                await asyncio.sleep(0.05)
                assert not sending.done()
                transport.resume_reading()
                await asyncio.sleep(0.05)
                assert len(await receive(peer, 20_000_000)) == 20_000_000
                assert await sending == 20_000_000

    run(main)
