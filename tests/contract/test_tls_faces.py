"""TLS: what programs and libraries see of a connection, and what they may put in its place."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import weakref
from asyncio import sslproto
from typing import Any

import pytest

from contract.support import Recorder, until
from contract.tls_peer import Contexts, accepted, make_contexts
from loops import Run

stock_protocol: Any = sslproto.SSLProtocol


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts()


def test_the_objects_are_of_asyncios_classes(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, _):
            assert isinstance(transport, asyncio.Transport)
            assert isinstance(transport, sslproto._SSLProtocolTransport)
            assert type(transport).__name__ == "_SSLProtocolTransport"
            assert isinstance(transport._ssl_protocol, stock_protocol)
            assert isinstance(transport._ssl_protocol, asyncio.BufferedProtocol)
            assert transport._ssl_protocol._app_transport is transport
            assert transport._ssl_protocol._app_protocol is protocol
            assert transport._ssl_protocol._sslcontext is tls.server
            assert transport._ssl_protocol._sslobj is transport.get_extra_info("ssl_object")
            assert transport._ssl_protocol._transport.get_protocol() is transport._ssl_protocol
            assert transport._ssl_protocol._state is sslproto.SSLProtocolState.WRAPPED
            assert transport._ssl_protocol.max_size == 256 * 1024
            assert transport._loop is asyncio.get_running_loop()
            assert transport._start_tls_compatible
            assert transport._protocol_paused is False
            weakref.ref(transport)

    run(main)


def test_facts_of_the_connection(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, peer):
            info = transport.get_extra_info
            assert type(info("ssl_object")) is ssl.SSLObject
            assert info("sslcontext") is tls.server
            assert info("cipher") == peer.tls.cipher()
            assert info("compression") is None
            assert info("peercert") is None
            assert info("peername") == peer.sock.getsockname()
            assert info("socket").family == socket.AF_INET
            assert info("nonsense") is None
            assert info("nonsense", 5) == 5

    run(main)


def test_a_method_of_the_transport_may_be_replaced(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, peer):
            written: list[bytes] = []
            write = transport.write
            transport.write = lambda data: (written.append(data), write(data))
            transport.note = "of the program's own"
            transport.write(b"seen")
            assert await peer.receive(4) == b"seen"
            assert written == [b"seen"]

    run(main)


def test_a_method_of_the_transport_below_may_be_replaced(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, peer):
            below = transport._ssl_protocol._transport
            sizes: list[int] = []
            write = below.write
            below.write = lambda data: (sizes.append(len(data)), write(data))
            transport.write(b"seen")
            assert await peer.receive(4) == b"seen"
            assert sizes[0] > 4

    run(main)


def test_a_method_of_the_tls_protocol_may_be_replaced(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            inner = transport._ssl_protocol
            sizes: list[int] = []
            updated = inner.buffer_updated
            inner.buffer_updated = lambda count: (sizes.append(count), updated(count))
            await peer.send(b"counted")
            await until(lambda: protocol.data == b"counted")
            assert sizes[0] > 7

    run(main)


def test_another_class_in_asyncios_place_is_used(
    run: Run, tls: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Mine(stock_protocol):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(sslproto, "SSLProtocol", Mine)

    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            assert transport._ssl_protocol is made[0]
            await peer.send(b"hello")
            await until(lambda: protocol.data == b"hello")
            transport.write(b"answer")
            assert await peer.receive(6) == b"answer"

    run(main)


def test_a_method_replaced_in_asyncios_class_is_called(
    run: Run, tls: Contexts, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    stock = stock_protocol._do_read

    def noting(self: Any) -> None:
        seen.append(self)
        stock(self)

    monkeypatch.setattr(stock_protocol, "_do_read", noting)

    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            await peer.send(b"hello")
            await until(lambda: protocol.data == b"hello")
            assert transport._ssl_protocol in seen

    run(main)


def test_a_class_of_ssl_objects_of_the_programs_own(run: Run) -> None:
    contexts = make_contexts()
    sizes: list[int] = []

    class Mine(ssl.SSLObject):
        def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002
            result = super().read(len, buffer)
            sizes.append(result if buffer is not None else result.__len__())
            return result

    contexts.server.sslobject_class = Mine

    async def main() -> None:
        async with accepted(contexts, Recorder) as (transport, protocol, peer):
            assert type(transport.get_extra_info("ssl_object")) is Mine
            await peer.send(b"through the program's class")
            await until(lambda: protocol.data == b"through the program's class")
            assert sum(sizes) == len(protocol.data)
            transport.write(b"answer")
            assert await peer.receive(6) == b"answer"

    run(main)


def test_a_resumed_session_and_an_agreed_protocol(run: Run) -> None:
    contexts = make_contexts(ssl.TLSVersion.TLSv1_2)
    for context in (contexts.server, contexts.client):
        context.set_alpn_protocols(["one", "two"])
    asked: list[str | None] = []
    contexts.server.sni_callback = lambda _object, name, _context: asked.append(name)

    async def main() -> None:
        async with accepted(contexts, Recorder) as (transport, _, peer):
            assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "one"
            assert peer.tls.session is not None
        assert asked == ["localhost"]

    run(main)


def test_a_connection_that_has_ended_is_forgotten(run: Run, tls: Contexts) -> None:
    async def main() -> list[weakref.ref[Any]]:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            refs = [weakref.ref(thing) for thing in (transport, transport._ssl_protocol, protocol)]
            protocol.transport = None
            await peer.send(b"x")
            await until(lambda: protocol.data)
        return refs

    gc.disable()
    try:
        refs = run(main)
        # No collection is needed for the program's own objects.
        assert refs[2]() is None
    finally:
        gc.enable()
    gc.collect()
    assert [ref() for ref in refs] == [None, None, None]


def test_arguments_may_be_named(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, _, peer):
            transport.write(data=b"named ")
            transport.writelines(list_of_data=(piece for piece in (b"as", b" well")))
            assert await peer.receive(13) == b"named as well"
            with pytest.raises(TypeError, match="missing 1 required positional argument: 'data'"):
                transport.write()
            with pytest.raises(TypeError, match="unexpected keyword argument"):
                transport.write(dato=b"")

    run(main)


def test_a_loop_that_makes_its_own_tls_transports(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        sides: list[bool] = []
        make = loop._make_ssl_transport

        def noting(*args: Any, **kwargs: Any) -> Any:
            sides.append(kwargs.get("server_side", False))
            return make(*args, **kwargs)

        loop._make_ssl_transport = noting
        server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            transport, protocol = await loop.create_connection(
                Recorder,
                *server.sockets[0].getsockname(),
                ssl=tls.client,
                server_hostname="localhost",
            )
            transport.close()
            await until(lambda: protocol.lost)
        assert sorted(sides) == [False, True]

    run(main)
