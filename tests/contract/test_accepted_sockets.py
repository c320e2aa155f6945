"""What a server's transport tells of the socket it was accepted on, whatever accepted it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import struct
import threading
import time
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


async def ended(protocol: Recorder, client: socket.socket, server: asyncio.Server) -> None:
    """The transport has closed its descriptor, which the client can tell."""
    await until(lambda: protocol.lost)
    client.settimeout(5)
    assert client.recv(1) == b""
    client.close()
    server.close()


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
            transport: Any = protocol.transport
            assert transport.get_extra_info("socket").gettimeout() == 0
        finally:
            socket.setdefaulttimeout(None)
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


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("asked", ["never", "while open", "in connection_lost", "after the end"])
@pytest.mark.parametrize("kind", ["IPv4", "Unix"])
def test_the_socket_is_told_whenever_it_is_asked_for(
    run: Run, tmp_path: Path, kind: str, asked: str
) -> None:
    """And its descriptor is closed with the transport, whether somebody asked or not."""
    told: list[Any] = []

    class Asking(Recorder):
        def connection_lost(self, reason: Exception | None) -> None:
            super().connection_lost(reason)
            if asked == "in connection_lost":
                told.append(self.transport.get_extra_info("socket"))
                assert told[0].fileno() >= 0

    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = listening(kind, tmp_path)
        protocol = Asking()
        server = await loop.create_server(lambda: protocol, sock=listener)
        before = open_descriptors()
        client = socket.socket(listener.family)
        client.connect(listener.getsockname())
        await until(lambda: protocol.transport is not None)
        transport: Any = protocol.transport
        assert open_descriptors() == before + 2
        if asked == "while open":
            told.append(transport.get_extra_info("socket"))
        client.send(b"hello")
        await until(lambda: protocol.data == b"hello")
        transport.write(b"world")
        assert client.recv(10) == b"world"
        transport.close()
        await until(lambda: protocol.lost)
        assert client.recv(10) == b""
        client.close()
        assert open_descriptors() == before
        if asked == "after the end":
            told.append(transport.get_extra_info("socket"))
        if asked != "never":
            assert told[0] is transport.get_extra_info("socket")
            assert told[0].fileno() == -1
            assert (told[0].family, told[0].type) == (listener.family, listener.type)
            assert told[0].proto == listener.proto
            with pytest.raises(OSError, match="Bad file descriptor"):
                told[0].getsockname()
        server.close()

    run(main)


# Stock leaves it to the collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_whose_protocol_cannot_be_made_is_closed(run: Run, tmp_path: Path) -> None:
    def refuse() -> asyncio.Protocol:
        raise ValueError("not today")

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        server = await asyncio.get_running_loop().create_server(refuse, sock=listener)
        before = open_descriptors()
        for _ in range(3):
            with socket.create_connection(listener.getsockname()) as client:
                client.setblocking(False)
                assert await asyncio.get_running_loop().sock_recv(client, 10) == b""
        assert open_descriptors() == before
        server.close()

    run(main)


def test_a_socket_that_is_wrapped_before_anybody_has_seen_it(run: Run, tmp_path: Path) -> None:
    """Some put an object of their own in the place of `_sock`, which sees what is done to it."""

    class Wrapper:
        def __init__(self, transport: Any) -> None:
            self.transport = transport
            self.closed = 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.transport.get_extra_info("socket")._sock, name)

        def close(self) -> None:
            self.closed += 1
            self.transport.get_extra_info("socket")._sock.close()

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport
        transport._sock = wrapper = Wrapper(transport)
        assert transport._sock is wrapper
        client.send(b"hello")
        await until(lambda: protocol.data == b"hello")
        assert wrapper.getpeername() == client.getsockname()
        transport.abort()
        await until(lambda: protocol.lost)
        assert wrapper.closed == 1
        assert transport._sock is None
        assert wrapper.fileno() == -1
        client.close()
        server.close()

    run(main)


# The socket itself, which nobody closes here, says so when it dies, on stock as well.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wrapper_is_what_is_closed_whatever_the_dict_has(run: Run, tmp_path: Path) -> None:
    class Wrapper:
        closed = 0

        def fileno(self) -> int:
            return -1

        def close(self) -> None:
            self.closed += 1

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport
        transport._extra = {}
        transport._sock = wrapper = Wrapper()
        assert transport._sock is wrapper
        assert transport.get_extra_info("socket") is None
        transport.close()
        await ended(protocol, client, server)
        assert wrapper.closed == 1

    run(main)


@pytest.mark.parametrize("meanwhile", ["ask", "assign", "abort"])
def test_the_socket_is_asked_for_by_two_threads_at_once(
    run: Run, is_stock: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    genuine = socket.socket.__init__
    asked, go_on = threading.Event(), threading.Event()
    told: list[Any] = []

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport

        def slow(self: socket.socket, *args: Any, **options: Any) -> None:
            if threading.current_thread() is thread:
                asked.set()
                go_on.wait(10)
            genuine(self, *args, **options)

        def ask() -> None:
            told.append(transport.get_extra_info("socket"))
            asked.set()

        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "__init__", slow)
            thread = threading.Thread(target=ask)
            thread.start()
            asked.wait(10)
            # On stock it was made when the connection came.
            assert is_stock == bool(told)
            try:
                if meanwhile == "ask":
                    told.append(transport.get_extra_info("socket"))
                    assert told[-1].getpeername() == client.getsockname()
                    assert transport._sock.fileno() == told[-1].fileno()
                elif meanwhile == "assign":
                    transport._extra = {"socket": "another"}
                else:
                    transport.abort()
                    await until(lambda: protocol.lost)
                    client.settimeout(5)
                    assert client.recv(1) == b""
            finally:
                go_on.set()
                await asyncio.to_thread(thread.join)
        if meanwhile == "assign":
            assert transport._extra == {"socket": "another"}
            assert told[0] == "another" or is_stock
            transport._extra = {"socket": told[0]}
        assert all(one is transport.get_extra_info("socket") for one in told)
        if meanwhile != "assign":
            assert told[0].fileno() == (-1 if meanwhile == "abort" else transport._sock.fileno())
        transport.abort()
        await ended(protocol, client, server)

    run(main)


def test_a_listener_that_lingers_holds_up_nobody_else(run: Run, tmp_path: Path) -> None:
    """The connections have its SO_LINGER, and closing waits for what cannot be sent."""
    longest = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal longest
        last = time.monotonic()
        while not ended.is_set():
            time.sleep(0.01)
            now = time.monotonic()
            last, longest = now, max(longest, now - last)

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2))
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport
        transport.write(b"x" * 20_000_000)
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        began = time.monotonic()
        transport.abort()
        await until(lambda: protocol.lost)
        await asyncio.sleep(0)
        took = time.monotonic() - began
        ended.set()
        thread.join()
        client.close()
        server.close()
        assert took > 1.9

    run(main)
    assert longest < 1.5


def test_a_wrapper_that_closes_what_it_wraps_ends_the_connection(run: Run, tmp_path: Path) -> None:
    class Wrapper:
        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock

        def fileno(self) -> int:
            return self.sock.fileno()

        def close(self) -> None:
            self.sock.close()

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport
        sock = transport._sock
        transport._sock = Wrapper(sock)
        transport.close()
        await ended(protocol, client, server)
        assert sock.fileno() == -1

    run(main)


def test_the_socket_is_told_when_there_are_no_descriptors_left(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport
        transport.close()
        await until(lambda: protocol.lost)
        taken: list[int] = []
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors() + 20, limits[1]))
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(listener.fileno()))
            sock = transport.get_extra_info("socket")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for number in taken:
                os.close(number)
        assert (sock.fileno(), sock.family, sock.proto) == (-1, listener.family, listener.proto)
        sock._sock.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            sock.getpeername()
        assert listener.getsockname()
        client.close()
        server.close()

    run(main)


def test_in_debug_mode_the_descriptor_is_closed_as_well(run: Run, tmp_path: Path) -> None:
    """There the log shows the socket."""

    async def main() -> None:
        listener = listening("IPv4", tmp_path)
        before = open_descriptors()
        protocol, client, server = await accept_one(listener)
        transport: Any = protocol.transport
        transport.get_extra_info("socket")
        transport.close()
        await until(lambda: protocol.lost)
        assert client.recv(10) == b""
        client.close()
        assert open_descriptors() == before
        server.close()

    run(main, debug=True)
