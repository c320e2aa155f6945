"""An echo server and a client, written with protocol callbacks.

The layer under the streams: a transport owns the socket and the buffers, a
protocol is an object whose methods the loop calls. No coroutine and no task
per connection, so this is the fastest way, and the one where you keep the
state yourself. Compare with echo_streams.py.

What to look at: the order of the callbacks on both sides. data_received() may
get any piece of the stream, not one message per call: the client therefore
collects until it has all it waits for. connection_lost() comes exactly once,
with None after a close in good order.

It prints:

    client
      connection_made
      received everything: True
      closes its side with write_eof
      eof_received
      connection_lost(None)
    server
      connection_made
      data_received
      eof_received
      connection_lost(None)
    echoed 300000 bytes
"""

import asyncio

MESSAGE = b"batons and bytes" * 18_750


class EchoServer(asyncio.Protocol):
    """One object per connection; the factory given to create_server makes it."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.echoed = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.log.append("connection_made")

    def data_received(self, data: bytes) -> None:
        if not self.echoed:  # noted once: how many pieces there are is up to the network
            self.log.append("data_received")
        self.echoed += len(data)
        assert self.transport is not None
        # write() never waits: what cannot be sent yet is kept in the transport.
        self.transport.write(data)

    def pause_writing(self) -> None:
        # The client reads slower than we write: stop reading until it caught up.
        assert self.transport is not None
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        assert self.transport is not None
        self.transport.resume_reading()

    def eof_received(self) -> bool | None:
        self.log.append("eof_received")
        # Returning None (or False) lets the transport send what is left and close.
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.log.append(f"connection_lost({exc})")


class EchoClient(asyncio.Protocol):
    def __init__(self, log: list[str], closed: asyncio.Future[bytes]) -> None:
        self.log = log
        self.closed = closed
        self.received = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.log.append("connection_made")
        self.transport = transport
        transport.write(MESSAGE)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if len(self.received) < len(MESSAGE):
            return
        self.log.append(f"received everything: {self.received == MESSAGE}")
        self.log.append("closes its side with write_eof")
        assert self.transport is not None
        self.transport.write_eof()

    def eof_received(self) -> bool | None:
        self.log.append("eof_received")
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.log.append(f"connection_lost({exc})")
        # The bridge from callbacks to coroutines: a future set by hand.
        if not self.closed.done():
            self.closed.set_result(bytes(self.received))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server_log: list[str] = []
    client_log: list[str] = []
    server = await loop.create_server(lambda: EchoServer(server_log), "127.0.0.1", 0)
    closed: asyncio.Future[bytes] = loop.create_future()
    async with server:
        port = server.sockets[0].getsockname()[1]
        await loop.create_connection(lambda: EchoClient(client_log, closed), "127.0.0.1", port)
        received = await closed
        # The two ends close independently: let the server's last callback come too.
        while not server_log[-1].startswith("connection_lost"):
            await asyncio.sleep(0.001)
    for side, log in (("client", client_log), ("server", server_log)):
        print(side)
        for line in log:
            print(f"  {line}")
    print(f"echoed {len(received)} bytes")


if __name__ == "__main__":
    asyncio.run(main())
