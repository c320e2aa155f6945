"""Data through stream connections: asyncio's own classes and Batuta's do the same."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

from contract.kits import Kit, both_kits
from contract.streams import port_of, stream
from contract.support import both_kinds, turns, until
from loops import Report, Run


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
