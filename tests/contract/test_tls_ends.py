"""TLS: the ways in which a connection ends, and what is said about it."""

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

from contract.support import Recorder, raw_pair, reset, turns, until
from contract.tls_peer import Contexts, Peer, accepted, make_contexts
from loops import Report, Run


@pytest.fixture(scope="module")
def tls() -> Contexts:
    return make_contexts()


def test_data_that_comes_with_the_farewell_is_handed_over(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (_, protocol, peer):
            peer.tls.write(b"last ")
            peer.tls.write(b"words")
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.unwrap()
            await peer.flush()
            await until(lambda: protocol.lost)
            assert protocol.data == b"last words"
            expected = ["connection_made", "data_received", "eof_received", "connection_lost"]
            assert protocol.events == expected
            assert protocol.reason is None
            await peer.gone()

    run(main)


def test_data_behind_which_the_socket_closes_is_handed_over(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (_, protocol, peer):
            await peer.send(b"and nothing more")
            peer.sock.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.lost)
            assert protocol.data == b"and nothing more"
            assert protocol.reason is None

    run(main)


def test_a_reset_is_the_reason_of_the_end(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            reset(peer.sock)
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, ConnectionResetError)
            assert transport.is_closing()

    run(main)


def test_garbage_in_the_stream_ends_the_connection(run: Run, tls: Contexts) -> None:
    reports: list[Report] = []

    async def main() -> None:
        async with accepted(tls, Recorder) as (_, protocol, peer):
            await peer.send(b"good")
            await until(lambda: protocol.data == b"good")
            await peer.send_raw(b"\x17\x03\x03\x00\x20" + b"?" * 32)
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, ssl.SSLError)
            assert protocol.data == b"good"

    run(main, reports=reports)
    assert reports == []  # The peer's doing: logged in debug mode only.


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x00\x05abcde", b"HTTP/1.1 400\r\n\r\n", b"\0" * 9]
)
def test_garbage_instead_of_a_handshake(run: Run, tls: Contexts, garbage: bytes) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        protocol = Recorder()
        made = asyncio.ensure_future(
            loop.create_connection(
                lambda: protocol, sock=near, ssl=tls.client, server_hostname="localhost"
            )
        )
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
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        protocol = Recorder()
        made = asyncio.ensure_future(
            loop.create_connection(
                lambda: protocol, sock=near, ssl=tls.client, server_hostname="localhost"
            )
        )
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


def test_a_peer_that_does_not_answer_the_farewell_is_given_up(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder, ssl_shutdown_timeout=0.05) as (
            transport,
            protocol,
            peer,
        ):
            transport.write(b"bye")
            transport.close()
            assert transport.is_closing()
            assert await peer.receive(3) == b"bye"
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, TimeoutError)
            assert str(protocol.reason) == "SSL shutdown timed out"

    run(main)


def test_close_waits_for_the_answer(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            transport.close()
            transport.close()
            await until(lambda: [peer.read(), peer.farewell][1])
            assert not protocol.lost
            peer.tls.unwrap()
            await peer.flush()
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            await peer.gone()

    run(main)


def test_all_that_waits_is_sent_before_the_farewell(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            for _ in range(40):
                transport.write(b"w" * 100_000)
            transport.close()
            assert await peer.receive(4_000_000) == b"w" * 4_000_000
            await until(lambda: [peer.read(), peer.farewell][1])
            peer.tls.unwrap()
            await peer.flush()
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


def test_a_cancelled_handshake_closes_the_socket(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        protocol = Recorder()
        made = asyncio.ensure_future(
            loop.create_connection(
                lambda: protocol, sock=near, ssl=tls.client, server_hostname="localhost"
            )
        )
        await asyncio.sleep(0.01)
        made.cancel()
        with pytest.raises(asyncio.CancelledError):
            await made
        await Peer(far, tls.server, server_side=True).gone()
        assert protocol.events == []
        far.close()

    run(main)


def test_abort_tells_the_protocol_at_once(run: Run, tls: Contexts) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, peer):
            transport.write(b"x" * 4_000_000)
            transport.abort()
            assert transport.is_closing()
            await until(lambda: protocol.lost)
            assert protocol.reason is None
            await peer.gone()

    run(main)


def test_true_from_eof_received_changes_nothing(
    run: Run, tls: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with accepted(tls, lambda: Recorder(eof_reply=True)) as (_, protocol, peer):
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.unwrap()
            await peer.flush()
            await until(lambda: protocol.lost)

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main)
    assert "returning true from eof_received() has no effect when using ssl" in caplog.text


@pytest.mark.parametrize("where", ["data_received", "eof_received"])
def test_what_a_protocol_raises_ends_the_connection(run: Run, tls: Contexts, where: str) -> None:
    class Failing(Recorder):
        def data_received(self, data: bytes) -> None:
            if where == "data_received":
                raise ZeroDivisionError("data")

        def eof_received(self) -> None:
            raise ZeroDivisionError("eof")

    reports: list[Report] = []

    async def main() -> None:
        async with accepted(tls, Failing) as (_, protocol, peer):
            peer.tls.write(b"data")
            if where == "eof_received":
                with pytest.raises(ssl.SSLWantReadError):
                    peer.tls.unwrap()
            await peer.flush()
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, ZeroDivisionError)

    run(main, reports=reports)
    messages = {
        "data_received": "Fatal error on SSL protocol",
        "eof_received": "Error calling eof_received()",
    }
    assert [report["message"] for report in reports] == [messages[where]]


def test_what_is_written_too_late_is_dropped(
    run: Run, tls: Contexts, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with accepted(tls, Recorder) as (transport, protocol, _):
            transport.abort()
            await until(lambda: protocol.lost)
            for _ in range(8):
                transport.write(b"late")
            transport.writelines([b"very", b"late"])

    with caplog.at_level(logging.WARNING, "asyncio"):
        run(main)
    assert "SSL connection is closed" in caplog.text


def test_the_protocol_closes_in_the_call(run: Run, tls: Contexts) -> None:
    class Curt(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.write(b"no")
            self.transport.close()

    async def main() -> None:
        async with accepted(tls, Curt) as (_, protocol, peer):
            await peer.send(b"?")
            assert await peer.receive(2) == b"no"
            await until(lambda: [peer.read(), peer.farewell][1])
            peer.tls.unwrap()
            await peer.flush()
            await until(lambda: protocol.lost)
            assert protocol.reason is None

    run(main)


def test_the_protocol_aborts_in_the_call(run: Run, tls: Contexts) -> None:
    class Rude(Recorder):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.transport.abort()

    async def main() -> None:
        async with accepted(tls, Rude) as (_, protocol, peer):
            for _ in range(3):
                peer.tls.write(b"?" * 16_000)
            await peer.flush()
            await until(lambda: protocol.lost)
            assert protocol.reason is None

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
