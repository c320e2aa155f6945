"""`loop.coalesce_writes`: what waits for the end of the turn, and what makes it leave before."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import batuta
import pytest

from contract.support import Recorder, connected, raw_pair, turns
from loops import Run


def coalescing() -> batuta.EventLoop:
    loop = batuta.new_event_loop()
    loop.coalesce_writes = True
    return loop


@pytest.fixture
def run() -> Run:
    return Run(coalescing)


def there(peer: socket.socket) -> bytes:
    """What has arrived so far; over loopback what was sent is there at once."""
    try:
        return peer.recv(1 << 20)
    except BlockingIOError:
        return b""


def test_the_writes_of_a_turn_leave_at_its_end(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            seen = []

            def writes(*pieces: bytes) -> None:
                for piece in pieces:
                    transport.write(piece)
                seen.append(there(peer))

            loop = asyncio.get_running_loop()
            loop.call_soon(writes, b"a", b"b")
            loop.call_soon(writes, b"c")
            loop.call_soon(loop.call_soon, writes, b"d")
            await turns(1)  # Ends in the turn of these callbacks, behind them.
            assert (seen, there(peer)) == ([b"", b""], b"")
            await turns(1)
            assert (seen, there(peer)) == ([b"", b"", b"abc"], b"")
            await turns(1)
            assert there(peer) == b"d"

    run(main)


def test_a_transport_waits_once_however_often_its_writes_leave(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):

            def held() -> int:
                """How often the loop holds the transport."""
                held = gc.get_referents(asyncio.get_running_loop())
                return sum(one is transport for one in held)

            before = held()
            for _ in range(5):
                transport.write(b"x")
                assert transport.get_write_buffer_size() == 0
            assert there(peer) == b"xxxxx"
            assert held() == before + 1
            transport.write(b"y")
            assert there(peer) == b""
            await turns(1)
            assert there(peer) == b"y"
            assert held() == before

    run(main)


def test_the_lines_of_a_turn_leave_at_its_end(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            changed = bytearray(b"three ")
            transport.writelines([b"one ", b"two "])
            transport.writelines([changed, memoryview(b"four")])
            changed[:] = b"spoilt"
            assert there(peer) == b""
            await turns(1)
            assert there(peer) == b"one two three four"

    run(main)


ASKING: dict[str, Callable[[Any], Any]] = {
    "get_write_buffer_size": lambda transport: transport.get_write_buffer_size(),
    "is_closing": lambda transport: transport.is_closing(),
    "get_extra_info": lambda transport: transport.get_extra_info("socket"),
    "set_write_buffer_limits": lambda transport: transport.set_write_buffer_limits(high=0),
    "write_eof": lambda transport: transport.write_eof(),
    "close": lambda transport: transport.close(),
    "abort": lambda transport: transport.abort(),
    "much": lambda transport: transport.write(bytes(16_384)),
    "fork": lambda _: fork(),
}


def fork(body: Callable[[], bool] = lambda: True) -> bool:
    """Whether a forked child found `body` true."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if body() else 1)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("asked", ASKING)
def test_what_waits_leaves_before(run: Run, asked: str) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            transport.write(b"one ")
            transport.write(b"two")
            ASKING[asked](transport)
            assert there(peer)[:7] == b"one two"
            assert "pause_writing" not in protocol.events

    run(main)


