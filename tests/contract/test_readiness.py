"""add_reader and add_writer: return values, replacement, level triggering, errors, reused fds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from contract.support import raw_pair, turns, until
from loops import Run

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected sockets; the test may close them."""
    near, far = raw_pair("unix")
    yield near, far
    near.close()
    far.close()


def test_remove_says_whether_something_was_removed(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, _ = pair
        assert loop.remove_reader(near) is False
        assert loop.remove_writer(near) is False
        assert loop.add_reader(near, print) is None
        assert loop.add_writer(near, print) is None
        assert loop.remove_reader(near) is True
        assert loop.remove_reader(near) is False
        assert loop.remove_writer(fd=near) is True
        assert loop.remove_writer(fd=near) is False

    run(main)


@pytest.mark.parametrize("form", ["number", "socket", "file", "object with fileno"])
def test_every_form_of_a_file_descriptor_is_taken(run: Run, form: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        read_end, write_end = os.pipe()
        got: list[str] = []

        class Wrapper:
            def fileno(self) -> int:
                return near.fileno()

        with os.fdopen(read_end, "rb", buffering=0) as file:
            forms: dict[str, object] = {
                "number": near.fileno(),
                "socket": near,
                "file": file,
                "object with fileno": Wrapper(),
            }
            loop.add_reader(forms[form], got.append, "ready")  # type: ignore[arg-type]
            far.send(b"x")
            os.write(write_end, b"x")
            await until(lambda: got)
            assert loop.remove_reader(forms[form]) is True  # type: ignore[arg-type]
        os.close(write_end)
        near.close()
        far.close()

    run(main)


def test_a_reader_added_by_object_is_removed_by_number(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(pair[0], print)
        assert loop.remove_reader(pair[0].fileno()) is True
        loop.add_reader(pair[0].fileno(), print)
        assert loop.remove_reader(pair[0]) is True

    run(main)


def test_a_reader_is_called_again_until_the_data_is_gone(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair
        calls: list[bytes] = []
        far.send(b"abc")
        loop.add_reader(near, lambda: calls.append(near.recv(1)))
        await until(lambda: len(calls) == 3)
        assert b"".join(calls) == b"abc"
        await turns(10)
        assert len(calls) == 3
        loop.remove_reader(near)

    run(main)


def test_a_reader_that_reads_nothing_is_called_again_and_again(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair
        calls: list[int] = []
        loop.add_reader(near, calls.append, 1)
        far.send(b"x")
        await until(lambda: len(calls) >= 5)
        near.recv(1)
        await turns(5)
        seen = len(calls)
        await turns(20)
        assert len(calls) == seen
        loop.remove_reader(near)

    run(main)


def test_data_that_was_there_before_the_reader_is_seen(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair
        far.send(b"early")
        for _ in range(3):  # also after removing and adding again
            ready = loop.create_future()
            loop.add_reader(near, lambda f=ready: f.done() or f.set_result(None))
            await ready
            loop.remove_reader(near)

    run(main)


def test_a_writer_is_called_while_there_is_room(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair
        calls: list[int] = []
        loop.add_writer(near, calls.append, 1)
        await until(lambda: len(calls) >= 3)
        loop.remove_writer(near)
        with pytest.raises(BlockingIOError):
            while True:
                near.send(b"x" * 65536)
        calls.clear()
        loop.add_writer(near, calls.append, 1)
        await asyncio.sleep(0.01)
        assert calls == []
        while not calls:
            with contextlib.suppress(BlockingIOError):
                far.recv(65536)
            await asyncio.sleep(0)
        loop.remove_writer(near)

    run(main)


def test_reader_and_writer_on_the_same_fd_are_independent(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair
        got: list[str] = []

        def readable() -> None:
            got.append(near.recv(10).decode())

        def writable() -> None:
            got.append("w")
            loop.remove_writer(near)

        loop.add_reader(near, readable)
        loop.add_writer(near, writable)
        await until(lambda: got == ["w"])
        far.send(b"r1")
        await until(lambda: got == ["w", "r1"])
        loop.add_writer(near, writable)
        await until(lambda: got == ["w", "r1", "w"])
        loop.remove_reader(near)
        far.send(b"r2")
        await asyncio.sleep(0.01)
        assert len(got) == 3

    run(main)


def test_adding_again_replaces_and_cancels_the_earlier_callback(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair
        got: list[str] = []
        far.send(b"x")

        def first() -> None:
            got.append("first")

        def second() -> None:
            got.append("second")
            loop.remove_reader(near)

        loop.add_reader(near, first)
        loop.add_reader(near, second)
        await until(lambda: got)
        assert got == ["second"]
        assert loop.remove_reader(near) is False

    run(main)


def test_a_reader_removed_in_the_turn_it_became_ready_is_not_called(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pairs = [raw_pair("unix") for _ in range(2)]
        got: list[int] = []

        def readable(number: int) -> None:
            got.append(number)
            for near, _ in pairs:
                loop.remove_reader(near)

        for number, (near, far) in enumerate(pairs):
            loop.add_reader(near, readable, number)
            far.send(b"x")
        await until(lambda: got)
        await turns(5)
        assert len(got) == 1
        for near, far in pairs:
            near.close()
            far.close()

    run(main)


def test_the_end_of_the_stream_makes_a_reader_ready(run: Run, pair: Pair) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = pair
        got: list[bytes] = []
        loop.add_reader(near, lambda: (got.append(near.recv(1)), loop.remove_reader(near)))
        far.close()
        await until(lambda: got == [b""])

    run(main)


def test_many_fds_at_once(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        pairs = [raw_pair("unix") for _ in range(200)]
        got: set[int] = set()
        for number, (near, _) in enumerate(pairs):
            loop.add_reader(near, lambda n=number, s=near: (s.recv(1), got.add(n)))
        for _, far in pairs:
            far.send(b"x")
        await until(lambda: len(got) == 200)
        for near, far in pairs:
            loop.remove_reader(near)
            near.close()
            far.close()

    run(main)
