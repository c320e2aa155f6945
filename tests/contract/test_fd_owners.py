"""One owner per file descriptor: what is refused, and numbers that are used again."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
import sys
import warnings
from typing import Any

import pytest

from contract.support import (
    Recorder,
    connected,
    raw_pair,
    receive,
    receive_all,
    same_number,
    turns,
    until,
)
from loops import Run

Pair = tuple[socket.socket, socket.socket]


@pytest.mark.parametrize("bad", [-1, "text", None, 3.5, object()])
@pytest.mark.parametrize("method", ["add_reader", "add_writer", "remove_reader", "remove_writer"])
def test_what_is_no_file_descriptor_is_refused(
    loop: asyncio.AbstractEventLoop, method: str, bad: object
) -> None:
    arguments = [bad, print] if method.startswith("add") else [bad]
    with pytest.raises(ValueError, match="file"):
        getattr(loop, method)(*arguments)


def test_a_closed_fd_cannot_be_added(loop: asyncio.AbstractEventLoop) -> None:
    near, far = raw_pair("unix")
    number = near.fileno()
    near.close()
    far.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.add_reader(number, print)
    with pytest.raises(OSError, match="Bad file descriptor"):
        loop.add_writer(number, print)
    with pytest.raises(ValueError):
        loop.add_reader(near, print)


def test_a_regular_file_cannot_be_polled(
    loop: asyncio.AbstractEventLoop, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("files") / "regular"
    path.write_bytes(b"data")
    with path.open("rb") as file, pytest.raises(PermissionError):
        loop.add_reader(file, print)


def test_the_fd_of_a_transport_belongs_to_the_transport(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, _):
            fd = transport.get_extra_info("socket").fileno()
            for method in (loop.add_reader, loop.add_writer):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    method(fd, print)
            for remove in (loop.remove_reader, loop.remove_writer):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    remove(fd)

    run(main)


@pytest.mark.parametrize("how", ["close", "close from the transport", "detach"])
def test_a_socket_that_is_closed_under_a_transport(run: Run, is_stock: bool, how: str) -> None:
    """stock's transport fails at its next call of the socket; Batuta's goes on to its end."""

    async def main() -> None:
        near, far = raw_pair("unix")
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        taken = None
        if how == "detach":
            taken = socket.socket(fileno=near.detach())
        elif how == "close":
            near.close()
        else:
            transport.get_extra_info("socket")._sock.close()
        if is_stock:
            transport.write(b"out")
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, OSError)
            assert protocol.reason.errno == errno.EBADF
        else:
            transport.write(b"out")
            assert await receive(far, 3) == b"out"
            far.send(b"in")
            await until(lambda: protocol.data == b"in")
            transport.close()
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            if taken is None:
                assert await receive_all(far) == b""
        if taken is not None:
            taken.send(b"still open")
            assert await receive(far, 10) == b"still open"
            taken.close()
        far.close()

    run(main)


def test_the_fd_of_a_closed_transport_is_free_again(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, protocol, _):
            fd = transport.get_extra_info("socket").fileno()
            transport.abort()
            await until(lambda: protocol.lost)
            other = same_number(fd)
            got: list[bytes] = []
            loop.add_reader(fd, lambda: got.append(os.read(fd, 10)))
            other.send(b"mine")
            await until(lambda: got == [b"mine"])
            loop.remove_reader(fd)
            os.close(fd)
            other.close()

    run(main)


def test_a_number_reused_after_remove_and_close_gets_only_its_own_events(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            near, far = raw_pair("unix")
            old: list[str] = []
            new: list[bytes] = []
            loop.add_reader(near, old.append, "old")
            fd = near.fileno()
            far.send(b"old data")
            await asyncio.sleep(0)
            before = len(old)
            loop.remove_reader(near)
            near.close()
            far.close()
            other = same_number(fd)
            loop.add_reader(fd, lambda fd=fd, new=new: new.append(os.read(fd, 10)))
            await turns(2)
            assert new == []
            other.send(b"new")
            await until(lambda new=new: new)
            assert new == [b"new"]
            assert len(old) == before
            loop.remove_reader(fd)
            os.close(fd)
            other.close()

    run(main)


def test_a_socket_closed_with_its_reader_left_behind_calls_nobody(run: Run) -> None:
    """A mistake of the program: the loop must not crash, nor call the old callback."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        got: list[str] = []
        fd = near.fileno()
        loop.add_reader(fd, got.append, "old")
        near.close()
        far.close()
        await turns(5)
        assert got == []
        assert loop.remove_reader(fd) is True
        other = same_number(fd)
        loop.add_reader(fd, got.append, "new")
        other.send(b"x")
        await until(lambda: got)
        assert set(got) == {"new"}
        loop.remove_reader(fd)
        os.close(fd)
        other.close()

    run(main)