def test_the_size_of_the_buffer_is_what_the_socket_has_not_taken(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            transport.write(b"one ")
            assert transport.get_write_buffer_size() == 0
            transport.write(b"two")
            assert transport.get_write_buffer_size() == 0
            assert there(peer) == b"one two"

    run(main)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_child_process_sends_nothing_of_its_parent(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, peer):
            transport.write(b"once ")
            assert fork(lambda: bool(transport.get_write_buffer_size() == 0))
            transport.write(b"only")
            await turns(1)
            assert there(peer) == b"once only"

    run(main)


def test_a_long_turn_keeps_nobody_waiting(run: Run) -> None:
    """What was written more than a millisecond ago, or before fifteen others wrote, has left."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            pairs = [await stack.enter_async_context(connected("tcp", Recorder)) for _ in range(20)]
            seen: list[bytes] = []
            for transport, _, _ in pairs:
                loop.call_soon(transport.write, b"many")
            loop.call_soon(lambda: seen.extend(there(peer) for _, _, peer in pairs))
            await turns(2)
            assert seen == [b"many"] * 16 + [b""] * 4
            assert [there(peer) for _, _, peer in pairs[16:]] == [b"many"] * 4

            seen.clear()
            (first, _, peer), (second, _, other) = pairs[:2]
            loop.call_soon(first.write, b"early")
            loop.call_soon(time.sleep, 0.002)
            loop.call_soon(lambda: seen.append(there(peer)))
            loop.call_soon(second.write, b"late")
            loop.call_soon(lambda: seen.append(there(other)))
            await turns(2)
            assert seen == [b"early", b""]
            assert there(other) == b"late"

    run(main)


@pytest.mark.parametrize("asked", [False, True])
def test_a_peer_that_is_gone_is_noticed_when_asked_for_or_at_the_end_of_the_turn(
    run: Run, asked: bool
) -> None:
    async def main() -> None:
        async with connected("unix", Recorder) as (transport, protocol, peer):
            transport.pause_reading()
            peer.close()
            transport.write(b"nobody")
            if asked:
                assert transport.is_closing()
            await turns(2)
            assert transport.is_closing()
            assert isinstance(protocol.reason, BrokenPipeError)

    run(main)


def test_a_full_socket_pauses_the_protocol_later(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            while not transport.get_write_buffer_size():
                transport.write(bytes(65_536))
            waiting = transport.get_write_buffer_size()
            transport.set_write_buffer_limits(high=waiting + 1000)
            for _ in range(10):
                transport.write(bytes(1000))
            await turns(1)
            assert "pause_writing" in protocol.events
            assert transport.get_write_buffer_size() == waiting + 10_000
            assert peer.fileno() > 0

    run(main)


def test_switched_off_it_leaves_at_once_again(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, peer):
            transport.write(b"one ")
            loop.coalesce_writes = False
            transport.write(b"two")
            await turns(1)
            assert there(peer) == b"one two"
            transport.write(b"three")
            assert there(peer) == b"three"

    run(main)


def test_outside_of_the_loop_nothing_waits() -> None:
    loop = coalescing()
    near, peer = raw_pair("tcp")
    transport, _ = loop.run_until_complete(loop.create_connection(Recorder, sock=near))
    transport.write(b"one ")
    assert there(peer) == b"one "
    loop.call_soon(transport.write, b"two")
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert there(peer) == b"two"
    transport.abort()
    loop.run_until_complete(turns(3))
    loop.close()
    peer.close()


def test_acceleration_switches_it_on_for_new_loops() -> None:
    def is_on() -> bool:
        loop = batuta.new_event_loop()
        loop.close()
        return bool(loop.coalesce_writes)

    async def main() -> bool:
        return bool(asyncio.get_running_loop().coalesce_writes)  # type: ignore[attr-defined]

    assert not is_on()
    assert batuta.run(main(), accelerate=True)
    assert not batuta.run(main())
    assert not is_on()


def test_streams_with_many_requests_in_flight(run: Run) -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(7):
                writer.write(data)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            sent = bytes(range(256)) * 40
            writer.write(sent)
            writer.write_eof()
            assert await reader.read() == sent
            writer.close()
            await writer.wait_closed()

    run(main)
    batuta.run(main(), accelerate=True)


@pytest.mark.parametrize("asked", ["nothing", "get_write_buffer_size", "get_extra_info"])
def test_a_file_is_sent_behind_what_waits(run: Run, asked: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"file")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, peer):

            async def answer() -> int:
                transport.write(b"head ")
                with path.open("rb") as file:
                    return await loop.sendfile(transport, file)

            answering = asyncio.ensure_future(answer())
            loop.call_soon(ASKING.get(asked, str), transport)
            assert await asyncio.wait_for(answering, 5) == 4
            assert there(peer) == b"head file"

    run(main)
