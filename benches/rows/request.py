"""The row of a web request: what a service does for each one, without its I/O.

Requests arrive in bursts, each in a task of a `TaskGroup`. A request waits for the service to be
ready (`Event`) and for a slot (`Semaphore`) and has a time limit (`timeout`). It asks the session
store and the database at once (`gather`); the database is a worker behind a bounded `Queue`, which
answers through a future set by `call_soon`. It reads a cache (`wait_for`), writes the log (`Lock`),
and watches meanwhile for the client to go away: a task that is cancelled at the end.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop

from benches.rows.row import SchedulingRow

BURST = 50
SLOTS = 20
WORKERS = 2
LIMIT = 30.0


class Service:
    """One service; `served` counts the requests that went all the way."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        self.slots = asyncio.Semaphore(SLOTS)
        self.ready = asyncio.Event()
        self.log = asyncio.Lock()
        self.queries: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue(SLOTS // 2)
        self.served = 0

    async def work(self) -> None:
        """The database: answers in the next turn, in the order of the questions."""
        while True:
            key, answer = await self.queries.get()
            self.loop.call_soon(answer.set_result, key * 2)
            self.queries.task_done()

    async def query(self, key: int) -> int:
        answer: asyncio.Future[int] = self.loop.create_future()
        await self.queries.put((key, answer))
        return await answer

    async def session(self, key: int) -> int:
        await asyncio.sleep(0)
        return key + 1

    async def cached(self, key: int) -> int:
        await asyncio.sleep(0)
        return key - 1

    async def request(self, key: int) -> None:
        await self.ready.wait()
        async with self.slots:
            gone = asyncio.Event()
            watch = self.loop.create_task(gone.wait())
            async with asyncio.timeout(LIMIT):
                session, row = await asyncio.gather(self.session(key), self.query(key))
                page = await asyncio.wait_for(self.cached(key), LIMIT)
            watch.cancel()
            try:
                await watch
            except asyncio.CancelledError:
                pass
            async with self.log:
                self.served += (session, row, page) == (key + 1, key * 2, key - 1)


async def web_request(loop: AbstractEventLoop, count: int) -> int:
    service = Service(loop)
    workers = [loop.create_task(service.work()) for _ in range(WORKERS)]
    loop.call_soon(service.ready.set)
    for first in range(0, count, BURST):
        async with asyncio.TaskGroup() as requests:
            for key in range(first, first + BURST):
                requests.create_task(service.request(key))
    await service.queries.join()
    for worker in workers:
        worker.cancel()
    ends = await asyncio.gather(*workers, return_exceptions=True)
    if not all(isinstance(end, asyncio.CancelledError) for end in ends):
        return -1
    return service.served


ROWS = (
    SchedulingRow(
        "web_request", "a web request of all of these, no I/O", web_request, 2_000, BURST
    ),
)
