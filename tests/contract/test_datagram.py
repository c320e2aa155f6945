"""Datagram transports, UDP and Unix: delivery, addresses, errors, flow control, closing."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from types import NoneType
from typing import Any

import pytest

from contract.datagrams import LOCAL, Receiver, endpoint
from contract.support import until
from loops import Report, Run


def test_datagrams_go_to_their_address_and_name_their_sender(run: Run) -> None:
    async def main() -> None:
        async with (
            endpoint(local_addr=LOCAL) as (left, left_protocol),
            endpoint(local_addr=LOCAL) as (right, right_protocol),
        ):
            left_address = left.get_extra_info("sockname")
            right_address = right.get_extra_info("sockname")
            left.sendto(b"to the right", right_address)
            await until(lambda: right_protocol.got)
            assert right_protocol.got == [(b"to the right", left_address)]
            right.sendto(bytearray(b"to the left"), left_address)
            right.sendto(memoryview(b"view"), left_address)
            await until(lambda: len(left_protocol.got) == 2)
            assert [data for data, _ in left_protocol.got] == [b"to the left", b"view"]
            assert {type(data) for data, _ in left_protocol.got} == {bytes}

    run(main)


def test_a_connected_endpoint_needs_no_address(run: Run) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (server, received):
            address = server.get_extra_info("sockname")
            async with endpoint(remote_addr=address) as (client, answers):
                assert client.get_extra_info("peername") == address
                client.sendto(b"one")
                client.sendto(b"two", None)
                client.sendto(b"three", address)
                await until(lambda: len(received.got) == 3)
                server.sendto(b"answer", received.got[0][1])
                await until(lambda: answers.got)
                assert answers.got == [(b"answer", address)]
                with pytest.raises(ValueError, match="Invalid address"):
                    client.sendto(b"x", ("127.0.0.1", 1))

    run(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="before 3.12 stock made it a Transport")
def test_it_is_an_asyncio_datagram_transport(run: Run) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, _):
            assert isinstance(transport, asyncio.DatagramTransport)
            assert transport.get_extra_info("socket").type == socket.SOCK_DGRAM
            assert transport.get_write_buffer_size() == 0
            transport.note = 1
            assert transport.note == 1

    run(main)


@pytest.mark.parametrize("wrong", ["text", None, 5])
def test_what_is_not_bytes_is_refused(run: Run, wrong: object) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, _):
            with pytest.raises(TypeError):
                transport.sendto(wrong, transport.get_extra_info("sockname"))

    run(main)


def test_the_port_nobody_listens_on_is_reported_to_error_received(run: Run) -> None:
    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as unused:
            unused.bind(LOCAL)
            address = unused.getsockname()
        async with endpoint(remote_addr=address) as (transport, protocol):
            transport.sendto(b"anyone?")
            await until(lambda: protocol.errors)
            assert isinstance(protocol.errors[0], ConnectionRefusedError)
            assert not transport.is_closing()
            assert not protocol.lost

    run(main)


def test_a_datagram_that_is_too_long_is_reported_to_error_received(run: Run) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            transport.sendto(b"x" * 70_000, transport.get_extra_info("sockname"))
            await until(lambda: protocol.errors)
            assert isinstance(protocol.errors[0], OSError)
            assert not transport.is_closing()

    run(main)


@pytest.mark.parametrize("event", ["datagram_received", "error_received"])
def test_an_exception_of_the_protocol_reaches_the_handler(run: Run, event: str) -> None:
    reports: list[Report] = []

    def broken(self: Receiver, *args: Any) -> None:
        getattr(Receiver, event)(self, *args)
        raise LookupError(event)

    Broken = type("Broken", (Receiver,), {event: broken})

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.bind(LOCAL)
            transport, protocol = await loop.create_datagram_endpoint(
                Broken, local_addr=LOCAL, remote_addr=sender.getsockname()
            )
            if event == "datagram_received":
                sender.sendto(b"x", transport.get_extra_info("sockname"))
        if event == "error_received":
            transport.sendto(b"nobody is there any more")
        await until(lambda: reports)
        assert not transport.is_closing()
        transport.abort()
        await until(lambda: protocol.lost)

    run(main, reports=reports)
    [report] = reports
    assert sorted(report) == ["exception", "handle", "message"]
    assert report["message"] == "Exception in callback _SelectorDatagramTransport._read_ready()"
    assert repr(report["exception"]) == f"LookupError('{event}')"
    context = report["exception"].__context__
    assert isinstance(context, ConnectionRefusedError if event == "error_received" else NoneType)
    assert isinstance(report["handle"], asyncio.Handle)


def test_the_error_is_being_handled_when_error_received_is_told(run: Run) -> None:
    handled: list[BaseException | None] = []

    class Asking(Receiver):
        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            handled.append(sys.exc_info()[1])

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Asking, local_addr=LOCAL)
        transport.sendto(b"x" * 70_000, transport.get_extra_info("sockname"))
        assert handled == protocol.errors
        assert len(handled) == 1
        assert sys.exc_info() == (None, None, None)
        transport.abort()
        await until(lambda: protocol.lost)

    run(main)


def test_empty_datagrams_arrive(run: Run) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            with socket.socket(type=socket.SOCK_DGRAM) as sender:
                sender.bind(LOCAL)
                sender.sendto(b"", transport.get_extra_info("sockname"))
                await until(lambda: protocol.got)
                assert protocol.got == [(b"", sender.getsockname())]

    run(main)


def test_every_datagram_of_a_burst_arrives_in_order(run: Run) -> None:
    async def main() -> None:
        async with (
            endpoint(local_addr=LOCAL) as (left, _),
            endpoint(local_addr=LOCAL) as (right, protocol),
        ):
            for number in range(100):
                left.sendto(b"%03d" % number, right.get_extra_info("sockname"))
            await until(lambda: len(protocol.got) == 100)
            assert [int(data) for data, _ in protocol.got] == list(range(100))

    run(main)


def test_a_socket_that_exists_can_be_used(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(LOCAL)
        async with endpoint(sock=sock) as (transport, protocol):
            transport.sendto(b"to myself", sock.getsockname())
            await until(lambda: protocol.got)

    run(main)
