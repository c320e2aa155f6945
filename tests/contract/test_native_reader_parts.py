"""`readexactly(n)` of much, which comes from a socket in parts: what is there at any moment."""

from __future__ import annotations

import array
import asyncio
import fcntl
import random
import socket
import termios
import tracemalloc
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, Kit, both_kits
from contract.streams import stream
from contract.support import until
from loops import Run

SIZE = 100_000
SENT = random.Random(SIZE).randbytes(2 * SIZE)
FIRST = 40_000

kinds = pytest.mark.parametrize("kind", ["tcp", "unix"])


def counted(sock: Any, question: int) -> int:
    """Bytes in one of the queues of a socket."""
    count = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), question, count)
    return count[0]


class Sender:
    """The far end, which sends `SENT` in parts, and knows when each has been received."""

    def __init__(self, peer: socket.socket, writer: Any) -> None:
        self.peer = peer
        self.near = writer.get_extra_info("socket")
        self.sent = 0

    def is_received(self) -> bool:
        """First nothing is under way any more, then nothing waits at the near end."""
        return not (counted(self.peer, termios.TIOCOUTQ) or counted(self.near, termios.FIONREAD))

    async def send(self, count: int, *, received: bool = True) -> None:
        """Sends the next `count` bytes; returns when the transport has `received` them."""
        end = self.sent + count
        while self.sent < end:
            try:
                self.sent += self.peer.send(SENT[self.sent : end])
            except BlockingIOError:
                await asyncio.sleep(0.001)
        if received:
            await until(self.is_received, "everything is received")


async def begun(reader: Any, sender: Sender, *parts: int) -> asyncio.Task[bytes]:
    """A task that waits for SIZE bytes, of which these parts have come."""
    task = asyncio.create_task(reader.readexactly(SIZE))
    await asyncio.sleep(0)
    for part in parts or (FIRST,):
        await sender.send(part)
    assert task.done() == (sum(parts) >= SIZE)
    return task


