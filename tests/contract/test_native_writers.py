"""Writing to streams: asyncio's own writers and Batuta's do the same, on both loops."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from contract.kits import Kit, both_kits
from contract.streams import port_of, stream
from contract.support import both_kinds, receive, reset, turns
from contract.test_tls import Contexts, tls
from loops import Run

__all__ = ["tls"]  # a fixture


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
