"""An echo server and its clients, written with streams.

Streams read like files with an await in front: the server is one coroutine per
connection, and the state of a connection is simply where its coroutine stands.
Compare with echo_protocol.py, which does the same with callbacks.

What to look at: readline() returns b"" at the end of the stream; drain() after
write() makes a fast writer wait for a slow reader; write_eof() closes one
direction only, so that a client can say "that was all" and still read answers.
Each client's conversation is printed as one block, in the order of the clients.

It prints:

    Ada
      'hello' -> 'hello'
      'how are you?' -> 'how are you?'
      answers: 2, then the end of the stream
    Grace
      'one line' -> 'one line'
      answers: 1, then the end of the stream
    Linus
      '200000 bytes' -> 200000 equal bytes
      answers: 1, then the end of the stream
    the server has seen 3 connections and echoed 4 lines
"""

import asyncio

LINES = {
    "Ada": ["hello", "how are you?"],
    "Grace": ["one line"],
    # Longer than the buffers on the way: write() alone cannot send it at once.
    "Linus": ["L" * 200_000],
}
LIMIT = 2**20  # the longest line that readline() accepts; 64 KiB if not given


class EchoServer:
    def __init__(self) -> None:
        self.connections = 0
        self.lines = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client. start_server runs this as a task per connection."""
        self.connections += 1
        try:
            while line := await reader.readline():
                self.lines += 1
                writer.write(line)
                await writer.drain()
        finally:
            writer.close()
            await writer.wait_closed()


async def client(name: str, port: int) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=LIMIT)
    report = [name]
    answers = 0
    for line in LINES[name]:
        writer.write(line.encode() + b"\n")
        await writer.drain()
        answer = (await reader.readline()).decode().rstrip("\n")
        answers += 1
        if len(line) < 100:
            report.append(f"  {line!r} -> {answer!r}")
        else:
            equal = "equal" if answer == line else "different"
            report.append(f"  '{len(line)} bytes' -> {len(answer)} {equal} bytes")
    # Half-close: the server reads the end of the stream and closes its side too.
    writer.write_eof()
    rest = await reader.read()
    assert rest == b"", "nothing may follow the last answer"
    report.append(f"  answers: {answers}, then the end of the stream")
    writer.close()
    await writer.wait_closed()
    return report


async def main() -> None:
    echo = EchoServer()
    # Port 0: the system chooses a free one.
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0, limit=LIMIT)
    async with server:
        port = server.sockets[0].getsockname()[1]
        # The clients talk at the same time; gather keeps their reports in order.
        for report in await asyncio.gather(*(client(name, port) for name in LINES)):
            print("\n".join(report))
    print(f"the server has seen {echo.connections} connections and echoed {echo.lines} lines")


if __name__ == "__main__":
    asyncio.run(main())
