"""Several small writes of one step of a task, or of one callback: each is with the peer when
`write()` returns, in order, whatever comes then.

With `loop.coalesce_writes` they may leave at the end of the turn; all that does not ask for more is
tested in both ways, on Batuta.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from contract.support import (
    Recorder,
    both_kinds,
    connected,
    raw_pair,
    receive,
    receive_all,
    turns,
    until,
)
from loops import Report, Run


@pytest.fixture(params=["at once", "coalesced"])
def either(request: pytest.FixtureRequest, run: Run) -> Run:
    """Runs with and without `coalesce_writes`, where the loop has it."""

    def make() -> asyncio.AbstractEventLoop:
        loop: Any = run.factory()
        if hasattr(loop, "coalesce_writes"):
            loop.coalesce_writes = request.param == "coalesced"
        return loop  # type: ignore[no-any-return]

    return Run(make)


def there(peer: socket.socket) -> bytes:
    """What has arrived so far; over loopback what was sent is there at once."""
    try:
        return peer.recv(1 << 20)
    except BlockingIOError:
        return b""


@both_kinds
def test_each_write_of_a_step_leaves_at_once(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            for _ in range(3):
                await asyncio.sleep(0)
                for piece in (b"one ", b"two ", bytearray(b"three ")):
                    transport.write(piece)
                    assert there(peer) == bytes(piece)
                piece[:] = b"spoilt"
                await asyncio.sleep(0)
                assert there(peer) == b""

    run(main)


def test_each_write_of_a_callback_leaves_at_once(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            loop, seen = asyncio.get_running_loop(), []

            def writes(*pieces: bytes) -> None:
                for piece in pieces:
                    transport.write(piece)
                seen.append(there(peer))

            loop.call_soon(writes, b"a", b"b")
            loop.call_soon(writes, b"c")
            loop.call_later(0, writes, b"d")
            await until(lambda: len(seen) == 3)
            assert seen == [b"ab", b"c", b"d"]

    run(main)


def test_the_rest_of_the_step_may_wait_for_the_peer(run: Run) -> None:
    """Bad manners in a coroutine, but it works in asyncio."""

    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            peer.setblocking(True)
            transport.write(b"one ")
            transport.write(b"two")
            got = b""
            while len(got) < 7:
                got += peer.recv(7)
            assert got == b"one two"

    run(main)


def test_the_socket_may_be_shut_down_behind_what_was_written(either: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            transport.write(b"one ")
            transport.write(b"two")
            transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
            assert await receive_all(peer) == b"one two"

    either(main)


@both_kinds
def test_order_is_kept_whatever_is_mixed(either: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            expected = bytearray()
            for step in range(200):
                for index in range(step % 7):
                    size = (1, 10, 5000, 17_000, 100_000)[(step * 7 + index) % 5]
                    piece = bytes([step % 251]) * size
                    if (step + index) % 4 == 3:
                        transport.writelines([piece[: size // 2], piece[size // 2 :]])
                    else:
                        transport.write(piece)
                    expected += piece
                if step % 3 == 0:
                    assert await receive(peer, len(expected)) == expected
                    expected.clear()
            assert await receive(peer, len(expected)) == expected

    either(main)


def test_a_large_write_comes_behind_a_small_one(either: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            transport.write(b"x")
            transport.write(bytes(20_000))
            assert len(await receive(peer, 20_001)) == 20_001

    either(main)


@both_kinds
@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_the_end_comes_behind_what_was_written(either: Run, kind: str, end: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            transport.write(b"one ")
            transport.write(b"two")
            getattr(transport, end)()
            assert await receive_all(peer) == b"one two"

    either(main)


def test_what_was_written_is_there_when_the_callback_fails(either: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):

            def fails() -> None:
                transport.write(b"one ")
                transport.write(b"two")
                raise LookupError

            asyncio.get_running_loop().call_soon(fails)
            await turns(2)
            assert await receive(peer, 7) == b"one two"

    either(main, reports=reports)
    assert [type(report["exception"]) for report in reports] == [LookupError]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_was_written_is_there_when_the_loop_is_left(
    either: Run, error: type[BaseException]
) -> None:
    loop = either.factory()
    near, peer = raw_pair("tcp")
    transport: Any
    transport, _ = loop.run_until_complete(loop.create_connection(Recorder, sock=near))

    async def leaves() -> None:
        transport.write(b"one ")
        transport.write(b"two")
        raise error

    task = loop.create_task(leaves())
    with pytest.raises(error):
        loop.run_until_complete(task)
    assert there(peer) == b"one two"
    transport.write(b"three ")
    transport.write(b"four")
    assert there(peer) == b"three four"
    transport.abort()
    loop.run_until_complete(turns(3))
    loop.close()
    peer.close()


def test_one_connections_data_for_another_one(either: Run) -> None:
    """A proxy: the protocol of one connection writes to another."""

    class Proxy(asyncio.Protocol):
        other: Any

        def data_received(self, data: bytes) -> None:
            for byte in data:
                self.other.write(bytes([byte]))

    async def main() -> None:
        async with (
            connected("tcp", Proxy) as (_, proxy, left),
            connected("tcp", Recorder) as (transport, _, right),
        ):
            proxy.other = transport
            for _ in range(10):
                left.send(b"some data")
                assert await receive(right, 9) == b"some data"

    either(main)


def test_an_abort_loses_no_order_and_writes_nothing_late(either: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            transport.write(b"one ")
            transport.write(b"two")
            transport.abort()
            transport.write(b"late")
            await until(lambda: protocol.lost)
            got = b""
            try:
                got = await receive_all(peer)
            except ConnectionResetError:
                pass
            assert b"one two".startswith(got)

    either(main)


def test_small_writes_do_not_pause_a_peer_that_reads(either: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            transport.set_write_buffer_limits(high=0)
            for _ in range(5):
                transport.write(b"x" * 1000)
            assert transport.get_write_buffer_size() == 0
            assert await receive(peer, 5000) == b"x" * 5000
            assert protocol.events == ["connection_made"]

    either(main)
