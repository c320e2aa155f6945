"""What a stream transport is to those who hold one: its type, its facts, its attributes."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
import weakref
from typing import Any

import pytest

from contract.support import Recorder, both_kinds, connected, raw_pair, receive, turns, until
from loops import Run


@both_kinds
def test_it_is_an_asyncio_transport(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            assert isinstance(transport, asyncio.Transport)
            assert isinstance(transport, asyncio.ReadTransport)
            assert isinstance(transport, asyncio.WriteTransport)
            assert protocol.transport is transport
            assert transport.get_protocol() is protocol

    run(main)


@both_kinds
def test_get_extra_info(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, _, peer):
            sock = transport.get_extra_info("socket")
            assert sock.family == peer.family
            assert sock.type == socket.SOCK_STREAM
            assert sock.fileno() >= 0
            assert transport.get_extra_info("sockname") == peer.getpeername()
            assert transport.get_extra_info("peername") == peer.getsockname()
            assert transport.get_extra_info("no such thing") is None
            assert transport.get_extra_info("no such thing", "default") == "default"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    run(main)


def test_addresses_are_known_after_the_connection_is_lost(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, peer):
            address = peer.getsockname()
            transport.abort()
            await until(lambda: protocol.lost)
            await turns(2)
            assert transport.get_extra_info("peername") == address
            assert transport.get_extra_info("socket").fileno() == -1

    run(main)


def test_tcp_sends_small_packets_at_once(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, _):
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    run(main)


def test_the_methods_can_be_replaced_on_one_transport(run: Run) -> None:
    async def main() -> None:
        async with (
            connected("tcp", Recorder) as (transport, _, peer),
            connected("tcp", Recorder) as (other, _, other_peer),
        ):
            written: list[bytes] = []
            original = transport.write

            def write(data: bytes) -> None:
                written.append(data)
                original(data.upper())

            transport.write = write
            transport.write(b"text")
            other.write(b"text")
            assert await receive(peer, 4) == b"TEXT"
            assert await receive(other_peer, 4) == b"text"
            assert written == [b"text"]
            del transport.write
            transport.write(b"text")
            assert await receive(peer, 4) == b"text"

    run(main)


@both_kinds
def test_arguments_may_be_given_by_name(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, peer):
            transport.write(data=b"one ")
            transport.writelines(list_of_data=[b"two ", b"three"])
            assert await receive(peer, 13) == b"one two three"
            transport.set_write_buffer_limits(high=10, low=5)
            assert transport.get_write_buffer_limits() == (5, 10)
            transport.set_protocol(protocol=protocol)
            for method in (transport.write, transport.set_protocol):
                with pytest.raises(TypeError, match="missing 1 required positional argument"):
                    method()
                with pytest.raises(TypeError, match="unexpected keyword argument 'bogus'"):
                    method(bogus=1)
                with pytest.raises(TypeError, match="takes"):
                    method(protocol, protocol)

    run(main)


def test_a_transport_takes_attributes_and_weak_references(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, _, _):
            transport.note = {"any": "thing"}
            assert transport.note == {"any": "thing"}
            assert vars(transport)["note"] is transport.note
            assert weakref.ref(transport)() is transport
            assert transport in {transport}
            with pytest.raises(AttributeError):
                _ = transport.no_such_attribute

    run(main)


@both_kinds
def test_the_private_names_that_libraries_read_are_there(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            assert transport._loop is asyncio.get_running_loop()
            assert transport._sock.fileno() == transport.get_extra_info("socket").fileno()
            assert transport._sock_fd == transport._sock.fileno()
            assert transport._protocol is protocol
            assert transport._closing is False
            assert transport._conn_lost == 0
            assert "peername" in transport._extra
            transport.close()
            assert transport._closing is True

    run(main)


def test_a_transport_that_is_dropped_unclosed_warns_and_closes_its_socket(run: Run) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        leak(run)
        gc.collect()
    texts = [str(w.message) for w in seen if issubclass(w.category, ResourceWarning)]
    assert any(text.startswith("unclosed transport") for text in texts), texts


def leak(run: Run) -> None:
    """Leave a transport behind, unclosed, in a loop that is closed."""
    left, right = socket.socketpair()
    left.setblocking(False)

    async def main() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=left)

    run(main)
    right.close()


@both_kinds
def test_the_protocol_is_let_go_after_the_connection_is_lost(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            transport.abort()
            await until(lambda p=protocol: p.lost)
            alive = weakref.ref(protocol)
            protocol.transport = None
        del protocol
        await turns(3)
        gc.collect()
        assert alive() is None
        assert transport.is_closing()

    run(main)


@both_kinds
def test_the_transport_is_let_go_after_the_connection_is_lost(run: Run, kind: str) -> None:
    async def main() -> None:
        async with connected(kind, Recorder) as (transport, protocol, _):
            transport.write(b"x")
            transport.close()
            await until(lambda: protocol.lost)
            alive = weakref.ref(transport)
            protocol.transport = None
        del transport
        await turns(3)
        gc.collect()
        assert alive() is None

    run(main)


def test_the_repr_tells_the_state(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", Recorder) as (transport, protocol, _):
            fd = transport.get_extra_info("socket").fileno()
            assert f"fd={fd}" in repr(transport)
            assert "closing" not in repr(transport)
            transport.close()
            assert "closing" in repr(transport)
            await until(lambda: protocol.lost)
            assert "closed" in repr(transport)

    run(main)


def state(transport: Any) -> str:
    """What `repr()` tells beside the class and the number."""
    told = repr(transport).partition(" ")[2]
    return told.replace(f"fd={transport._sock_fd}", "fd=N").rstrip(">")


IDLE = "write=<idle, bufsize=0"


@both_kinds
def test_the_repr_tells_what_is_waited_for_to_the_end(run: Run, kind: str) -> None:
    class Told(Recorder):
        lost_as = ""

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost_as = state(self.transport)
            super().connection_lost(exc)

    async def main() -> None:
        async with connected(kind, Told) as (transport, protocol, peer):
            number = transport.get_extra_info("socket").fileno()
            await turns(2)
            assert state(transport) == f"fd=N read=polling {IDLE}"
            transport.pause_reading()
            assert state(transport) == f"fd=N read=idle {IDLE}"
            transport.resume_reading()
            transport.write(b"x" * 8_000_000)
            waiting = transport.get_write_buffer_size()
            assert state(transport) == f"fd=N read=polling write=<polling, bufsize={waiting}"
            transport.close()
            assert state(transport) == f"closing fd=N read=idle write=<polling, bufsize={waiting}"
            transport.abort()
            assert state(transport) == f"closing fd=N read=idle {IDLE}"
            await until(lambda: protocol.lost)
            assert protocol.lost_as == f"closing fd=N read=idle {IDLE}"
            assert state(transport) == "closed fd=N"
            assert transport._sock_fd == number
            peer.close()

    run(main)


def test_the_repr_after_the_end_of_what_came_in(run: Run) -> None:
    async def main() -> None:
        async with connected("tcp", lambda: Recorder(True)) as (transport, protocol, peer):
            peer.shutdown(socket.SHUT_WR)
            await until(lambda: "eof_received" in protocol.events)
            await turns(2)
            assert state(transport) == f"fd=N read=idle {IDLE}"

    run(main)


def test_the_repr_when_the_loop_is_closed(loop: asyncio.AbstractEventLoop) -> None:
    async def main() -> Any:
        near, peer = raw_pair("tcp")
        transport, _ = await loop.create_connection(Recorder, sock=near)
        return transport, peer

    transport, peer = loop.run_until_complete(main())
    loop.close()
    peer.close()
    assert state(transport) == "fd=N"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del transport
        gc.collect()


def test_many_connections_come_and_go(run: Run) -> None:
    async def main() -> None:
        for _ in range(20):
            for kind in ("tcp", "unix"):
                async with connected(kind, Recorder) as (transport, protocol, peer):
                    peer.send(b"in")
                    transport.write(b"out")
                    assert await receive(peer, 3) == b"out"
                    await until(lambda p=protocol: p.data == b"in")

    run(main)