def test_closing_the_loop_lets_go_of_readers_without_closing_their_sockets(run: Run) -> None:
    near, far = raw_pair("unix")

    async def main() -> None:
        asyncio.get_running_loop().add_reader(near, print)

    run(main)
    far.send(b"x")
    assert near.recv(1) == b"x"
    near.close()
    far.close()


def test_a_socket_that_only_the_loop_knows_stays_open(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        got: list[bytes] = []

        def watch() -> tuple[socket.socket, int]:
            near, far = raw_pair("unix")
            number = near.fileno()
            loop.add_reader(near, lambda: got.append(os.read(number, 10)))
            return far, number

        far, number = watch()
        gc.collect()
        far.send(b"there")
        await until(lambda: got == [b"there"])
        assert loop.remove_reader(number)
        gc.collect()
        assert far.recv(1) == b""  # now it has gone
        far.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        run(main)


@pytest.mark.parametrize("named", [False, True])
def test_a_closed_socket_is_known_by_itself(run: Run, named: bool) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        number = near.fileno()
        called: list[str] = []
        if named:
            loop.add_reader(fd=near, callback=lambda: called.append("stale"))
        else:
            loop.add_reader(near, called.append, "stale")
        near.close()
        assert loop.remove_reader(near) is True
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            loop.remove_reader(near)
        with pytest.raises(ValueError, match="Invalid file descriptor: -1"):
            loop.remove_writer(near)
        peer = same_number(number)
        loop.add_writer(number, called.append, "new")
        peer.send(b"x")
        await until(lambda: called)
        await turns(3)
        assert set(called) == {"new"}
        loop.remove_writer(number)
        os.close(number)
        peer.close()
        far.close()

    run(main)


class Datagrams(Recorder, asyncio.DatagramProtocol):
    def datagram_received(self, data: bytes, addr: object) -> None:
        self.data_received(data)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="3.11 does not look")
@pytest.mark.parametrize("kind", ["stream", "datagram"])
def test_a_socket_has_one_transport(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        kinds = socket.SOCK_STREAM if kind == "stream" else socket.SOCK_DGRAM
        near, far = socket.socketpair(socket.AF_UNIX, kinds)

        near.setblocking(False)

        async def make() -> tuple[Any, Any]:
            if kind == "stream":
                return await loop.create_connection(Recorder, sock=near)
            return await loop.create_datagram_endpoint(Datagrams, sock=near)

        transport, protocol = await make()
        with pytest.raises(RuntimeError, match="is used by transport"):
            await make()
        if kind == "stream" and sys.version_info >= (3, 14):
            # A connection that fails closes the socket, even if that is somebody else's.
            assert "[closed]" in repr(near)
            transport.abort()
        else:
            with pytest.raises(RuntimeError, match="is used by transport"):
                await make()
            far.send(b"still its")
            await until(lambda: protocol.data == b"still its")
            transport.close()
        await until(lambda: protocol.lost)
        far.close()

    run(main)
