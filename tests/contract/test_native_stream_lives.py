"""The life of a stream connection in its reader and protocol, from `__init__` to `__del__`.

What runs once for each connection is native, too: asyncio's own classes say what is right.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import socket
import struct
import sys
import weakref
from typing import Any

import pytest

from contract.kits import BATUTA_KIT, STOCK_KIT, Kit, both_kits
from contract.streams import port_of, stream
from contract.support import turns, until
from contract.test_native_reader_arguments import described
from loops import Report, Run

FIELDS = (
    *("_client_connected_cb", "_over_ssl", "_reject_connection", "_task", "_transport"),
    *("_paused", "_connection_lost", "_stream_reader_wr"),
)


def fields(protocol: Any) -> dict[str, Any]:
    return {name: getattr(protocol, name) for name in FIELDS}


class Noting:
    """A transport that notes what it is asked."""

    def __init__(self, *, tls: bool = False) -> None:
        self.asked: list[Any] = []
        self.tls = tls

    def get_extra_info(self, *args: Any) -> Any:
        self.asked.append(args)
        return self if self.tls else None

    def is_closing(self) -> bool:
        return True

    def abort(self) -> None:
        self.asked.append("abort")


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


@pytest.mark.parametrize("tls", [False, True])
@both_kits
def test_what_the_protocol_knows(kit: Kit, run: Run, tls: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, transport = kit.StreamReader(loop=loop), Noting(tls=tls)
        protocol = kit.StreamReaderProtocol(reader, loop=loop)
        new = dict.fromkeys(("_client_connected_cb", "_task", "_transport"))
        new |= dict.fromkeys(("_over_ssl", "_reject_connection", "_paused"), False)
        new |= {"_connection_lost": False, "_stream_reader_wr": weakref.ref(reader)}
        assert fields(protocol) == new
        assert protocol._stream_reader is reader
        assert protocol.connection_made(transport) is None
        assert fields(protocol) == new | {"_transport": transport, "_over_ssl": tls}
        assert (transport.asked, reader._transport) == ([("sslcontext",)], transport)
        assert protocol.eof_received() is not tls
        assert reader.at_eof()
        assert not protocol._closed.done()
        assert protocol.connection_lost(None) is None
        ended = {"_over_ssl": tls, "_connection_lost": True, "_stream_reader_wr": None}
        assert fields(protocol) == new | ended
        assert await protocol._closed is None
        # A second life begins as new.
        protocol.__init__(kit.StreamReader(loop=loop), loop=loop)
        assert fields(protocol) == new | {"_stream_reader_wr": protocol._stream_reader_wr}
        assert not protocol._closed.done()

    run(main)


async def waiting(reader: Any, writer: Any) -> list[asyncio.Task[Any]]:
    """Tasks that wait for all that one can wait for."""
    writer.transport.get_protocol().pause_writing()
    waits = [reader.read(10), writer.drain(), writer.wait_closed()]
    tasks = [asyncio.ensure_future(one) for one in waits]
    await turns(2)
    return tasks


@both_kits
def test_a_reset_is_raised_wherever_somebody_waits(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (reader, writer, peer):
            waits = await waiting(reader, writer)
            reset(peer)
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [ConnectionResetError] * 3
            assert outcomes[0] is outcomes[1] is outcomes[2] is reader.exception()

    run(main)


@both_kits
def test_the_end_wakes_who_waits(kit: Kit, run: Run) -> None:
    async def main() -> None:
        async with stream(kit) as (reader, writer, _):
            waits = await waiting(reader, writer)
            writer.close()
            assert await asyncio.gather(*waits) == [b"", None, None]

    run(main)


@both_kits
def test_a_waiter_that_was_cancelled_is_left_alone(kit: Kit, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for end in ("feed_eof", "set_exception"):
            reader = kit.StreamReader(loop=loop)
            reading = asyncio.ensure_future(reader.read(10))
            await turns(1)
            reader._waiter.cancel()
            getattr(reader, end)(*[LookupError()] * (end == "set_exception"))
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert reader._waiter is None

    run(main)


@both_kits
def test_a_server_lets_go_of_its_reader_once_the_program_has_it(kit: Kit, run: Run) -> None:
    async def main() -> None:
        loop, got = asyncio.get_running_loop(), []
        reader = kit.StreamReader(loop=loop)

        def connected(reader: Any, writer: Any) -> None:
            got.append((reader, writer))

        protocol = kit.StreamReaderProtocol(reader, connected, loop)
        assert protocol._strong_reader is reader
        transport = Noting()
        protocol.connection_made(transport)
        assert protocol._strong_reader is None
        ((same, writer),) = got
        assert same is reader
        assert (writer.transport, writer._protocol, writer._reader) == (transport, protocol, reader)
        if sys.version_info < (3, 13):
            assert protocol._stream_writer is writer
        protocol.connection_lost(None)

    run(main)


@both_kits
def test_a_task_of_a_connection_is_known_while_it_lasts(kit: Kit, run: Run) -> None:
    async def main() -> None:
        seen: list[Any] = []

        async def serve(reader: Any, writer: Any) -> None:
            protocol = writer.transport.get_protocol()
            seen.append((protocol._task is asyncio.current_task(), protocol))
            seen.append(repr(protocol._task).partition(" cb=")[2])
            await reader.read()
            writer.close()
            await writer.wait_closed()

        async with await kit.start_server(serve, "127.0.0.1", 0) as server:
            _, writer = await kit.open_connection("127.0.0.1", port_of(server))
            await until(lambda: len(seen) == 2)
            writer.close()
            await writer.wait_closed()
            (is_own, protocol), callbacks = seen
            assert is_own
            assert callbacks.startswith("[StreamReaderProtocol.connection_made.<locals>.callback()")
            await until(lambda: protocol._task is None)

    run(main)


@both_kits
def test_a_failure_is_reported_in_the_context_of_the_connection(kit: Kit, run: Run) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[tuple[str, str]] = []

    def handle(_loop: Any, context: Report) -> None:
        seen.append((variable.get(), context["message"]))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(handle)
        variable.set("connection's")
        transport = Noting()
        transport.close = lambda: transport.asked.append("close")  # type: ignore[attr-defined]

        async def serve(_reader: Any, _writer: Any) -> None:
            variable.set("task's")
            raise LookupError

        protocol = kit.StreamReaderProtocol(kit.StreamReader(loop=loop), serve, loop)
        protocol.connection_made(transport)
        variable.set("later")
        await turns(3)
        assert transport.asked == [("sslcontext",), "close"]
        assert seen == [("connection's", "Unhandled exception in client_connected_cb")]
        protocol.connection_lost(None)
        loop.set_exception_handler(None)

    run(main)


@both_kits
def test_methods_of_subclasses_go_through_ours(kit: Kit, run: Run) -> None:
    calls: list[str] = []

    class Protocol(kit.StreamReaderProtocol):  # type: ignore[misc,name-defined]
        def __init__(self, *args: Any, **keywords: Any) -> None:
            calls.append("init")
            super().__init__(*args, **keywords)

        def connection_made(self, transport: Any) -> None:
            calls.append("made")
            super().connection_made(transport)

        def eof_received(self) -> Any:
            calls.append("eof")
            return super().eof_received()

        def connection_lost(self, exc: Exception | None) -> None:
            calls.append("lost")
            super().connection_lost(exc)

        def __del__(self) -> None:
            calls.append("del")
            super().__del__()

    class Reader(kit.StreamReader):  # type: ignore[misc,name-defined]
        def set_transport(self, transport: Any) -> None:
            calls.append("transport")
            super().set_transport(transport)

        def feed_eof(self) -> None:
            calls.append("end")
            super().feed_eof()

    async def main() -> None:
        async with stream(kit, reader=Reader, protocol=Protocol) as (reader, writer, peer):
            peer.shutdown(socket.SHUT_WR)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main)
    gc.collect()
    assert calls == ["init", "made", "transport", "eof", "end", "lost", "end", "del"]


@both_kits
def test_class_attributes_of_the_same_names_may_hide_ours(kit: Kit, run: Run) -> None:
    """asyncio's class keeps all in the instance: a program may have given any name a default."""

    class Protocol(kit.StreamReaderProtocol):  # type: ignore[misc,name-defined]
        _transport = _task = _closed = _client_connected_cb = _strong_reader = None
        _over_ssl = _reject_connection = _connection_lost = False
        _loop = _stream_reader_wr = None

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def serve(reader: Any, writer: Any) -> None:
            protocol = writer.transport.get_protocol()
            assert (protocol._transport, protocol._closed.done()) == (writer.transport, False)
            writer.write(await reader.read(10))
            writer.close()
            await writer.wait_closed()
            assert (protocol._transport, protocol._closed.done()) == (None, True)

        def made() -> Any:
            return Protocol(kit.StreamReader(loop=loop), serve, loop=loop)

        server = await loop.create_server(made, "127.0.0.1", 0)
        async with server:
            reader, writer = await kit.open_connection("127.0.0.1", port_of(server))
            writer.write(b"data")
            assert await reader.read() == b"data"
            writer.close()
            await writer.wait_closed()

    reports: list[Report] = []
    run(main, reports=reports)
    assert reports == []


