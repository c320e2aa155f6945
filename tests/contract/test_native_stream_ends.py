"""How stream connections begin and end: asyncio's own classes and Batuta's do the same."""

from __future__ import annotations

import asyncio
import socket
import sys
import weakref
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, Kit, both_kits
from contract.streams import port_of, stream
from contract.support import raw_pair, receive_all, turns, until
from loops import Report, Run


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