async def gone(task: asyncio.Task[bytes]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@both_kits
@kinds
@pytest.mark.parametrize(
    "parts",
    [(SIZE,), (FIRST, SIZE - FIRST), (1, SIZE - 2, 1), (FIRST, FIRST, 100, 19_900)],
    ids=lambda parts: "+".join(map(str, parts)),
)
def test_it_comes_in_parts(kit: Kit, run: Run, kind: str, parts: tuple[int, ...]) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            assert await (await begun(reader, sender, *parts)) == SENT[:SIZE]
            # And once more, after a small message.
            small = asyncio.create_task(reader.readexactly(10))
            await sender.send(10)
            assert await small == SENT[SIZE : SIZE + 10]
            large = asyncio.create_task(reader.readexactly(SIZE - 10))
            await sender.send(SIZE - 10)
            assert await large == SENT[SIZE + 10 :]

    run(main)


@both_kits
@kinds
def test_what_comes_behind_it_stays(kit: Kit, run: Run, kind: str) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            task = await begun(reader, sender)
            await sender.send(SIZE - FIRST + 5)
            assert await task == SENT[:SIZE]
            assert await reader.read(100) == SENT[SIZE : SIZE + 5]
            # What is there when it begins is the first part.
            await sender.send(50_000)
            task = asyncio.create_task(reader.readexactly(90_000))
            await asyncio.sleep(0)
            await sender.send(40_003)
            assert await task == SENT[SIZE + 5 : SIZE + 90_005]
            assert await reader.readexactly(3) == SENT[SIZE + 90_005 : SIZE + 90_008]

    run(main)


@both_kits
@kinds
def test_the_first_part_is_there_for_others(kit: Kit, run: Run, kind: str) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            await gone(await begun(reader, sender))
            assert not reader.at_eof()
            assert await reader.read(10) == SENT[:10]
            assert await reader.readexactly(90) == SENT[10:100]
            # Another count, smaller and greater than what is there.
            assert await reader.readexactly(900) == SENT[100:1000]
            task = asyncio.create_task(reader.readexactly(60_000))
            await asyncio.sleep(0)
            await gone(task)
            task = asyncio.create_task(reader.readexactly(80_000))
            await asyncio.sleep(0)
            await sender.send(50_000)
            assert await task == SENT[1000:81_000]
            assert await reader.read(SIZE) == SENT[81_000:90_000]

    run(main)


@both_kits
@kinds
@pytest.mark.parametrize("other", [FIRST - 1, FIRST, FIRST + 1, SIZE - 1, SIZE + 1])
def test_the_next_one_waits_for_another_count(kit: Kit, run: Run, kind: str, other: int) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            await gone(await begun(reader, sender))
            task = asyncio.create_task(reader.readexactly(other))
            await asyncio.sleep(0)
            # (It pauses with some of this not received.)
            await sender.send(SIZE, received=False)
            assert await task == SENT[:other]
            rest = FIRST + SIZE - other
            assert await reader.readexactly(rest) == SENT[other : FIRST + SIZE]

    run(main)


@both_kits
@kinds
def test_more_comes_before_it_is_taken(kit: Kit, run: Run, kind: str) -> None:
    """The coroutine is driven by hand, and late."""

    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            late = reader.readexactly(SIZE)
            waiter = late.send(None)
            for count in (FIRST, SIZE - FIRST, 50, 50):
                await sender.send(count)
                await asyncio.sleep(0)
                if waiter.done() and sender.sent < SIZE:
                    waiter = late.send(None)
            with pytest.raises(StopIteration) as stopped:
                late.send(None)
            assert stopped.value.value == SENT[:SIZE]
            assert await reader.read(SIZE) == SENT[SIZE : SIZE + 100]

    run(main)


@both_kits
@kinds
def test_the_buffer_shows_the_first_part(kit: Kit, run: Run, kind: str) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            task = await begun(reader, sender)
            assert f"{FIRST} bytes" in repr(reader)
            buffer = reader._buffer
            assert type(buffer) is bytearray
            assert buffer == SENT[:FIRST]
            del buffer[:10]
            await sender.send(SIZE - FIRST)
            assert buffer == SENT[10:SIZE]
            assert not task.done()
            await sender.send(10)
            assert await task == SENT[10 : SIZE + 10]
            assert buffer == b""

    run(main)


@both_kits
@kinds
def test_a_program_adds_to_the_first_part(kit: Kit, run: Run, kind: str) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            task = await begun(reader, sender)
            reader.feed_data(b"fed")
            await sender.send(SIZE - FIRST)
            assert await task == SENT[:FIRST] + b"fed" + SENT[FIRST : SIZE - 3]
            assert await reader.read(SIZE) == SENT[SIZE - 3 : SIZE]

    run(main)


@both_kits
@kinds
@pytest.mark.parametrize("parts", [(FIRST,), (1,), (SIZE - 1,)])
def test_the_end_comes_before_the_rest(
    kit: Kit, run: Run, kind: str, parts: tuple[int, ...]
) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (reader, writer, peer):
            task = await begun(reader, Sender(peer, writer), *parts)
            peer.shutdown(socket.SHUT_WR)
            with pytest.raises(asyncio.IncompleteReadError) as caught:
                await task
            assert caught.value.partial == SENT[: parts[0]]
            assert caught.value.expected == SIZE
            assert reader.at_eof()

    run(main)


@both_kits
@kinds
def test_the_transport_is_paused_and_goes_on(kit: Kit, run: Run, kind: str) -> None:
    """More than twice the limit is there before all has come."""

    async def main() -> None:
        async with stream(kit, kind, limit=1000) as (reader, writer, peer):
            sender = Sender(peer, writer)
            task = await begun(reader, sender, FIRST, FIRST)
            # It pauses with some of this not received.
            await sender.send(SIZE, received=False)
            assert await task == SENT[:SIZE]
            assert await reader.readexactly(80_000) == SENT[SIZE : SIZE + 80_000]
            await until(reader._transport.is_reading)

    run(main)


@kinds
@pytest.mark.parametrize(
    ("count", "ahead"), [(SIZE, True), (1 << 20, True), ((1 << 20) + 1, False), (20_000, False)]
)
def test_the_object_is_made_when_the_first_part_comes(
    run: Run, is_stock: bool, kind: str, count: int, ahead: bool
) -> None:
    """Neither before nor where too much was announced: Python's own allocator knows."""
    if is_stock:
        pytest.skip("only Batuta's transports receive into it")

    async def main() -> int:
        async with stream(BATUTA_KIT, kind) as (reader, writer, peer):
            sender = Sender(peer, writer)
            task = asyncio.create_task(reader.readexactly(count))
            await asyncio.sleep(0)
            tracemalloc.start()
            try:
                await sender.send(10_000)
                traced, _ = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            await gone(task)
            return traced

    traced = run(main)
    assert traced < count + 20_000
    assert (traced >= count) == ahead
