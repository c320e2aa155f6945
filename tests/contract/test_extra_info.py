"""What `get_extra_info()` tells, whoever asks when, and what becomes of what is put there."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from contract.support import Recorder, both_kinds, connected, turns, until
from loops import Run


@both_kinds
def test_the_socket_is_the_same_object_each_time(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, _):
            first = transport.get_extra_info("socket")
            assert type(first).__name__ == "TransportSocket"
            assert transport.get_extra_info("socket") is first
            assert transport._extra["socket"] is first
            assert transport.get_extra_info(name="socket", default=1) is first

    run(main)


@both_kinds
def test_what_is_not_known_is_the_default(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, _):
            for _ in range(2):
                assert transport.get_extra_info("cipher") is None
                assert transport.get_extra_info("cipher", 5) == 5
                assert transport.get_extra_info(7, default="x") == "x"
                with pytest.raises(TypeError, match="unhashable"):
                    transport.get_extra_info([])
                with pytest.raises(TypeError):
                    transport.get_extra_info()
                assert set(transport._extra) == {"socket", "sockname", "peername"}

    run(main)


def test_what_is_put_into_the_dict_is_told(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, _):
            name = transport.get_extra_info("sockname")
            transport._extra["user"] = "somebody"
            transport._extra["peername"] = "elsewhere"
            assert transport.get_extra_info("user") == "somebody"
            assert transport.get_extra_info("peername") == "elsewhere"
            assert transport.get_extra_info("sockname") == name
            transport._extra = {"sockname": 1, "socket": transport.get_extra_info("socket")}
            assert transport.get_extra_info("sockname") == 1
            assert transport.get_extra_info("peername", 2) == 2

    run(main)


@pytest.mark.parametrize("asked_before", [False, True])
def test_all_is_told_after_the_end(run: Run, asked_before: bool) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            addresses = (peer.getpeername(), peer.getsockname())
            if asked_before:
                transport.get_extra_info("socket")
            transport.close()
            await until(lambda: protocol.lost)
            assert transport.get_extra_info("sockname") == addresses[0]
            assert transport.get_extra_info("peername") == addresses[1]
            assert transport.get_extra_info("socket").fileno() == -1
            assert transport._extra["peername"] == addresses[1]

    run(main)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_accepted_connections_tell_both_ends(run: Run, host: str) -> None:
    """Also where a server listens at several addresses, of which each connection has one."""
    made: list[Any] = []

    class Noting(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.append(transport)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Noting, host, 0)
        port = server.sockets[0].getsockname()[1]
        hosts = ["127.0.0.1", "127.0.0.2"] if host == "0.0.0.0" else ["127.0.0.1"]
        for number, target in enumerate(hosts * 3):
            with socket.create_connection((target, port)) as peer:
                await until(lambda count=number: len(made) == count + 1)  # type: ignore[misc]
                transport = made[-1]
                assert transport.get_extra_info("sockname") == (target, port)
                assert transport.get_extra_info("peername") == peer.getsockname()
                assert transport.get_extra_info("socket").getsockname() == (target, port)
        server.close()
        for transport in made:
            transport.abort()
        await turns(3)

    run(main)


def test_what_a_maker_knows_is_told(run: Run) -> None:
    """asyncio's own code gives a dict, of which nothing is lost."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, peer = socket.socketpair()
        near.setblocking(False)
        protocol = Recorder()
        transport = loop._make_socket_transport(near, protocol, extra={"peername": "p", "x": "y"})
        await until(lambda: protocol.events)
        assert transport.get_extra_info("peername") == "p"
        assert transport.get_extra_info("x") == "y"
        assert transport.get_extra_info("sockname") == ""
        transport.abort()
        await until(lambda: protocol.lost)
        peer.close()

    run(main)
