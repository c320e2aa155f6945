"""What a server's transport tells of the socket it was accepted on, whatever accepted it."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from contract.support import Recorder, until
from loops import Run

FAMILIES = {
    "IPv4": (socket.AF_INET, socket.IPPROTO_TCP, ("127.0.0.1", 0)),
    "IPv6": (socket.AF_INET6, socket.IPPROTO_TCP, ("::1", 0)),
    "Unix": (socket.AF_UNIX, 0, None),
}


def listening(kind: str, folder: Path) -> socket.socket:
    family, protocol, address = FAMILIES[kind]
    listener = socket.socket(family, socket.SOCK_STREAM, protocol)
    try:
        listener.bind(address or str(folder / "socket"))
        listener.listen()
    except OSError as error:
        listener.close()
        pytest.skip(f"this machine has no {kind}: {error}")
    listener.setblocking(False)
    return listener


async def accept_one(listener: socket.socket) -> tuple[Recorder, socket.socket, asyncio.Server]:
    protocol = Recorder()
    server = await asyncio.get_running_loop().create_server(lambda: protocol, sock=listener)
    client = socket.socket(listener.family)
    client.connect(listener.getsockname())
    await until(lambda: protocol.transport is not None)
    return protocol, client, server


@pytest.mark.parametrize("kind", FAMILIES)
def test_an_accepted_socket_is_like_that_of_socket_accept(
    run: Run, tmp_path: Path, kind: str
) -> None:
    async def main() -> None:
        listener = listening(kind, tmp_path)
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport
        accepted = transport.get_extra_info("socket")
        try:
            assert accepted.family is listener.family
            assert accepted.type is socket.SOCK_STREAM
            assert accepted.proto == listener.proto
            assert accepted.gettimeout() == 0
            assert not os.get_blocking(accepted.fileno())
            assert not os.get_inheritable(accepted.fileno())
            assert transport.get_extra_info("peername") == client.getsockname()
            assert transport.get_extra_info("sockname") == listener.getsockname()
            if kind != "Unix":
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        finally:
            transport.close()
            client.close()
            server.close()
        await until(lambda: accepted.fileno() == -1)

    run(main)


def test_the_default_timeout_does_not_reach_accepted_sockets(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        socket.setdefaulttimeout(5)
        try:
            protocol, client, server = await accept_one(listener)
        finally:
            socket.setdefaulttimeout(None)
        transport: Any = protocol.transport
        assert transport.get_extra_info("socket").gettimeout() == 0
        for one in (transport, client, server):
            one.close()

    run(main)


def test_a_listener_of_a_class_of_its_own_accepts_by_its_own_method(
    run: Run, tmp_path: Path
) -> None:
    class Counting(socket.socket):
        accepted = 0

        def accept(self) -> tuple[socket.socket, Any]:
            conn, address = super().accept()
            Counting.accepted += 1
            return conn, address

    async def main() -> None:
        plain = listening("IPv4", tmp_path)
        listener = Counting(plain.family, plain.type, plain.proto, fileno=plain.detach())
        protocol, client, server = await accept_one(listener)
        assert protocol.transport is not None
        protocol.transport.close()
        client.close()
        server.close()

    run(main)
    assert Counting.accepted == 1


def test_a_replaced_accept_is_called(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[socket.socket] = []
    genuine = socket.socket.accept

    def accept(self: socket.socket) -> tuple[socket.socket, Any]:
        calls.append(self)
        return genuine(self)

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        monkeypatch.setattr(socket.socket, "accept", accept)
        protocol, client, server = await accept_one(listener)
        assert calls
        assert all(one is listener for one in calls)
        assert protocol.transport is not None
        protocol.transport.close()
        client.close()
        server.close()

    run(main)
