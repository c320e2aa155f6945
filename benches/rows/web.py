"""Servers of the ecosystem, set up as their documentation says, on a listener that is there.

The packages are imported when a server starts: they are not there for every row.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any


async def uvicorn_server(listener: socket.socket, size: int) -> Any:
    import uvicorn

    body = b"x" * size
    head = {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % size),
        ],
    }
    rest = {"type": "http.response.body", "body": body}

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await send(head)
        await send(rest)

    config = uvicorn.Config(
        application,
        http="httptools",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    server = uvicorn.Server(config)
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    while not server.started:
        if serving.done():
            serving.result()
        await asyncio.sleep(0.01)
    return listener, serving


async def aiohttp_server(listener: socket.socket, size: int) -> Any:
    from aiohttp import web

    body = b"x" * size

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="text/plain")

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return listener, runner


async def websockets_server(listener: socket.socket) -> Any:
    from websockets.asyncio.server import ServerConnection, serve

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    # Without compression, which would be measured instead; pings are for idle connections.
    server = await serve(echo, sock=listener, compression=None, max_size=None)
    return listener, server
