"""`import batuta as asyncio` to a type checker: read by `make lint`, never run.

Every name has the type that asyncio's has, so annotations and results fit together.
"""

from typing import assert_type

import batuta as asyncio


async def work(event: asyncio.Event, queue: asyncio.Queue[int]) -> int:
    async with asyncio.timeout(1):
        await event.wait()
    async with asyncio.Lock(), asyncio.TaskGroup() as group:
        task: asyncio.Task[int] = group.create_task(answer())
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(1)
    assert_type(await asyncio.gather(future, asyncio.sleep(0, "text")), tuple[int, str])
    try:
        queue.get_nowait()
    except asyncio.QueueEmpty:
        pass
    child = await asyncio.create_subprocess_exec("true", stdout=asyncio.subprocess.PIPE)
    await child.wait()
    return await asyncio.wait_for(task, 1)


async def answer() -> int:
    return 42


async def main() -> int:
    task: asyncio.Task[int] = asyncio.create_task(work(asyncio.Event(), asyncio.Queue()))
    loop: asyncio.AbstractEventLoop = asyncio.get_event_loop()
    assert isinstance(loop, asyncio.EventLoop)
    return await task


def program() -> None:
    assert_type(asyncio.run(main(), accelerate=True), int)
    with asyncio.Runner() as runner:
        assert_type(runner.run(main()), int)
    assert_type(asyncio.new_event_loop(), asyncio.EventLoop)
    asyncio.install(accelerate=True)
    asyncio.uninstall()
    asyncio.nonsense  # type: ignore[attr-defined]  # noqa: B018
