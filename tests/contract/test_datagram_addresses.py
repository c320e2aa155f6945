"""Datagram transports: the forms of addresses, and receivers that are full or wait."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from contract.support import until
from contract.test_datagram import Receiver, endpoint
from loops import Report, Run

LOCAL = ("127.0.0.1", 0)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6_addresses_may_leave_flow_and_scope_out_and_arrive_whole(run: Run) -> None:
    async def main() -> None:
        async with endpoint(local_addr=("::1", 0)) as (transport, protocol):
            whole = transport.get_extra_info("sockname")
            for size in (2, 3, 4):
                transport.sendto(b"x", whole[:size])
            await until(lambda: len(protocol.got) == 3)
            assert protocol.got == [(b"x", whole)] * 3
            assert len(whole) == 4

    run(main)


@pytest.mark.parametrize("host", ["localhost", "", b"127.0.0.1", "127.1"])
def test_a_host_may_be_whatever_a_socket_takes(run: Run, host: Any) -> None:
    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            transport.sendto(b"x", (host, transport.get_extra_info("sockname")[1]))
            await until(lambda: protocol.got or protocol.errors)
            assert protocol.got == [(b"x", transport.get_extra_info("sockname"))]

    run(main)


@pytest.mark.parametrize(
    ("address", "error"),
    [
        (("127.0.0.1", 70_000), OverflowError),
        (("127.0.0.1", "80"), TypeError),
        (("127.0.0.1",), TypeError),
        (["127.0.0.1", 80], TypeError),
        (None, TypeError),
    ],
)
def test_an_address_that_is_none_ends_the_transport(
    run: Run, address: Any, error: type[Exception]
) -> None:
    reports: list[Report] = []

    async def main() -> None:
        async with endpoint(local_addr=LOCAL) as (transport, protocol):
            transport.sendto(b"x", address)
            await until(lambda: protocol.lost)
            assert isinstance(protocol.reason, error)

    run(main, reports=reports)
    assert reports[0]["message"] == "Fatal write error on datagram transport"
    assert isinstance(reports[0]["exception"], error)


def test_unix_senders_are_named_by_path_abstract_name_or_not_at_all(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("d")
    here = str(folder / "h")

    async def main() -> None:
        names: list[Any] = [str(folder / "é"), b"\0batuta\0\xff" + here.encode(), None]
        async with endpoint(local_addr=here, family=socket.AF_UNIX) as (transport, protocol):
            for name in names:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                    if name is not None:
                        sender.bind(name)
                    sender.sendto(b"hello", here)
                    sender.setblocking(False)
                    await until(lambda: protocol.got)
                    assert protocol.got == [(b"hello", name)]
                    if name is not None:
                        transport.sendto(b"answer", protocol.got[0][1])
                        assert sender.recv(10) == b"answer"
                    protocol.got.clear()
            assert protocol.errors == []

    run(main)


def test_what_a_full_unix_receiver_does_not_take_waits_and_keeps_its_order(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    there = str(tmp_path_factory.mktemp("d") / "t")

    async def main() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(there)
            receiver.setblocking(False)
            sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            async with endpoint(sock=sender) as (transport, protocol):
                transport.set_write_buffer_limits(high=500)
                count = 0
                while "pause_writing" not in protocol.events:
                    transport.sendto(b"%0100d" % count, there)
                    count += 1
                transport.close()
                transport.sendto(b"%0100d" % count, there)
                received: list[int] = []

                def drained() -> bool:
                    try:
                        received.append(int(receiver.recv(200)))
                    except BlockingIOError:
                        pass
                    return len(received) == count + 1

                await until(drained)
                await until(lambda: protocol.lost)
                assert received == list(range(count + 1))
                assert protocol.errors == []
                assert protocol.reason is None

    run(main)


def test_datagrams_that_wait_for_a_receiver_that_goes_are_reported_one_by_one(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    there = str(tmp_path_factory.mktemp("d") / "t")

    async def main() -> None:
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(there)
        async with endpoint(remote_addr=there, family=socket.AF_UNIX) as (transport, protocol):
            waiting = 0
            while waiting < 5:
                transport.sendto(b"x" * 1000)
                waiting += transport.get_write_buffer_size() > 0
            receiver.close()
            await until(lambda: len(protocol.errors) == waiting)
            assert all(isinstance(error, OSError) for error in protocol.errors)
            assert not transport.is_closing()

    run(main)


def test_reading_pauses_between_two_datagrams(run: Run) -> None:
    class Slow(Receiver):
        transport: Any

        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.pause_reading()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Slow, local_addr=LOCAL)
        protocol.transport = transport
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for number in range(50):
                sender.sendto(b"%d" % number, transport.get_extra_info("sockname"))
        for number in range(50):
            await until(lambda number=number: len(protocol.got) == number + 1)
            assert not transport.is_reading()
            await asyncio.sleep(0)
            assert len(protocol.got) == number + 1
            transport.resume_reading()
        assert [int(data) for data, _ in protocol.got] == list(range(50))
        transport.abort()
        await until(lambda: protocol.lost)

    run(main)


def test_a_stream_of_datagrams_does_not_keep_others_from_running(run: Run) -> None:
    class Endless(Receiver):
        transport: Any
        address: Any

        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.sendto(data, self.address)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Endless, local_addr=LOCAL)
        protocol.transport, protocol.address = transport, transport.get_extra_info("sockname")
        for _ in range(50):
            transport.sendto(b"again", protocol.address)
        await until(lambda: protocol.got)
        before = len(protocol.got)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(protocol.got) - before < 20 * 100
        transport.abort()
        await until(lambda: protocol.lost)

    run(main)


def test_an_interrupt_in_the_protocol_leaves_the_rest_for_the_next_run(loop: Any) -> None:
    class Interrupted(Receiver):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            if len(self.got) == 1:
                raise KeyboardInterrupt

    async def start() -> tuple[Any, Any]:
        return await loop.create_datagram_endpoint(Interrupted, local_addr=LOCAL)

    transport, protocol = loop.run_until_complete(start())
    for _ in range(5):
        transport.sendto(b"x", transport.get_extra_info("sockname"))
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    assert len(protocol.got) == 1
    loop.run_until_complete(until(lambda: len(protocol.got) == 5))
    transport.abort()
    loop.run_until_complete(until(lambda: protocol.lost))


def test_each_of_many_senders_is_named_and_answered(run: Run) -> None:
    """More of them than anyone would remember, by turns and several at once."""

    class Echo(asyncio.DatagramProtocol):
        transport: asyncio.DatagramTransport
        senders: dict[bytes, set[Any]]

        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.senders = {}

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.senders.setdefault(data, set()).add(addr)
            self.transport.sendto(data + b" to " + repr(addr).encode(), addr)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        target = transport.get_extra_info("sockname")
        clients = []
        for number in range(150):
            client = socket.socket(type=socket.SOCK_DGRAM)
            client.bind((f"127.0.{number % 7}.{1 + number % 3}", 0))
            client.setblocking(False)
            clients.append(client)
        for burst in (1, 150, 10):
            for start in range(0, len(clients), burst):
                group = clients[start : start + burst]
                for client in group:
                    client.sendto(b"%d" % client.fileno(), target)
                for client in group:
                    answer = await asyncio.wait_for(loop.sock_recv(client, 200), 10)
                    expected = f"{client.fileno()} to {client.getsockname()!r}"
                    assert answer == expected.encode()
        assert protocol.senders == {
            b"%d" % client.fileno(): {client.getsockname()} for client in clients
        }
        for client in clients:
            client.close()
        transport.close()

    run(main)
