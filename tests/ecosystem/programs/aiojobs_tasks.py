"""aiojobs: background jobs with a limit, timeouts, closing and a handler of errors."""

from __future__ import annotations

import asyncio
from typing import Any

import aiojobs
from report import note, say


async def main() -> None:
    reports: list[dict[str, Any]] = []
    running, most = 0, 0
    ended: list[int] = []

    async def work(number: int) -> int:
        nonlocal running, most
        note("job")
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(0.001)
        finally:
            running -= 1
            ended.append(number)
        return number

    async def hang() -> None:
        await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError("lost")

    def handler(_: aiojobs.Scheduler, context: dict[str, Any]) -> None:
        reports.append(context)

    scheduler = aiojobs.Scheduler(limit=3, exception_handler=handler, close_timeout=1)
    try:
        jobs = [await scheduler.spawn(work(number), name=f"job {number}") for number in range(10)]
        assert scheduler.pending_count == 7
        assert {task.get_name() for task in asyncio.all_tasks()} >= {"job 0", "job 1", "job 2"}
        assert await jobs[9].wait(timeout=30) == 9
        assert sorted(ended) == list(range(10))
        assert most == 3

        hanging = await scheduler.spawn(hang())
        try:
            await hanging.wait(timeout=0.01)
        except TimeoutError:
            pass
        else:
            raise AssertionError
        assert hanging.closed
        await scheduler.spawn(fail())
        await asyncio.sleep(0.01)
        assert [type(report["exception"]) for report in reports] == [ValueError]
        assert await scheduler.shield(work(11)) == 11
        left = await scheduler.spawn(hang())
    finally:
        await scheduler.close()
    assert left.closed
    assert asyncio.all_tasks() == {asyncio.current_task()}


if __name__ == "__main__":
    asyncio.run(main())
    say()
