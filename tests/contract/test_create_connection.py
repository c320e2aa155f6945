"""create_connection() and create_unix_connection(): order, several addresses, errors, the end."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.connecting import (
    REFUSED,
    Ticks,
    crowded,
    descriptors,
    listening,
    refusing,
    resolving_to,
)
from contract.support import Recorder, raw_pair, turns, until
from loops import Run


async def close(transport: Any, protocol: Recorder) -> None:
    transport.close()
    await until(lambda: protocol.lost)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"127.0.0.1"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_connection_is_made(run: Run, host: Any, as_text: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as address:
            port: Any = str(address[1]) if as_text else address[1]
            transport, protocol = await loop.create_connection(
                Recorder, host, port, family=socket.AF_INET
            )
            assert protocol.events == ["connection_made"]
            assert protocol.transport is transport
            assert transport.get_extra_info("peername") == address
            sock = transport.get_extra_info("socket")
            assert type(sock).__name__ == "TransportSocket"
            assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)
            assert sock.proto == socket.IPPROTO_TCP
            assert sock.gettimeout() == 0
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            assert transport.get_extra_info("sockname") == sock.getsockname()
            await close(transport, protocol)
            assert sock.fileno() == -1

    run(main)


def test_a_connection_over_ipv6(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
            listener.listen()
            address = listener.getsockname()
            transport, protocol = await loop.create_connection(Recorder, "::1", address[1])
            assert transport.get_extra_info("peername") == address
            await close(transport, protocol)
        with pytest.raises(ConnectionRefusedError) as raised:
            await loop.create_connection(Recorder, "::1", address[1])
        assert raised.value.strerror == REFUSED.format(address)

    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no ::1: {error}")
    run(main)


def test_the_turns_in_which_it_happens(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        ticks = Ticks()
        seen: list[tuple[str, int]] = []

        class Noting(asyncio.Protocol):
            def __init__(self) -> None:
                seen.append(("made", ticks.count))

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                seen.append(("connection_made", ticks.count))

        transport, _ = await loop.create_connection(Noting, sock=near)
        seen.append(("returned", ticks.count))
        ticks.stop()
        assert seen == [("made", 0), ("connection_made", 1), ("returned", 2)]
        transport.close()
        far.close()
        await turns(2)

    run(main)


def test_the_turns_of_a_connection_to_a_unix_socket(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "s"))
            listener.listen()
            ticks = Ticks()
            transport, protocol = await loop.create_unix_connection(Recorder, str(tmp_path / "s"))
            ticks.stop()
            assert ticks.count == 2
            await close(transport, protocol)

    run(main)


def test_the_next_address_is_tried(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as address:
            asked = resolving_to(loop, refusing(), refusing(), address)
            before = descriptors()
            transport, protocol = await loop.create_connection(
                Recorder, "somewhere", 7, family=socket.AF_INET, proto=6, flags=socket.AI_PASSIVE
            )
            kind = (socket.AF_INET, socket.SOCK_STREAM, 6, socket.AI_PASSIVE)
            assert asked == [("somewhere", 7, *kind)]
            assert transport.get_extra_info("peername") == address
            assert len(descriptors() - before) == 1
            await close(transport, protocol)

    run(main)


def test_an_address_that_is_none_ends_it(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with listening() as address:
            before = descriptors()
            resolving_to(loop, refusing(), ("127.0.0.1", 70_000), address)
            with pytest.raises(OverflowError):
                await loop.create_connection(Recorder, "somewhere", 1)
            assert descriptors() == before

    run(main)


def test_all_addresses_fail(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second = refusing(), refusing()
        before = descriptors()
        resolving_to(loop, first, second)
        with pytest.raises(OSError, match="Multiple exceptions") as raised:
            await loop.create_connection(Recorder, "somewhere", 1)
        texts = [f"[Errno {errno.ECONNREFUSED}] {REFUSED.format(one)}" for one in (first, second)]
        assert str(raised.value) == f"Multiple exceptions: {', '.join(texts)}"
        assert type(raised.value) is OSError
        assert raised.value.__context__ is None
        resolving_to(loop, first, first)
        with pytest.raises(ConnectionRefusedError) as refused:
            await loop.create_connection(Recorder, "somewhere", 1)
        assert str(refused.value) == texts[0]
        assert refused.value.errno == errno.ECONNREFUSED
        assert refused.value.__context__ is None
        resolving_to(loop)
        with pytest.raises(OSError, match=re.escape("getaddrinfo() returned empty list")):
            await loop.create_connection(Recorder, "somewhere", 1)
        assert descriptors() == before

    run(main)


def test_an_unreachable_network_is_an_error_at_once(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError, match=r"Invalid argument|unreachable|denied") as raised:
            await loop.create_connection(Recorder, "255.255.255.255", 9)
        with socket.socket() as sock, pytest.raises(OSError, match=r".") as expected:
            sock.connect(("255.255.255.255", 9))
        assert str(raised.value) == str(expected.value)

    run(main)


def test_names_that_cannot_be_resolved(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(socket.gaierror):
            await asyncio.get_running_loop().create_connection(Recorder, "no such host!", 80)

    run(main)


@pytest.mark.parametrize("host", ["127.0.0.1", "somewhere"])
def test_cancelled_while_it_waits(run: Run, host: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with crowded() as address:
            resolving_to(loop, address, refusing())
            before = descriptors()
            task = asyncio.ensure_future(loop.create_connection(Recorder, host, address[1]))
            await turns(5)
            assert not task.done()
            assert len(descriptors() - before) == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert descriptors() == before

    run(main)


def test_closed_while_it_waits(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with crowded() as address:
            before = descriptors()
            coroutine: Any = loop.create_connection(Recorder, *address)
            coroutine.send(None)
            assert len(descriptors() - before) == 1
            coroutine.close()
            assert descriptors() == before

    run(main)


def test_cancelled_before_the_protocol_is_told(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        made: list[Recorder] = []

        def factory() -> Recorder:
            made.append(Recorder())
            return made[0]

        task = asyncio.ensure_future(loop.create_connection(factory, sock=near))
        await turns(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: made[0].lost)
        assert made[0].events == ["connection_made", "connection_lost"]
        assert near.fileno() == -1
        far.close()

    run(main)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_protocol_that_is_not_made(run: Run) -> None:
    def factory() -> Recorder:
        raise OSError("no protocol today")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.getaddrinfo("localhost", 0)  # Which may open something, once.
        with listening() as address:
            before = descriptors()
            for host in ("127.0.0.1", "localhost"):
                with pytest.raises(OSError, match=r"^no protocol today$"):
                    await loop.create_connection(factory, host, address[1], family=socket.AF_INET)
            # Before 3.14 the socket is closed when it is collected.
            assert sys.version_info < (3, 14) or descriptors() == before
        near, far = raw_pair("tcp")
        with pytest.raises(OSError, match=r"^no protocol today$"):
            await loop.create_connection(factory, sock=near)
        near.close()
        far.close()

    run(main)


def test_unix_sockets_that_cannot_be_connected_to(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = descriptors()
        with pytest.raises(FileNotFoundError) as missing:
            await loop.create_unix_connection(Recorder, str(tmp_path / "none"))
        assert missing.value.strerror == "No such file or directory"
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(tmp_path / "deaf"))
        with pytest.raises(ConnectionRefusedError):
            await loop.create_unix_connection(Recorder, str(tmp_path / "deaf"))
        with pytest.raises(OSError, match="too long"):
            await loop.create_unix_connection(Recorder, "x" * 200)
        with pytest.raises(ValueError, match="no path and sock were specified"):
            await loop.create_unix_connection(Recorder)
        with (
            socket.socket() as sock,
            pytest.raises(ValueError, match="A UNIX Domain Stream Socket was expected"),
        ):
            await loop.create_unix_connection(Recorder, sock=sock)
        assert descriptors() == before

    run(main)


def test_unix_sockets_by_path_object_abstract_name_and_socket(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for path in (tmp_path / "s", f"\0batuta {id(main)}"):
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path if isinstance(path, str) else str(path))
                listener.listen()
                transport, protocol = await loop.create_unix_connection(Recorder, path)  # type: ignore[arg-type]
                name = path.encode() if isinstance(path, str) else str(path)
                assert transport.get_extra_info("peername") == name
                await close(transport, protocol)
        near, far = socket.socketpair()
        transport, protocol = await loop.create_unix_connection(Recorder, sock=near)
        await close(transport, protocol)
        far.close()

    run(main)


def test_debug_mode_logs_the_connection(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with listening() as address:
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.create_connection(Recorder, *address)
            await close(transport, protocol)

    with caplog.at_level(logging.DEBUG, logger="asyncio"):
        run(main, debug=True)
    assert any(" connected to 127.0.0.1:" in record.getMessage() for record in caplog.records)
