"""Exceptions out of protocol methods: who hears of them and what becomes of the connection."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from contract.support import Recorder, both_kinds, connected, raw_pair, receive_all, turns, until
from loops import Report, Run


def breaking(event: str, error: type[BaseException] = LookupError) -> type[Recorder]:
    """A protocol whose method `event` notes the call and then raises."""

    def method(self: Recorder, *args: Any) -> None:
        getattr(Recorder, event)(self, *args)
        raise error(event)

    return type("Breaking", (Recorder,), {event: method})


@both_kinds
@pytest.mark.parametrize("event", ["data_received", "eof_received"])
def test_an_exception_in_a_reading_method_ends_the_connection(
    run: Run, kind: str, event: str
) -> None:
    reports: list[Report] = []

    async def main() -> BaseException | None:
        async with connected(kind, breaking(event)) as (_, protocol, peer):
            if event == "data_received":
                peer.send(b"x")
            else:
                peer.shutdown(socket.SHUT_WR)
            await until(lambda: protocol.lost)
            assert await receive_all(peer) == b""
            return protocol.reason

    reason = run(main, reports=reports)
    assert isinstance(reason, LookupError)
    [report] = reports
    assert report["message"] == f"Fatal error: protocol.{event}() call failed."
    assert report["exception"] is reason
    assert set(report) == {"message", "exception", "transport", "protocol"}


@both_kinds
def test_an_exception_in_connection_made_is_reported_and_the_connection_lives(
    run: Run, kind: str
) -> None:
    reports: list[Report] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair(kind)
        transport, protocol = await loop.create_connection(breaking("connection_made"), sock=near)
        peer.send(b"data")
        await until(lambda: protocol.data == b"data")
        transport.abort()
        await until(lambda: protocol.lost)
        peer.close()

    run(main, reports=reports)
    [report] = reports
    assert str(report["exception"]) == "connection_made"


@both_kinds
def test_an_exception_in_connection_lost_is_reported_and_the_socket_is_closed(
    run: Run, kind: str
) -> None:
    reports: list[Report] = []

    async def main() -> None:
        async with connected(kind, breaking("connection_lost")) as (transport, protocol, peer):
            transport.close()
            await until(lambda: protocol.lost)
            await turns(2)
            assert transport.get_extra_info("socket").fileno() == -1
            assert await receive_all(peer) == b""

    run(main, reports=reports)
    [report] = reports
    assert str(report["exception"]) == "connection_lost"


@both_kinds
@pytest.mark.parametrize("escaping", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("event", ["data_received", "eof_received"])
def test_exits_in_protocol_methods_escape_the_loop(
    loop: asyncio.AbstractEventLoop, kind: str, event: str, escaping: type[BaseException]
) -> None:
    near, peer = raw_pair(kind)
    loop.set_exception_handler(lambda *_: None)

    async def connect() -> tuple[Any, Recorder]:
        return await loop.create_connection(breaking(event, escaping), sock=near)

    transport, protocol = loop.run_until_complete(connect())
    peer.send(b"x")
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(escaping, match=event):
        loop.run_forever()
    assert not loop.is_running()
    transport.abort()
    loop.run_until_complete(until(lambda: protocol.lost))
    peer.close()


def test_an_error_of_the_network_is_not_reported_to_the_exception_handler(run: Run) -> None:
    """ConnectionResetError and BrokenPipeError are normal; only debug mode logs them."""

    async def main() -> None:
        async with connected("unix", Recorder) as (transport, protocol, peer):
            transport.pause_reading()
            peer.close()
            transport.write(b"x")
            await until(lambda: protocol.lost)

    run(main)  # fails when the handler is called


@both_kinds
def test_a_protocol_without_methods_of_its_own_works(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, asyncio.Protocol) as (transport, _, peer):
            peer.send(b"ignored")
            transport.write(b"x" * 1_000_000)
            await asyncio.sleep(0.005)
            peer.shutdown(socket.SHUT_WR)
            await receive_all(peer)
            await until(transport.is_closing)

    run(main)


def test_a_protocol_factory_that_fails_fails_the_connection(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, peer = raw_pair("tcp")

        def factory() -> asyncio.Protocol:
            raise LookupError("factory")

        with pytest.raises(LookupError, match="factory"):
            await loop.create_connection(factory, sock=near)
        near.close()
        peer.close()

    run(main)


def test_one_failing_connection_does_not_disturb_another(run: Run) -> None:
    reports: list[Report] = []

    async def main() -> None:
        async with (
            connected("tcp", breaking("data_received")) as (_, bad, bad_peer),
            connected("tcp", Recorder) as (_, good, good_peer),
        ):
            bad_peer.send(b"x")
            good_peer.send(b"1")
            await until(lambda: bad.lost)
            good_peer.send(b"2")
            await until(lambda: good.data == b"12")
            assert not good.lost

    run(main, reports=reports)
    assert len(reports) == 1


@both_kinds
def test_an_end_at_which_the_loop_was_interrupted_is_told_again(
    loop: asyncio.AbstractEventLoop, kind: str
) -> None:
    class Interrupting(Recorder):
        def eof_received(self) -> None:
            super().eof_received()
            if self.events.count("eof_received") == 1:
                raise KeyboardInterrupt

    near, peer = raw_pair(kind)
    transport, protocol = loop.run_until_complete(loop.create_connection(Interrupting, sock=near))
    peer.close()
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(asyncio.sleep(30))
    assert not protocol.lost
    assert not transport.is_closing()
    loop.run_until_complete(until(lambda: protocol.lost))
    assert protocol.events.count("eof_received") == 2
    assert protocol.reason is None
