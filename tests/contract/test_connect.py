"""Connecting and addresses: names, refusals, handed-over sockets, lookups."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from pathlib import Path

import pytest

from contract.support import Recorder, address_of, echo, until
from loops import Run


def test_unix_servers_and_clients(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("u") / "s"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_unix_server(echo, path)
        assert server.sockets[0].getsockname() == str(path)
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"x" * 300_000)
        assert await reader.readexactly(300_000) == b"x" * 300_000
        writer.close()
        await writer.wait_closed()
        transport, protocol = await loop.create_unix_connection(Recorder, str(path))
        assert transport.get_extra_info("peername") == str(path)
        transport.close()
        await until(lambda: protocol.lost)
        server.close()
        await server.wait_closed()
        assert path.exists() is (sys.version_info < (3, 13))

    run(main)


def test_a_stale_unix_socket_is_replaced_and_a_file_is_not(run: Run, tmp_path: Path) -> None:
    stale = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(stale))
    regular = tmp_path / "regular"
    regular.touch()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(Recorder, str(stale))
        server.close()
        await server.wait_closed()
        with pytest.raises(OSError, match="in use") as caught:
            await loop.create_unix_server(Recorder, str(regular))
        assert caught.value.errno == errno.EADDRINUSE

    run(main)


def test_an_address_in_use_names_itself(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with pytest.raises(OSError, match="error while attempting to bind") as caught:
                await loop.create_server(Recorder, "127.0.0.1", port)
            assert caught.value.errno == errno.EADDRINUSE

    run(main)


def test_a_refused_connection_names_the_address(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(ConnectionRefusedError, match=str(port)):
            await loop.create_connection(Recorder, "127.0.0.1", port)

    run(main)


def test_connecting_by_name_with_happy_eyeballs_and_a_local_address(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            port = address_of(server)[1]
            for arguments in (
                {},
                {"happy_eyeballs_delay": 0.25},
                {"local_addr": ("127.0.0.1", 0)},
                {"family": socket.AF_INET},
            ):
                transport, protocol = await loop.create_connection(
                    Recorder, "localhost", port, **arguments
                )
                transport.close()
                await until(lambda p=protocol: p.lost)

    run(main)


def test_listening_and_accepted_sockets_can_be_handed_over(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        server = await asyncio.start_server(echo, sock=listener)
        reader, writer = await asyncio.open_connection(*address_of(server))
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

        with socket.create_server(("127.0.0.1", 0)) as second:
            client = socket.create_connection(second.getsockname())
            accepted, _ = second.accept()
        transport, protocol = await loop.connect_accepted_socket(Recorder, accepted)
        client.send(b"two")
        await until(lambda: protocol.data == b"two")
        transport.close()
        await until(lambda: protocol.lost)
        client.close()

    run(main)


def test_reuse_port(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first = await loop.create_server(Recorder, "127.0.0.1", 0, reuse_port=True)
        second = await loop.create_server(
            Recorder, "127.0.0.1", address_of(first)[1], reuse_port=True
        )
        assert address_of(first) == address_of(second)
        for server in (first, second):
            server.close()
            await server.wait_closed()

    run(main)


def test_getaddrinfo_and_getnameinfo(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert infos == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        named = await loop.getaddrinfo("localhost", None, family=socket.AF_INET)
        assert named[0][4] == ("127.0.0.1", 0)
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("no such host!", 80)
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        assert await loop.getnameinfo(("127.0.0.1", 80), numeric) == ("127.0.0.1", "80")

    run(main)
