"""Odd things in the place of a descriptor or a handle: what is refused, and what must still work.

A number that is no descriptor, an object whose fileno() raises, a socket that somebody else made
blocking, a device that cannot be waited for, a handle that was marked as cancelled by hand.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from contract.support import Recorder, until
from loops import Child, Run

METHODS = ["add_reader", "add_writer", "remove_reader", "remove_writer"]


@pytest.mark.parametrize("method", ["add_reader", "add_writer"])
def test_a_huge_number_that_is_not_open_is_refused_without_taking_memory(
    child: Child, method: str
) -> None:
    """The address space is limited, so that a table as large as the number would be fatal."""
    out = child.check(f"""
        import resource
        loop = new_event_loop()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, hard))
        for number in (2_000_000_000, 2**31 - 1):
            try:
                loop.{method}(number, print)
            except OSError as error:
                print(error)
        print(loop.remove_reader(2_000_000_000), loop.remove_writer(2_000_000_000))
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
    """)
    assert out == "[Errno 9] Bad file descriptor\n" * 2 + "False False\n"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, OSError, LookupError])
def test_an_exception_in_fileno_comes_out_as_it_is(
    loop: asyncio.AbstractEventLoop, method: str, error: type[BaseException]
) -> None:
    class Odd:
        def fileno(self) -> int:
            raise error("in fileno")

    arguments = (print,) if method.startswith("add") else ()
    with pytest.raises(error, match="in fileno"):
        getattr(loop, method)(Odd(), *arguments)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [AttributeError, TypeError, ValueError])
def test_an_exception_in_fileno_that_says_unsuitable_is_a_value_error(
    loop: asyncio.AbstractEventLoop, method: str, error: type[Exception]
) -> None:
    class Odd:
        def fileno(self) -> int:
            raise error("in fileno")

    arguments = (print,) if method.startswith("add") else ()
    with pytest.raises(ValueError, match="Invalid file object"):
        getattr(loop, method)(Odd(), *arguments)


@pytest.mark.parametrize("protocol", ["Protocol", "BufferedProtocol"])
def test_a_transport_does_not_wait_in_a_read_when_others_make_its_socket_blocking(
    child: Child, protocol: str
) -> None:
    """O_NONBLOCK belongs to the open file, which duplicates of the descriptor share.

    The data fill the buffer to the last byte, so that only another read would tell that there is
    nothing more.
    """
    out = child.check(f"""
        import asyncio, os, socket
        got = bytearray()
        class Reader(asyncio.{protocol}):
            buffer = bytearray(4)
            def data_received(self, data):
                got.extend(data)
            def get_buffer(self, hint):
                return self.buffer
            def buffer_updated(self, count):
                got.extend(self.buffer[:count])
        async def main():
            loop = asyncio.get_running_loop()
            near, peer = socket.socketpair()
            near.setblocking(False)
            shared = os.dup(near.fileno())
            transport, _ = await loop.create_connection(Reader, sock=near)
            os.set_blocking(shared, True)
            for number in range(1, 4):
                peer.send(b"1234")
                while len(got) < 4 * number:
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.02)
            transport.abort()
            os.close(shared)
            peer.close()
            await asyncio.sleep(0.01)
        run(main())
        print(got.decode())
    """)
    assert out == "1234" * 3 + "\n"


@pytest.mark.parametrize("pieces", [200, 3000])
def test_a_device_that_cannot_be_waited_for_takes_any_number_of_lines(
    run: Run, pieces: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        device = open("/dev/null", "wb", buffering=0)
        transport, protocol = await loop.connect_write_pipe(Recorder, device)
        for _ in range(2):
            transport.writelines([b"x" * 20_000] * pieces)
            assert transport.get_write_buffer_size() == 0
        assert not transport.is_closing()
        transport.close()
        await until(lambda: protocol.lost)
        assert protocol.events == ["connection_made", "connection_lost"]
        assert protocol.reason is None
        assert device.closed

    run(main)


@pytest.mark.parametrize("timer", [False, True], ids=["call_soon", "call_later"])
def test_a_handle_marked_as_cancelled_by_hand_does_not_run(run: Run, timer: bool) -> None:
    """Subclasses of the loop and tools for tests set `_cancelled` themselves."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ran: list[str] = []
        handles: list[asyncio.Handle] = []
        for name in ("marked", "other"):
            handles.append(
                loop.call_later(0.001, ran.append, name)
                if timer
                else loop.call_soon(ran.append, name)
            )
        handles[0]._cancelled = True
        await until(lambda: "other" in ran)
        assert ran == ["other"]
        assert [handle.cancelled() for handle in handles] == [True, False]

    run(main)


@pytest.mark.parametrize("kind", [socket.SOCK_SEQPACKET, socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_transport_made_for_a_socket_of_packets(run: Run, kind: int) -> None:
    """By asyncio's private way, as libraries for Bluetooth take it."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        near, far = socket.socketpair(type=kind)
        near.setblocking(False)
        with far:
            for packet in (b"1", b"22", b"333"):
                far.send(packet)
            transport, protocol = await loop._create_connection_transport(
                near, Recorder, None, None
            )
            await until(lambda: protocol.data == b"122333")
            if kind != socket.SOCK_STREAM:
                assert protocol.chunks == [b"1", b"22", b"333"]
            far.send(b"4444")
            await until(lambda: protocol.data.endswith(b"4444"))
            transport.write(b"back")
            await until(lambda: not transport.get_write_buffer_size())
            assert far.recv(10) == b"back"
            transport.abort()
            await until(lambda: protocol.lost)

    run(main)
