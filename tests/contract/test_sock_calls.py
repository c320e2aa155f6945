"""The sock_* methods: results, errors, and what they refuse."""

from __future__ import annotations

import asyncio
import collections.abc
import inspect
import socket
import ssl
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Coroutine
from typing import Any
from unittest import mock

import pytest

from contract.support import Recorder, both_kinds, connected, raw_pair, receive, reset, turns
from loops import Run


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock


@both_kinds
@pytest.mark.parametrize("wait", [False, True])
def test_sock_recv_gives_what_is_there(run: Run, kind: str, wait: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair(kind)
        with near, far:
            receiving = asyncio.ensure_future(loop.sock_recv(near, 5))
            if wait:
                await asyncio.sleep(0.005)
            far.send(b"hello, rest")
            assert await receiving == b"hello"
            assert await loop.sock_recv(near, 100) == b", rest"
            far.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv(near, 100) == b""

    run(main)


@both_kinds
@pytest.mark.parametrize("wait", [False, True])
def test_sock_recv_into_fills_the_buffer(run: Run, kind: str, wait: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair(kind)
        with near, far:
            buffer = bytearray(b"." * 10)
            receiving = asyncio.ensure_future(loop.sock_recv_into(near, memoryview(buffer)[2:6]))
            if wait:
                await asyncio.sleep(0.005)
            far.send(b"abcdef")
            assert await receiving == 4
            assert buffer == b"..abcd...."
            assert await loop.sock_recv_into(near, buffer) == 2
            buffer += b"the buffer is let go"
            far.shutdown(socket.SHUT_WR)
            assert await loop.sock_recv_into(near, buffer) == 0

    run(main)


@both_kinds
def test_sock_sendall_sends_more_than_the_kernel_holds(run: Run, kind: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair(kind)
        with near, far:
            payload = bytes(range(256)) * 20_000
            sending = asyncio.ensure_future(loop.sock_sendall(near, payload))
            await turns(5)
            assert not sending.done()
            assert await receive(far, len(payload)) == payload
            assert await sending is None
            for small in (b"", bytearray(b"array"), memoryview(b"view")):
                await loop.sock_sendall(near, small)
            assert await receive(far, 9) == b"arrayview"

    run(main)


def test_two_sides_talk_through_sock_calls_alone(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        with near, far:

            async def echo() -> None:
                while data := await loop.sock_recv(far, 65536):
                    await loop.sock_sendall(far, data)

            echoing = asyncio.ensure_future(echo())
            for size in (1, 100, 10_000, 1_000_000):
                payload = b"e" * size
                sending = asyncio.ensure_future(loop.sock_sendall(near, payload))
                received = 0
                while received < size:
                    received += len(await loop.sock_recv(near, 65536))
                await sending
            near.shutdown(socket.SHUT_WR)
            await echoing

    run(main)


def test_sock_accept_and_sock_connect(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        client = socket.socket()
        client.setblocking(False)
        with listener, client:
            accepting = asyncio.ensure_future(loop.sock_accept(listener))
            await asyncio.sleep(0)
            assert await loop.sock_connect(client, listener.getsockname()) is None
            server, address = await accepting
            with server:
                assert address == client.getsockname()
                assert server.getblocking() is False
                await loop.sock_sendall(server, b"x")
                assert await loop.sock_recv(client, 10) == b"x"

    run(main)


def test_sock_connect_to_a_name(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("localhost", listener.getsockname()[1]))
            assert client.getpeername() == listener.getsockname()

    run(main)


def test_sock_connect_to_a_unix_path(run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "s")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
            listener.bind(path)
            listener.listen()
            listener.setblocking(False)
            client.setblocking(False)
            await loop.sock_connect(client, path)
            server, _ = await loop.sock_accept(listener)
            server.close()
            assert await loop.sock_recv(client, 1) == b""

    run(main)


def test_sock_connect_that_is_refused(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        with socket.socket() as client:
            client.setblocking(False)
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_connect(client, address)

    run(main)


@pytest.mark.parametrize("wait", [False, True])
def test_datagrams_by_sock_calls(run: Run, wait: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with udp() as left, udp() as right:
            receiving = asyncio.ensure_future(loop.sock_recvfrom(right, 100))
            if wait:
                await asyncio.sleep(0.005)
            assert await loop.sock_sendto(left, b"one", right.getsockname()) == 3
            assert await receiving == (b"one", left.getsockname())
            buffer = bytearray(10)
            into = asyncio.ensure_future(loop.sock_recvfrom_into(right, buffer))
            if wait:
                await asyncio.sleep(0.005)
            await loop.sock_sendto(left, b"three", right.getsockname())
            assert await into == (5, left.getsockname())
            assert buffer[:5] == b"three"
            limited = asyncio.ensure_future(loop.sock_recvfrom_into(right, buffer, 2))
            await loop.sock_sendto(left, b"XYZ", right.getsockname())
            assert await limited == (2, left.getsockname())
            assert buffer[:5] == b"XYree"

    run(main)


def test_a_reset_by_the_peer_reaches_the_caller(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        with near:
            receiving = asyncio.ensure_future(loop.sock_recv(near, 10))
            await turns(2)
            reset(far)
            with pytest.raises(ConnectionResetError):
                await receiving

    run(main)


def test_sending_to_a_closed_peer_fails(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("unix")
        far.close()
        with near, pytest.raises(BrokenPipeError):
            await loop.sock_sendall(near, b"x")

    run(main)


Call = Callable[[Any, socket.socket], Coroutine[Any, Any, object]]
CALLS: dict[str, Call] = {
    "sock_recv": lambda loop, sock: loop.sock_recv(sock, 10),
    "sock_recv_into": lambda loop, sock: loop.sock_recv_into(sock, bytearray(10)),
    "sock_recvfrom": lambda loop, sock: loop.sock_recvfrom(sock, 10),
    "sock_recvfrom_into": lambda loop, sock: loop.sock_recvfrom_into(sock, bytearray(10)),
    "sock_sendall": lambda loop, sock: loop.sock_sendall(sock, b"data"),
    "sock_sendto": lambda loop, sock: loop.sock_sendto(sock, b"data", ("127.0.0.1", 9)),
    "sock_connect": lambda loop, sock: loop.sock_connect(sock, ("127.0.0.1", 9)),
    "sock_accept": lambda loop, sock: loop.sock_accept(sock),
}
every_call = pytest.mark.parametrize("method", list(CALLS))


@every_call
def test_a_blocking_socket_is_refused_in_debug_mode(run: Run, method: str) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            assert sock.getblocking()
            with pytest.raises(ValueError, match="non-blocking"):
                await CALLS[method](asyncio.get_running_loop(), sock)

    run(main, debug=True)


@every_call
def test_a_tls_socket_is_refused(run: Run, method: str) -> None:
    async def main() -> None:
        plain = socket.socket()
        with ssl.create_default_context().wrap_socket(
            plain, server_hostname="localhost", do_handshake_on_connect=False
        ) as sock:
            sock.setblocking(False)
            with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
                await CALLS[method](asyncio.get_running_loop(), sock)

    run(main)


@pytest.mark.parametrize("method", ["sock_recv", "sock_sendall", "sock_accept"])
def test_a_closed_socket_fails(run: Run, method: str) -> None:
    async def main() -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            await CALLS[method](asyncio.get_running_loop(), sock)

    run(main)


def test_the_socket_of_a_transport_is_refused(run: Run) -> None:
    """The loop, not two readers at once, decides who gets the bytes."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with connected("tcp", Recorder) as (transport, _, _):
            wrapped = transport.get_extra_info("socket")
            sock = socket.socket(fileno=wrapped.fileno())
            try:
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await asyncio.wait_for(loop.sock_recv(sock, 1), 5)
            finally:
                sock.detach()

    run(main)


def test_coroutines_of_the_loop_are_coroutines_and_nothing_else(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, far = raw_pair("tcp")
        with near, far:
            for coroutine in (
                loop.sock_recv(near, 1),
                loop.sock_sendall(near, b"x"),
                loop.sock_accept(near),
                loop.sock_connect(near, ("127.0.0.1", 1)),
                loop.create_connection(asyncio.Protocol, "127.0.0.1", 1),
                loop.getaddrinfo("127.0.0.1", 1),
            ):
                assert isinstance(coroutine, collections.abc.Coroutine)
                assert not callable(coroutine)
                for other in ("Generator", "Iterator", "Iterable"):
                    assert not isinstance(coroutine, getattr(collections.abc, other))
                coroutine.close()

    run(main)


NAMES = ["recv", "recv_into", "recvfrom", "recvfrom_into", "sendall", "sendto", "accept", "connect"]


@pytest.mark.parametrize("name", NAMES)
def test_they_are_coroutine_functions(loop: asyncio.AbstractEventLoop, name: str) -> None:
    method = getattr(loop, f"sock_{name}")
    stock = getattr(BaseSelectorEventLoop, f"sock_{name}")
    assert inspect.iscoroutinefunction(method)
    assert method.__qualname__ == f"BaseSelectorEventLoop.sock_{name}"
    parameters = list(inspect.signature(stock).parameters.values())
    assert list(inspect.signature(method).parameters.values()) == parameters[1:]
    with pytest.raises(TypeError) as refused:
        method()
    with pytest.raises(TypeError) as expected:
        stock(loop)
    assert str(refused.value) == str(expected.value)
    with mock.patch.object(loop, f"sock_{name}", return_value="mocked"):
        answer = loop.run_until_complete(getattr(loop, f"sock_{name}")(1, 2))
    assert answer == "mocked"
