"""start_tls(): connections that become TLS ones, or TLS within TLS, on the way."""

from __future__ import annotations

import asyncio
import inspect
import socket
import ssl
from typing import Any

import pytest

from contract.support import Recorder, raw_pair, until
from contract.tls_peer import Contexts, Peer, accepted, make_contexts
from loops import STOCK, Run, load


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts()


def test_tls_within_tls(run: Run, tls: Contexts) -> None:
    inner = make_contexts()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        served = loop.create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"ready\n")
            await writer.start_tls(inner.server)
            line = await reader.readline()
            writer.write(line * 20_000)
            await writer.drain()
            served.set_result(writer.get_extra_info("sslcontext"))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            reader, writer = await asyncio.open_connection(
                *server.sockets[0].getsockname(), ssl=tls.client, server_hostname="localhost"
            )
            assert await reader.readline() == b"ready\n"
            await writer.start_tls(inner.client, server_hostname="localhost")
            writer.write(b"twice encrypted\n")
            assert await reader.readexactly(16 * 20_000) == b"twice encrypted\n" * 20_000
            assert await served is inner.server
            writer.close()

    run(main)


def test_what_start_tls_refuses(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with accepted(tls, Recorder) as (transport, protocol, _):
            with pytest.raises(TypeError, match="sslcontext is expected to be an instance"):
                await loop.start_tls(transport, protocol, True)  # type: ignore[arg-type]
            bare = asyncio.Transport()
            with pytest.raises(TypeError, match="is not supported by start_tls"):
                await loop.start_tls(bare, protocol, tls.client)

    run(main)


def test_a_failed_start_tls_closes_the_connection(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        transport, protocol = await loop.create_connection(Recorder, sock=near)
        upgrade = asyncio.ensure_future(
            loop.start_tls(transport, protocol, tls.client, server_hostname="localhost")
        )
        await asyncio.sleep(0.01)
        far.send(b"this is no TLS")
        with pytest.raises(ssl.SSLError):
            await upgrade
        assert transport.is_closing()
        await Peer(far, tls.server, server_side=True).gone()
        far.close()

    run(main)


def takes_over_buffered(run: Run) -> bool:
    """Whether the loop's start_tls() looks into the stream reader: stock does so from 3.14.3 on,
    and from later patch releases of older versions."""
    if run.factory is not load(STOCK):
        return True
    return "_stream_reader" in inspect.getsource(asyncio.BaseEventLoop.start_tls)


def test_a_handshake_behind_the_last_plain_line(run: Run, tls: Contexts) -> None:
    if not takes_over_buffered(run):
        pytest.skip("this release of stock takes the handshake for what came encrypted")

    async def main() -> None:
        served: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\n"
            await writer.start_tls(tls.server)
            served.set_result(await reader.readline())
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            near = socket.create_connection(server.sockets[0].getsockname())
            near.setblocking(False)
            peer = Peer(near, tls.client, server_side=False)
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.do_handshake()
            await peer.send_raw(b"STARTTLS\n" + peer.records())
            await peer.handshake()
            await peer.send(b"secret\n")
            assert await served == b"secret\n"
            near.close()

    run(main)


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_much_goes_through_two_layers(run: Run, tls: Contexts, size: int) -> None:
    inner = make_contexts()

    class Echo(asyncio.Protocol):
        transport: Any = None

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        class Server(Recorder):
            def data_received(self, data: bytes) -> None:
                ready.set_result(self.transport)

        async def upgrade() -> None:
            echo = Echo()
            echo.transport = await loop.start_tls(await ready, echo, inner.server, server_side=True)

        server = await loop.create_server(Server, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            outer, protocol = await loop.create_connection(
                Recorder,
                *server.sockets[0].getsockname(),
                ssl=tls.client,
                server_hostname="localhost",
            )
            outer.write(b"?")
            upgraded = asyncio.ensure_future(upgrade())
            twice: Any = await loop.start_tls(
                outer, protocol, inner.client, server_hostname="localhost"
            )
            await upgraded
            assert twice._ssl_protocol._transport is outer
            assert outer.get_protocol() is twice._ssl_protocol
            data = bytes(range(250)) * (size // 250 + 1)
            twice.write(data)
            await until(lambda: len(protocol.data) >= len(data))
            assert protocol.data == data
            assert twice.get_extra_info("sslcontext") is inner.client
            twice.close()
            await until(lambda: protocol.lost)

    run(main)


@pytest.mark.parametrize("half", [False, True])
def test_a_peer_that_has_gone_before_fails_it_at_once(run: Run, tls: Contexts, half: bool) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"go ahead\n")
            if half:
                writer.write_eof()
                await ended.wait()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.readline() == b"go ahead\n"
            await until(reader.at_eof)
            with pytest.raises(ConnectionResetError):
                await writer.start_tls(
                    tls.client, server_hostname="localhost", ssl_handshake_timeout=20
                )
            ended.set()
            writer.close()

    run(main)
