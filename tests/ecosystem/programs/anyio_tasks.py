"""anyio: task groups, cancel scopes, and what it can say of the tasks that run."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskStatus
from report import KINDS, note, say

ended: list[str] = []


async def hang(name: str) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        ended.append(name)


async def serve(*, task_status: TaskStatus[int]) -> None:
    note("start()")
    task_status.started(42)
    await hang("served")


async def start_and_cancel() -> None:
    async with anyio.create_task_group() as group:
        assert await group.start(serve) == 42
        for name in ("a", "b"):
            group.start_soon(hang, name, name=name)
        await anyio.wait_all_tasks_blocked()
        infos = {info.name: info for info in anyio.get_running_tasks()}
        assert {"a", "b"} <= set(infos)
        current = anyio.get_current_task()
        assert current.id == id(asyncio.current_task())
        assert infos["a"].parent_id == current.id
        assert infos["a"].coro is not None
        assert not infos["a"].has_pending_cancellation()
        assert {task.get_name() for task in asyncio.all_tasks()} >= {"a", "b"}
        for task in asyncio.all_tasks():
            note("task group" if task.get_name() in ("a", "b") else "others", task)
        group.cancel_scope.cancel()
    assert sorted(ended) == ["a", "b", "served"]


async def cancel_scopes() -> None:
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep_forever()
    assert scope.cancelled_caught
    with contextlib.suppress(TimeoutError), anyio.fail_after(0.01):
        await hang("too late")
        raise AssertionError
    assert ended.pop() == "too late"

    # A scope inside a shielded one goes on until its own end.
    with anyio.CancelScope() as outer:
        outer.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.01)
            ended.append("shielded")
        await anyio.lowlevel.checkpoint()
        raise AssertionError
    assert ended.pop() == "shielded"
    assert outer.cancelled_caught
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0

    # Cancelled before its first step, it runs up to where it would wait.
    async with anyio.create_task_group() as group:
        group.start_soon(hang, "at once")
        group.cancel_scope.cancel()
    assert ended.pop() == "at once"


async def errors() -> None:
    async def fail() -> None:
        raise ValueError("one")

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(hang, "beside")
            group.start_soon(fail)
    except BaseExceptionGroup as found:
        assert [str(error) for error in found.exceptions] == ["one"]
    else:
        raise AssertionError
    assert ended[-1] == "beside"


async def synchronisation() -> None:
    send, receive = anyio.create_memory_object_stream[int](0)
    event, lock, limiter = anyio.Event(), anyio.Lock(), anyio.CapacityLimiter(1)
    got: list[int] = []

    async def consume() -> None:
        async with receive:
            async for item in receive:
                async with lock, limiter:
                    got.append(item)
        event.set()

    async with anyio.create_task_group() as group:
        group.start_soon(consume)
        async with send:
            for number in range(20):
                await send.send(number)
        await event.wait()
    assert got == list(range(20))


async def threads() -> None:
    def work() -> Any:
        return anyio.from_thread.run(anyio.sleep, 0), anyio.from_thread.run_sync(ended.clear)

    with anyio.fail_after(30):
        await anyio.to_thread.run_sync(work)
    assert ended == []


async def main() -> None:
    await start_and_cancel()
    await cancel_scopes()
    await errors()
    await synchronisation()
    await threads()


if __name__ == "__main__":
    anyio.run(main)
    assert "task group" in KINDS
    say()
