"""HTTP: aiohttp as client and server, httpx, and tornado."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from loops import Run

PAYLOAD = b"payload " * 50_000


@pytest.mark.needs("aiohttp", "trustme")
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_aiohttp_client_and_server(run: Run, secure: bool) -> None:
    import trustme
    from aiohttp import ClientSession, WSMsgType, web

    server_tls = client_tls = None
    if secure:
        authority = trustme.CA()
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(server_tls)
        client_tls = ssl.create_default_context()
        authority.configure_trust(client_tls)

    async def upper(request: web.Request) -> web.Response:
        body = await request.read()
        return web.Response(body=body.upper(), headers={"X-Path": request.path})

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(100):
            await response.write(b"%03d," % number)
        await response.write_eof()
        return response

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            assert message.type is WSMsgType.TEXT
            await socket.send_str(message.data[::-1])
        return socket

    async def main() -> None:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_post("/upper", upper)
        app.router.add_get("/stream", stream)
        app.router.add_get("/talk", talk)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_tls)
        await site.start()
        port = runner.addresses[0][1]
        base = f"https://localhost:{port}" if secure else f"http://127.0.0.1:{port}"
        async with ClientSession() as session:

            async def post(number: int) -> None:
                data = PAYLOAD if number == 0 else b"text %d" % number
                async with session.post(f"{base}/upper", data=data, ssl=client_tls or True) as got:
                    assert got.status == 200
                    assert got.headers["X-Path"] == "/upper"
                    assert await got.read() == data.upper()

            await asyncio.gather(*map(post, range(20)))
            async with session.get(f"{base}/stream", ssl=client_tls or True) as got:
                assert await got.text() == "".join(f"{n:03d}," for n in range(100))
            async with session.ws_connect(f"{base}/talk", ssl=client_tls or True) as socket:
                for word in ("hello", "world"):
                    await socket.send_str(word)
                    assert await socket.receive_str() == word[::-1]
        await runner.cleanup()

    run(main)


@pytest.mark.needs("httpx", "aiohttp")
def test_httpx(run: Run) -> None:
    import httpx
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"path": request.path, "body": (await request.read()).decode()})

    async def main() -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with httpx.AsyncClient(trust_env=False) as client:
            got = await client.get(f"{base}/one")
            assert (got.status_code, got.json()) == (200, {"path": "/one", "body": ""})
            posts = [client.post(f"{base}/{n}", content=f"body {n}") for n in range(10)]
            for number, response in enumerate(await asyncio.gather(*posts)):
                assert response.json() == {"path": f"/{number}", "body": f"body {number}"}
            with pytest.raises(httpx.ReadTimeout):
                await stalled(client)
        await runner.cleanup()

    async def stalled(client: httpx.AsyncClient) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            try:
                await client.get(f"http://127.0.0.1:{port}/", timeout=0.05)
            finally:
                await asyncio.sleep(0.01)

    run(main)


@pytest.mark.needs("tornado")
def test_tornado(run: Run) -> None:
    from tornado.httpclient import AsyncHTTPClient
    from tornado.httpserver import HTTPServer
    from tornado.testing import bind_unused_port
    from tornado.web import Application, RequestHandler

    class Reverse(RequestHandler):
        async def post(self) -> None:
            await asyncio.sleep(0.001)
            self.write(self.request.body[::-1])

    async def main() -> list[Any]:
        server = HTTPServer(Application([("/", Reverse)]))
        listener, port = bind_unused_port(address="127.0.0.1")
        server.add_socket(listener)
        client = AsyncHTTPClient(force_instance=True)
        words = [b"abc", b"x" * 10_000, b"last"]
        urls = [(f"http://127.0.0.1:{port}/", word) for word in words]
        got = [await client.fetch(url, method="POST", body=word) for url, word in urls]
        client.close()
        server.stop()
        await server.close_all_connections()
        return [response.body == word[::-1] for response, word in zip(got, words, strict=True)]

    assert run(main) == [True, True, True]
