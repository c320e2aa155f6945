"""What programs put in the place of methods of native streams is called, on every way to a reader.

On a Batuta loop a native reader is fed without a call, unless somebody has replaced one.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, Kit, both_kits
from contract.streams import stream
from contract.support import receive, until
from loops import Run


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


@pytest.mark.parametrize("where", ["instance", "class"])
@both_kits
def test_methods_of_the_transport_may_be_patched(
    kit: Kit, run: Run, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with stream(kit) as (_, writer, peer):
            writer.write(b"one")
            await writer.drain()
            transport = writer.transport
            place = transport if where == "instance" else type(transport)
            seen: list[Any] = []
            with monkeypatch.context() as patch:
                patch.setattr(place, "write", lambda *args: seen.append(args[-1]))
                writer.write(b"two")
                await writer.drain()
                patch.setattr(place, "is_closing", lambda *_: seen.append("asked"))
                await writer.drain()
            assert seen == [b"two", "asked"]
            turned: list[bool] = []
            with monkeypatch.context() as patch:
                patch.setattr(place, "is_closing", place.can_write_eof)
                asyncio.get_running_loop().call_soon(turned.append, True)
                await writer.drain()
            assert turned == [True], "who writes to what is closing waits for a turn"
            asyncio.get_running_loop().call_soon(turned.append, False)
            writer.write(b"three")
            await writer.drain()
            assert turned == [True]
            assert await receive(peer, 8) == b"onethree"

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
