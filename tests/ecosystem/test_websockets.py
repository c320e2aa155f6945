"""websockets: client and server, text and binary, ping, close codes."""

from __future__ import annotations

import asyncio

import pytest

from loops import Run


@pytest.mark.needs("websockets")
def test_a_conversation_between_client_and_server(run: Run) -> None:
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            if message == "bye":
                await connection.close(4000, "asked to")
                return
            await connection.send(message * 2)

    async def client(uri: str, number: int) -> None:
        async with connect(uri, proxy=None) as connection:
            for message in (f"text {number}", b"binary %d" % number, "x" * 200_000):
                await connection.send(message)
                assert await connection.recv() == message * 2
            pong = await connection.ping()
            assert await asyncio.wait_for(pong, 10) >= 0
            await connection.send("bye")
            with pytest.raises((ConnectionClosedError, ConnectionClosedOK)) as caught:
                await connection.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4000, "asked to")

    async def main() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await asyncio.gather(*[client(f"ws://127.0.0.1:{port}", n) for n in range(10)])

    run(main)


@pytest.mark.needs("websockets")
def test_a_client_that_goes_away_without_a_word(run: Run) -> None:
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosedError

    async def main() -> None:
        ended = asyncio.get_running_loop().create_future()

        async def handler(connection: ServerConnection) -> None:
            try:
                await connection.recv()
            except ConnectionClosedError as error:
                ended.set_result(error.rcvd)

        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            connection = await connect(f"ws://127.0.0.1:{port}", proxy=None)
            connection.transport.abort()
            assert await asyncio.wait_for(ended, 10) is None
            await connection.wait_closed()

    run(main)
