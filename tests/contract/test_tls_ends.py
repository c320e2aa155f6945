"""TLS: the ways in which a connection ends, and what is said about it."""

from __future__ import annotations

import logging
import socket
import ssl

import pytest

from contract.support import Recorder, reset, until
from contract.tls_peer import Contexts, accepted, make_contexts
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
            await peer.bid_farewell()
            await until(lambda: protocol.lost)
            assert protocol.reason is None

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
            await peer.bid_farewell()
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
