"""aiohttp: the tasks that it builds by itself, cancelled by timeouts and by clients that leave."""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession, ClientTimeout, web
from report import note, say

cancelled: list[str] = []


async def answer(request: web.Request) -> web.Response:
    note("handler")
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task in asyncio.all_tasks()
    return web.Response(text=request.path)


async def hang(request: web.Request) -> web.Response:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.append(request.path)
        raise
    raise AssertionError


async def main() -> None:
    app = web.Application()
    app.router.add_get("/answer", answer)
    app.router.add_get("/hang", hang)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with ClientSession() as session:

        async def ask() -> None:
            note("client")
            async with session.get(f"{base}/answer") as response:
                assert await response.text() == "/answer"

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(ask())

        try:
            await session.get(f"{base}/hang", timeout=ClientTimeout(total=0.05))
        except TimeoutError:
            pass
        else:
            raise AssertionError
        request = asyncio.create_task(session.get(f"{base}/hang"))
        await asyncio.sleep(0.05)
        request.cancel("no longer wanted")
        try:
            await request
        except asyncio.CancelledError as error:
            assert error.args == ("no longer wanted",)
        async with asyncio.timeout(30):
            while len(cancelled) < 2:
                await asyncio.sleep(0.005)
    await runner.cleanup()
    assert cancelled == ["/hang", "/hang"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


if __name__ == "__main__":
    asyncio.run(main())
    say()
