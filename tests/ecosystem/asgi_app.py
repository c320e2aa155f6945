"""The Starlette application that test_uvicorn serves; it says on which loop it runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


async def echo(request: Request) -> JSONResponse:
    body = await request.body()
    await asyncio.sleep(0.001)
    loop = type(asyncio.get_running_loop())
    return JSONResponse({"length": len(body), "loop": f"{loop.__module__}.{loop.__qualname__}"})


async def stream(request: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(int(request.query_params["count"])):
            yield b"%d\n" % number
            await asyncio.sleep(0)

    return StreamingResponse(pieces())


app = Starlette(routes=[Route("/echo", echo, methods=["POST"]), Route("/stream", stream)])
