"""Stream connections: asyncio's own classes and Batuta's do the same, on both loops.

On a Batuta loop a native reader is fed without a call; what a program has put in the place of a
method on the way is called all the same.
"""

from __future__ import annotations

import asyncio
import random
import socket
import sys
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, Kit, both_kits
from contract.support import both_kinds, raw_pair, receive, receive_all, reset, turns, until
from contract.test_tls import Contexts, tls
from loops import Report, Run

__all__ = ["tls"]  # a fixture


@asynccontextmanager
async def stream(
    kit: Kit, kind: str = "tcp", *, reader: Any = None, protocol: Any = None, limit: int = 2**16
) -> AsyncIterator[tuple[Any, Any, socket.socket]]:
    """A reader and a writer made by hand, and the raw socket at the far end."""
    loop = asyncio.get_running_loop()
    near, peer = raw_pair(kind)
    reader = (reader or kit.StreamReader)(limit=limit, loop=loop)
    made = (protocol or kit.StreamReaderProtocol)(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: made, sock=near)
    writer = kit.StreamWriter(transport, made, reader, loop)
    try:
        yield reader, writer, peer
    finally:
        transport.abort()
        await turns(3)
        peer.close()


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


# Data


@both_kits
@both_kinds
def test_data_of_all_sizes_arrives_in_order(kit: Kit, run: Run, kind: str) -> None:
    async def serve(reader: Any, writer: Any) -> None:
        while size := int(await reader.readline()):
            data = await reader.readexactly(size)
            writer.write(b"%d\n" % size)
            writer.writelines([data[: size // 2], data[size // 2 :]])
            await writer.drain()
        writer.close()

    async def main() -> None:
        chance = random.Random(4)
        sizes = [1, 2, 1000, 65536, 65537, 300_000, 3_000_000]
        sizes += [chance.randrange(1, 200_000) for _ in range(20)]
        async with stream(kit, kind) as (reader, writer, peer):
            loop = asyncio.get_running_loop()
            peer_reader, peer_writer = await asyncio.open_connection(sock=peer.dup())
            serving = loop.create_task(serve(reader, writer))
            for size in sizes:
                data = chance.randbytes(size)
                peer_writer.write(b"%d\n" % size + data)
                assert await peer_reader.readline() == b"%d\n" % size
                assert await peer_reader.readexactly(size) == data
            peer_writer.write(b"0\n")
            await serving
            peer_writer.close()

    run(main)


@both_kits
def test_a_server_and_its_clients(kit: Kit, run: Run, tmp_path: Path) -> None:
    async def serve(reader: Any, writer: Any) -> None:
        assert type(reader) is kit.StreamReader
        assert type(writer) is kit.StreamWriter
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.write(b"end")
        writer.close()
        await writer.wait_closed()

    async def talk(reader: Any, writer: Any) -> None:
        assert type(writer.transport.get_protocol()) is kit.StreamReaderProtocol
        writer.write(b"one\ntwo\nthree")
        assert writer.can_write_eof()
        writer.write_eof()
        assert await reader.read() == b"ONE\nTWO\nTHREEend"
        assert reader.at_eof()
        assert not writer.is_closing()
        writer.close()
        assert writer.is_closing()
        await writer.wait_closed()

    async def main() -> None:
        path = str(tmp_path / "socket")
        async with (
            await kit.start_server(serve, "127.0.0.1", 0) as server,
            await kit.start_unix_server(serve, path),
        ):
            port = port_of(server)
            for _ in range(3):
                await talk(*await kit.open_connection("127.0.0.1", port))
                await talk(*await kit.open_unix_connection(path))
            both = [kit.open_connection("127.0.0.1", port, limit=77) for _ in range(10)]
            for reader, writer in await asyncio.gather(*both):
                assert reader._limit == 77
                assert writer.get_extra_info("peername")[1] == port
                assert writer.get_extra_info("nothing", 5) == 5
                await talk(reader, writer)

    run(main)


@both_kits
@both_kinds
def test_a_full_reader_stops_the_sender(kit: Kit, run: Run, kind: str) -> None:
    async def main() -> None:
        async with stream(kit, kind, limit=10_000) as (reader, writer, peer):
            sent = 0

            def send() -> None:
                nonlocal sent
                try:
                    while sent < 9_000_000:
                        sent += peer.send(bytes(100_000))
                except BlockingIOError:
                    pass

            for _ in range(20):
                send()
                await turns(5)
            assert reader._paused
            assert not writer.transport.is_reading()
            assert 20_000 < len(reader._buffer) < 1_000_000
            assert sent < 9_000_000
            got = 0
            while got < 9_000_000:
                send()
                got += len(await reader.readexactly(min(30_000, 9_000_000 - got)))
            await reader.readexactly(sent - got)
            assert not reader._paused

    run(main)


@both_kits
def test_a_read_of_more_than_the_limit_goes_on(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit, limit=1000) as (reader, _, peer):
            loop = asyncio.get_running_loop()
            sending = loop.create_task(loop.sock_sendall(peer, bytes(2_000_000)))
            assert len(await reader.readexactly(2_000_000)) == 2_000_000
            await sending

    run(main)


@both_kits
def test_a_peeked_buffer_is_fed(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (reader, _, peer):
            held = [reader._buffer]
            peer.send(b"one\n")
            await until(lambda: held == [b"one\n"])
            assert await reader.readline() == b"one\n"
            peer.send(b"two")
            await until(lambda: held == [b"two"])
            held.clear()
            assert await reader.read(100) == b"two"
            peer.send(b"three")
            assert await reader.readexactly(5) == b"three"

    run(main)


@both_kits
def test_a_buffer_that_cannot_grow_ends_the_connection(kit: Kit, run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        async with stream(kit) as (reader, writer, peer):
            reader.feed_data(b"abc")
            with memoryview(reader._buffer):
                peer.send(b"data")
                await until(writer.is_closing)
                await turns(3)
        assert isinstance(reader.exception(), BufferError)

    run(main, reports=reports)
    assert len(reports) == 1
    assert reports[0]["message"] == "Fatal error: protocol.data_received() call failed."


# What programs put in the place of methods


def test_methods_of_subclasses_are_called(run: Run) -> None:
    seen: list[tuple[str, bytes]] = []

    class Reader(BATUTA_KIT.StreamReader):  # type: ignore[misc,name-defined]
        def feed_data(self, data: bytes) -> None:
            seen.append(("reader", data))
            super().feed_data(data)

    class Protocol(BATUTA_KIT.StreamReaderProtocol):  # type: ignore[misc,name-defined]
        def data_received(self, data: bytes) -> None:
            seen.append(("protocol", data))
            super().data_received(data)

    async def main() -> None:
        async with stream(BATUTA_KIT, reader=Reader) as (reader, _, peer):
            peer.send(b"one")
            assert await reader.read(10) == b"one"
        async with stream(BATUTA_KIT, protocol=Protocol) as (reader, _, peer):
            peer.send(b"two")
            assert await reader.read(10) == b"two"
        assert seen == [("reader", b"one"), ("protocol", b"two")]

    run(main)


def test_methods_may_be_patched_in_the_middle_of_a_connection(run: Run) -> None:
    async def main() -> None:
        async with stream(BATUTA_KIT) as (reader, writer, peer):
            protocol = writer.transport.get_protocol()
            seen: list[bytes] = []

            async def exchange(data: bytes) -> bytes:
                peer.send(data)
                got: bytes = await reader.read(100)
                return got

            assert await exchange(b"one") == b"one"
            reader.feed_data = lambda data: type(reader).feed_data(reader, data + b"!")
            assert await exchange(b"two") == b"two!"
            del reader.feed_data
            assert await exchange(b"three") == b"three"
            protocol.data_received = seen.append
            peer.send(b"four")
            await until(lambda: seen)
            del protocol.data_received
            assert await exchange(b"five") == b"five"
            written: list[bytes] = []
            writer.transport.write = written.append
            writer.write(b"six")
            await writer.drain()
            assert (seen, written) == ([b"four"], [b"six"])

    run(main)


def test_a_class_may_be_patched_at_any_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with stream(BATUTA_KIT) as (reader, _, peer):
            peer.send(b"one")
            assert await reader.read(10) == b"one"
            feed_data = BATUTA_KIT.StreamReader.feed_data
            with monkeypatch.context() as patch:
                patch.setattr(
                    BATUTA_KIT.StreamReader,
                    "feed_data",
                    lambda self, data: feed_data(self, data[::-1]),
                )
                peer.send(b"two")
                assert await reader.read(10) == b"owt"
            peer.send(b"three")
            assert await reader.read(10) == b"three"

    run(main)


def test_a_protocol_that_is_replaced_gets_the_data(run: Run) -> None:
    async def main() -> None:
        async with stream(BATUTA_KIT) as (reader, writer, peer):
            first, loop = writer.transport.get_protocol(), asyncio.get_running_loop()
            other = BATUTA_KIT.StreamReader(loop=loop)
            writer.transport.set_protocol(BATUTA_KIT.StreamReaderProtocol(other, loop=loop))
            peer.send(b"one")
            assert await other.read(10) == b"one"
            writer.transport.set_protocol(first)
            peer.send(b"two")
            assert await reader.read(10) == b"two"

    run(main)


@both_kits
def test_stocks_reader_and_ours_mix(kit: Kit, run: Run) -> None:
    """Some of the classes are native and some are asyncio's: a library takes what it finds."""

    async def main() -> None:
        async with stream(kit, reader=asyncio.StreamReader) as (reader, writer, peer):
            assert type(reader) is asyncio.StreamReader
            peer.send(b"one\n")
            assert await reader.readline() == b"one\n"
            writer.write(b"two")
            await writer.drain()
            assert await receive(peer, 3) == b"two"
        async with stream(kit, protocol=asyncio.StreamReaderProtocol) as (reader, writer, peer):
            peer.send(b"one\n")
            assert await reader.readline() == b"one\n"
            writer.write(b"two")
            await writer.drain()
            assert await receive(peer, 3) == b"two"

    run(main)


# Writing


@both_kits
@both_kinds
def test_drain_waits_above_the_high_water_mark(kit: Kit, run: Run, kind: str) -> None:
    async def main() -> None:
        async with stream(kit, kind) as (_, writer, peer):
            writer.transport.set_write_buffer_limits(high=10_000, low=1000)
            for _ in range(3):
                writer.write(bytes(9_000_000))
                drains = [asyncio.ensure_future(writer.drain()) for _ in range(3)]
                await turns(5)
                assert not any(drain.done() for drain in drains)
                drains[0].cancel()
                await receive(peer, 9_000_000)
                await asyncio.gather(*drains[1:])
                assert drains[0].cancelled()
                assert not writer.transport.get_protocol()._drain_waiters

    run(main)


@both_kits
def test_drain_takes_no_turn_below_the_mark(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (_, writer, peer):
            turned: list[bool] = []
            asyncio.get_running_loop().call_soon(turned.append, True)
            for _ in range(10):
                writer.write(data=b"x")
                await writer.drain()
            assert turned == []
            assert await receive(peer, 10) == b"x" * 10

    run(main)


@both_kits
def test_drain_after_the_end_says_so(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (reader, writer, peer):
            reset(peer)
            with pytest.raises(ConnectionResetError):
                await reader.read(10)
            with pytest.raises(ConnectionResetError):
                await writer.drain()
            with pytest.raises(ConnectionResetError):
                await writer.wait_closed()
        async with stream(kit) as (_, writer, _peer):
            writer.close()
            with pytest.raises(ConnectionResetError, match=r"^Connection lost$"):
                await writer.drain()

    run(main)


@both_kits
def test_a_lost_connection_wakes_drain(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (_, writer, _peer):
            writer.write(bytes(5_000_000))
            draining = asyncio.ensure_future(writer.drain())
            await turns(3)
            writer.transport.abort()
            await draining  # `None` was the reason.
        async with stream(kit) as (_, writer, peer):
            writer.write(bytes(5_000_000))
            draining = asyncio.ensure_future(writer.drain())
            await turns(3)
            reset(peer)
            with pytest.raises(ConnectionError):
                await draining

    run(main)


@both_kits
def test_a_replaced_drain_helper_is_asked(kit: Kit, run: Run) -> None:
    class Protocol(kit.StreamReaderProtocol):  # type: ignore[misc,name-defined]
        async def _drain_helper(self) -> None:
            await asyncio.sleep(0)
            raise LookupError("asked")

    async def main() -> None:
        async with stream(kit, protocol=Protocol) as (_, writer, _peer):
            with pytest.raises(LookupError, match="asked"):
                await writer.drain()

    run(main)


@both_kits
def test_what_is_no_reader_is_refused(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (_, writer, _peer):
            loop, protocol = asyncio.get_running_loop(), writer.transport.get_protocol()
            alone = kit.StreamWriter(writer.transport, protocol, None, loop)
            await alone.drain()
            assert alone._complete_fut.done()
            writer.transport.abort()  # or half a writer would complain at its end
            with pytest.raises(AssertionError):
                kit.StreamWriter(writer.transport, protocol, object(), loop)

    run(main)


# The end


@both_kits
def test_the_end_of_what_is_received(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (reader, writer, peer):
            peer.send(b"last")
            peer.shutdown(socket.SHUT_WR)
            with pytest.raises(asyncio.IncompleteReadError) as caught:
                await reader.readexactly(10)
            assert (caught.value.partial, caught.value.expected) == (b"last", 10)
            assert reader.at_eof()
            writer.write(b"answer")
            writer.close()
            assert await receive_all(peer) == b"answer"

    run(main)


@both_kits
def test_data_for_a_reader_that_is_gone_is_dropped(kit: Kit, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("tcp")
        held = [kit.StreamReader(loop=loop)]
        protocol = kit.StreamReaderProtocol(held[0], loop=loop)
        transport, _ = await loop.create_connection(lambda: protocol, sock=near)
        peer.send(b"data")
        await until(lambda: bytes(held[0]._buffer) == b"data")
        reference = weakref.ref(held.pop())
        assert reference() is None
        peer.send(b"more")
        await asyncio.sleep(0.02)
        assert not transport.is_closing()
        transport.abort()
        await turns(3)
        peer.close()

    run(main)


@both_kits
@pytest.mark.skipif(
    not hasattr(asyncio.StreamWriter, "__del__"), reason="of later releases of Python 3.11"
)
def test_a_writer_that_nobody_closed_warns(kit: Kit, run: Run) -> None:
    async def main() -> None:
        near, peer = socket.socketpair()
        near.setblocking(False)
        held: list[Any] = list(await kit.open_unix_connection(sock=near))
        transport = held[1].transport
        with pytest.warns(ResourceWarning, match="unclosed <StreamWriter"):
            held.clear()
        assert transport.is_closing()
        await turns(3)
        peer.close()

    run(main)


@both_kits
def test_who_serves_and_fails_is_reported(kit: Kit, run: Run) -> None:
    reports: list[Report] = []

    async def fails(_reader: Any, _writer: Any) -> None:
        raise LookupError("served")

    async def main() -> None:
        async with await kit.start_server(fails, "127.0.0.1", 0) as server:
            reader, writer = await kit.open_connection("127.0.0.1", port_of(server))
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main, reports=reports)
    assert [report["message"] for report in reports] == [
        "Unhandled exception in client_connected_cb"
    ]
    assert isinstance(reports[0]["exception"], LookupError)
    assert reports[0]["transport"].is_closing()


@both_kits
def test_a_callback_that_raises_is_reported(kit: Kit, run: Run) -> None:
    """From 3.14 on it ends the connection; before, it is a failed callback of the loop's."""
    reports: list[Report] = []

    held: list[Any] = []

    def fails(_reader: Any, writer: Any) -> None:
        held.append(writer)
        raise LookupError("called")

    async def main() -> None:
        async with await kit.start_server(fails, "127.0.0.1", 0) as server:
            reader, writer = await kit.open_connection("127.0.0.1", port_of(server))
            await until(lambda: reports)
            if sys.version_info >= (3, 14):
                assert await reader.read() == b""
            for one in (writer, *held):
                one.close()
                await one.wait_closed()

    run(main, reports=reports)
    assert isinstance(reports[0]["exception"], LookupError)
    said = "Unhandled exception in client_connected_cb"
    assert (reports[0]["message"] == said) == (sys.version_info >= (3, 14))


def test_who_serves_and_is_cancelled_closes_the_connection(run: Run) -> None:
    async def serve(_reader: Any, _writer: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    async def main() -> None:
        async with await BATUTA_KIT.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await BATUTA_KIT.open_connection("127.0.0.1", port_of(server))
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main)


@both_kits
def test_a_stream_collected_before_its_connection_is_rejected(kit: Kit, run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("unix")
        reader = kit.StreamReader(loop=loop)
        protocol = kit.StreamReaderProtocol(reader, loop=loop)
        protocol._reject_connection = True
        transport, _ = await loop.create_connection(lambda: protocol, sock=near)
        assert transport.is_closing()
        await turns(3)
        peer.close()

    run(main, reports=reports)
    assert "garbage collected prior to establishing" in reports[0]["message"]


# TLS and debug mode


@both_kits
def test_start_tls(kit: Kit, run: Run, tls: Contexts) -> None:
    async def serve(reader: Any, writer: Any) -> None:
        assert await reader.readline() == b"tls?\n"
        writer.write(b"yes\n")
        await writer.drain()
        await writer.start_tls(tls.server)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def main() -> None:
        async with await kit.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await kit.open_connection("127.0.0.1", port_of(server))
            writer.write(b"tls?\n")
            assert await reader.readline() == b"yes\n"
            plain = writer.transport
            await writer.start_tls(tls.client, server_hostname="localhost")
            assert writer.transport is not plain
            assert writer.get_extra_info("cipher")
            data = random.Random(1).randbytes(500_000)
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                pass

    run(main)


@both_kits
def test_debug_mode(kit: Kit, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stream(kit) as (_, writer, peer):
            writer.write(bytes(5_000_000))
            draining = asyncio.ensure_future(writer.drain())
            await receive(peer, 5_000_000)
            await draining

    with caplog.at_level("DEBUG", logger="asyncio"):
        run(main, debug=True)
    said = [record.message for record in caplog.records if "writing" in record.message]
    assert [message.rpartition("> ")[2] for message in said] == [
        "pauses writing",
        "resumes writing",
    ]


# Subprocesses

PIPES = """
    import sys
    import batuta

    async def main():
        program = "import sys; [print(line.upper(), end='') for line in sys.stdin]"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE)
        assert isinstance(process.stdout, batuta.StreamReader), type(process.stdout)
        assert isinstance(process.stdin, batuta.StreamWriter), type(process.stdin)
        for _ in range(1000):
            process.stdin.write(b"a line\\n" * 10)
            await process.stdin.drain()
        process.stdin.close()
        lines = [line async for line in process.stdout]
        assert await process.wait() == 0
        print(len(lines), set(lines))

    import asyncio
    batuta.run(main(), accelerate=True)
"""


def test_pipes_of_subprocesses_are_read_by_native_readers(child: Any) -> None:
    assert child.check(PIPES) == "10000 {b'A LINE\\n'}\n"
