"""TLS: handshakes that fail, do not come or are broken off, and what is said about them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import ssl
import warnings
from typing import Any

import pytest

from contract.support import Recorder, raw_pair, turns, until
from contract.tls_peer import Contexts, Peer, accepted, make_contexts
from loops import Report, Run


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts()


def begun(tls: Contexts, protocol: Recorder) -> tuple[asyncio.Future[Any], socket.socket]:
    """A client's handshake that has begun, and the far end of its connection."""
    near, far = raw_pair("tcp")
    made = asyncio.get_running_loop().create_connection(
        lambda: protocol, sock=near, ssl=tls.client, server_hostname="localhost"
    )
    return asyncio.ensure_future(made), far


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x00\x05abcde", b"HTTP/1.1 400\r\n\r\n", b"\0" * 9]
)
def test_garbage_instead_of_a_handshake(run: Run, tls: Contexts, garbage: bytes) -> None:
    async def main() -> None:
        protocol = Recorder()
        made, far = begun(tls, protocol)
        await asyncio.sleep(0.01)
        far.send(garbage)
        with pytest.raises(ssl.SSLError):
            await made
        assert protocol.events == []
        far.close()
        await turns(5)

    run(main)


def test_the_end_of_the_socket_during_the_handshake(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        protocol = Recorder()
        made, far = begun(tls, protocol)
        await asyncio.sleep(0.01)
        assert far.recv(1 << 16)
        far.close()
        with pytest.raises(ConnectionResetError):
            await made
        assert protocol.events == []
        await turns(5)

    run(main)


def test_a_server_gives_up_a_client_that_does_not_shake_hands(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[-1]

        server = await loop.create_server(
            factory, "127.0.0.1", 0, ssl=tls.server, ssl_handshake_timeout=0.05
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b""
            writer.close()
            assert [protocol.events for protocol in made] == [[]]

    run(main)


def test_a_cancelled_handshake_closes_the_socket(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        protocol = Recorder()
        made, far = begun(tls, protocol)
        await asyncio.sleep(0.01)
        made.cancel()
        with pytest.raises(asyncio.CancelledError):
            await made
        await Peer(far, tls.server, server_side=True).gone()
        assert protocol.events == []
        far.close()

    run(main)


def test_debug_mode_tells_of_the_handshake(
    run: Run, tls: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (_, protocol, peer):
            peer.sock.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.lost)

    with caplog.at_level(logging.DEBUG, "asyncio"):
        run(main, debug=True)
    assert "starts SSL handshake" in caplog.text
    assert "SSL handshake took" in caplog.text
    assert "received EOF" in caplog.text


@pytest.mark.parametrize("name", ["ssl_handshake_timeout", "ssl_shutdown_timeout"])
@pytest.mark.parametrize("value", [0, -1])
def test_timeouts_must_be_positive(run: Run, tls: Contexts, name: str, value: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        options: dict[str, Any] = {name: value}
        with near, far, pytest.raises(ValueError, match=f"{name} should be a positive number"):
            await loop.create_connection(
                Recorder, sock=near, ssl=tls.client, server_hostname="localhost", **options
            )

    run(main)


def test_debug_mode_reports_what_a_server_could_not_accept(run: Run, tls: Contexts) -> None:
    reports: list[Report] = []
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        return made[-1]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"this is no TLS at all")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            await until(lambda: reports)

    run(main, debug=True, reports=reports)
    assert len(reports) == 1
    assert reports[0]["message"] == "Error on transport creation for incoming connection"
    assert isinstance(reports[0]["exception"], ssl.SSLError)
    assert reports[0]["protocol"] is made[0]
    assert reports[0]["transport"].is_closing()
    assert made[0].events == []


def test_a_factory_that_fails_costs_its_own_connection_only(run: Run, tls: Contexts) -> None:
    reports: list[Report] = []
    made: list[Recorder] = []

    def factory() -> Recorder:
        made.append(Recorder())
        if len(made) == 1:
            raise ZeroDivisionError
        return made[-1]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls.server)
        async with server:
            address = server.sockets[0].getsockname()
            first = socket.create_connection(address)
            await until(lambda: made)
            transport, protocol = await loop.create_connection(
                Recorder, *address, ssl=tls.client, server_hostname="localhost"
            )
            transport.write(b"x")
            await until(lambda: len(made) > 1 and made[1].data == b"x")
            first.close()
            transport.close()
            await until(lambda: protocol.lost)

    with warnings.catch_warnings():
        # Stock leaves the first socket to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        run(main, debug=True, reports=reports)
        gc.collect()
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


def test_closing_a_server_during_a_handshake(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0, ssl=tls.server)
        silent = socket.create_connection(server.sockets[0].getsockname())
        await asyncio.sleep(0.01)
        server.close()
        if hasattr(server, "abort_clients"):
            server.abort_clients()
            silent.setblocking(False)
            await Peer(silent, tls.client, server_side=False).gone()
        silent.close()
        await asyncio.sleep(0.01)

    run(main)
