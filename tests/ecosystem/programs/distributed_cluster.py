"""dask.distributed: a scheduler and two workers in this process, futures, cancellation."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import dask
from distributed import Client, Event, LocalCluster, as_completed, get_worker
from report import note, say

QUIET: dict[str, Any] = {"distributed.admin.system-monitor.gil.enabled": False}


def square(number: int) -> int:
    time.sleep(0.001)
    return number * number


async def on_the_loop(number: int) -> int:
    note("worker")
    await asyncio.sleep(0.001)
    get_worker()
    return number + 1


def wait_for(name: str) -> bool:
    return bool(Event(name).wait(timeout=30))


async def main() -> None:
    note("main")
    async with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            asynchronous=True,
            dashboard_address=None,
            host="127.0.0.1",
        ) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):
        async with asyncio.timeout(40):
            for task in asyncio.all_tasks():
                note("cluster", task)
            squares = client.map(square, range(30))
            assert await client.gather(squares) == [number * number for number in range(30)]
            assert await client.submit(sum, squares) == sum(n * n for n in range(30))
            assert await client.submit(on_the_loop, 1) == 2
            failing = client.submit(lambda: 1 // 0)
            assert isinstance(await failing.exception(), ZeroDivisionError)
            blocked = client.submit(wait_for, "go")
            later = client.submit(square, blocked)
            await asyncio.sleep(0.02)
            await later.cancel()
            assert later.cancelled()
            await Event("go").set()
            assert await blocked is True
            async for future in as_completed(client.map(square, [1, 2], pure=False)):
                assert future.status == "finished"


if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # one task fails on purpose
    with dask.config.set(QUIET):
        asyncio.run(main())
    say()