@pytest.mark.parametrize("name", ["_transport", "_exception", "_limit", "_waiter", "_loop"])
@both_kits
def test_class_attributes_may_hide_those_of_a_reader(kit: Kit, run: Run, name: str) -> None:
    async def main() -> None:
        loop, transport, error = asyncio.get_running_loop(), Noting(), LookupError()
        reader = type("Reader", (kit.StreamReader,), {name: None})(10, loop)
        reader.set_transport(transport)
        reader.set_exception(error)
        reader.feed_eof()
        said = {"_transport": transport, "_exception": error, "_limit": 10, "_loop": loop}
        assert getattr(reader, name) is said.get(name)

    run(main)


@both_kits
def test_a_handler_is_called_where_the_exception_is_handled(kit: Kit, run: Run) -> None:
    seen: list[Any] = []

    def connected(_reader: Any, _writer: Any) -> None:
        raise LookupError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: seen.append(sys.exc_info()[0]))
        protocol = kit.StreamReaderProtocol(kit.StreamReader(loop=loop), connected, loop)
        transport = Noting()
        transport.close = lambda: None  # type: ignore[attr-defined]
        loop.call_soon(protocol.connection_made, transport)
        await turns(2)
        assert seen == [LookupError]
        assert sys.exc_info()[0] is None

    run(main)


@both_kits
def test_the_reader_may_be_another_by_a_property(kit: Kit, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        other = kit.StreamReader(loop=loop)

        class Protocol(kit.StreamReaderProtocol):  # type: ignore[misc,name-defined]
            _stream_reader = other

        async with stream(kit, protocol=Protocol) as (reader, writer, peer):
            peer.send(b"data")
            peer.shutdown(socket.SHUT_WR)
            assert await other.read() == b"data"
            assert (reader.at_eof(), other._transport) == (False, writer.transport)

    run(main)


CONNECTIONS = {
    "made for it": lambda it, transport: it.connection_made(transport=transport),
    "made without": lambda it, _: it.connection_made(),
    "made twice": lambda it, transport: (it.connection_made(transport), it.connection_made(1)),
    "made of nothing": lambda it, _: it.connection_made(None),
    "lost by name": lambda it, _: it.connection_lost(exc=None),
    "lost without": lambda it, _: it.connection_lost(),
    "lost for much": lambda it, _: it.connection_lost(None, None),
    "lost by what is none": lambda it, _: it.connection_lost("gone"),
    "lost twice": lambda it, _: (it.connection_lost(None), it.connection_lost(OSError())),
    "lost by a class": lambda it, _: it.connection_lost(OSError),
    "ended for much": lambda it, _: it.eof_received(1),
    "initialised for nothing": lambda it, _: it.__init__(),
    "initialised for much": lambda it, _: it.__init__(1, 2, 3, 4),
    "initialised by a number": lambda it, _: it.__init__(1, loop=it._loop),
    "initialised by none": lambda it, _: it.__init__(None, loop=it._loop),
    "initialised without a loop": lambda it, _: it.__init__(it._stream_reader),
    "initialised with no loop": lambda it, _: it.__init__(it._stream_reader, loop=1),
    "initialised by name": lambda it, _: it.__init__(
        stream_reader=it._stream_reader, client_connected_cb=print, loop=it._loop
    ),
    "initialised by another": lambda it, _: it.__init__(it._stream_reader, callback=print),
}


@pytest.mark.parametrize("case", CONNECTIONS)
def test_odd_calls_of_the_protocol_come_out_as_asyncios(run: Run, case: str) -> None:
    async def outcome(kit: Kit) -> Any:
        loop = asyncio.get_running_loop()
        reader, transport = kit.StreamReader(loop=loop), Noting()
        protocol = kit.StreamReaderProtocol(reader, loop=loop)
        raised = None
        try:
            CONNECTIONS[case](protocol, transport)
        except Exception as exc:
            raised = described(exc)
        closed = protocol._closed
        exception = closed.exception() if closed.done() else "not done"
        left = fields(protocol) | {"_stream_reader_wr": protocol._stream_reader is reader}
        left["_transport"] = getattr(protocol._transport, "asked", protocol._transport)
        said = (repr(reader.exception()), repr(exception), reader.at_eof(), transport.asked)
        return raised, left, said

    async def main() -> None:
        assert await outcome(BATUTA_KIT) == await outcome(STOCK_KIT)

    run(main)


READERS = {
    "limit of nothing": lambda kit, loop: kit.StreamReader(0, loop),
    "limit below": lambda kit, loop: kit.StreamReader(limit=-1, loop=loop),
    "limit of text": lambda kit, loop: kit.StreamReader("1", loop),
    "limit of none": lambda kit, loop: kit.StreamReader(None, loop),
    "limit of a fraction": lambda kit, loop: kit.StreamReader(0.5, loop),
    "limit beyond": lambda kit, loop: kit.StreamReader(2**70, loop),
    "limit true": lambda kit, loop: kit.StreamReader(True, loop),
    "no limit said": lambda kit, loop: kit.StreamReader(loop=loop),
    "no loop said": lambda kit, _: kit.StreamReader(),
    "no loop": lambda kit, _: kit.StreamReader(loop=1),
    "too many": lambda kit, loop: kit.StreamReader(1, loop, 2),
    "another name": lambda kit, loop: kit.StreamReader(size=1, loop=loop),
    "twice the limit": lambda kit, loop: kit.StreamReader(1, limit=1, loop=loop),
}


@pytest.mark.parametrize("case", READERS)
def test_odd_readers_come_out_as_asyncios(run: Run, case: str) -> None:
    async def outcome(kit: Kit) -> Any:
        loop = asyncio.get_running_loop()
        try:
            reader = READERS[case](kit, loop)
        except Exception as exc:
            return described(exc)
        reader.feed_data(b"abcdefgh")
        assert reader._loop is loop
        return repr(reader), reader._limit, bytes(reader._buffer), await reader.read(5)

    async def main() -> None:
        assert await outcome(BATUTA_KIT) == await outcome(STOCK_KIT)

    run(main)


@both_kits
def test_a_reader_may_be_made_anew(kit: Kit, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader = kit.StreamReader(10, loop)
        reader.feed_data(b"data")
        reader.set_transport(Noting())
        with pytest.raises(AssertionError, match="Transport already set"):
            reader.set_transport(Noting())
        reader.feed_eof()
        reader.set_exception(LookupError())
        reader.__init__(loop=loop)
        assert (repr(reader), reader._transport) == ("<StreamReader>", None)
        reader.feed_data(b"more")
        assert await reader.read(10) == b"more"

    run(main)


@both_kits
def test_debug_mode_keeps_where_a_stream_was_made(kit: Kit, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        quiet = kit.StreamReader(loop=loop)
        loop.set_debug(True)
        reader = kit.StreamReader(loop=loop)
        protocol = kit.StreamReaderProtocol(reader, loop=loop)
        assert reader._source_traceback[-1].name == "main"
        assert protocol._source_traceback is reader._source_traceback
        assert quiet._source_traceback is None
        assert kit.StreamReaderProtocol(quiet, loop=loop)._source_traceback is None

    run(main)


@both_kits
def test_an_end_nobody_has_waited_for_is_no_news(kit: Kit, run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        for _ in range(3):
            async with stream(kit) as (reader, _, peer):
                reset(peer)
                with pytest.raises(ConnectionResetError):
                    await reader.read(10)
        gc.collect()

    run(main, reports=reports)
    gc.collect()
    assert reports == []


@both_kits
def test_resets_that_leave_cycles_leave_no_words(kit: Kit, run: Run) -> None:
    reports: list[Report] = []
    kept: list[Any] = []

    async def serve(reader: Any, writer: Any) -> None:
        # A cycle, as a traceback makes it that holds its frame.
        kept.append(writer)
        try:
            await reader.read(10)
        except ConnectionResetError as exc:
            writer.own = exc

    async def main() -> None:
        async with await kit.start_server(serve, "127.0.0.1", 0) as server:
            for _ in range(30):
                peer = socket.create_connection(("127.0.0.1", port_of(server)))
                await until(lambda: kept)
                reset(peer)
                await until(lambda: kept[0].transport.is_closing())
                await turns(2)
                kept.clear()
                gc.collect(0)

    run(main, reports=reports)
    gc.collect()
    assert reports == []
