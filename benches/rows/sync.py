"""Scheduling rows of what tasks share: events, queues, locks."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop

from benches.rows.row import SchedulingRow


async def event_ping_pong(loop: AbstractEventLoop, count: int) -> int:
    """Two tasks wake each other by turns; an operation is one of them woken."""
    ping, pong = asyncio.Event(), asyncio.Event()

    async def player(own: asyncio.Event, other: asyncio.Event) -> int:
        woken = 0
        for _ in range(count // 2):
            await own.wait()
            own.clear()
            woken += 1
            other.set()
        return woken

    first = loop.create_task(player(ping, pong))
    second = loop.create_task(player(pong, ping))
    ping.set()
    return await first + await second


async def queue_full(loop: AbstractEventLoop, count: int) -> int:
    """One producer, one consumer, room for one item: both must wait for each other."""
    queue: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for number in range(count):
            await queue.put(number)

    producer = loop.create_task(produce())
    received = 0
    for number in range(count):
        received += await queue.get() == number
    await producer
    return received


async def queue_ready(loop: AbstractEventLoop, count: int) -> int:
    """put and get of one task, which never has to wait."""
    queue: asyncio.Queue[int] = asyncio.Queue()
    received = 0
    for number in range(count):
        await queue.put(number)
        received += await queue.get() == number
    return received


async def lock(loop: AbstractEventLoop, count: int) -> int:
    held = 0
    free = asyncio.Lock()
    for _ in range(count):
        async with free:
            held += 1
    return -1 if free.locked() else held


ROWS = (
    SchedulingRow(
        "event_ping_pong", "a task woken by another's `Event.set`", event_ping_pong, 20_000, 2
    ),
    SchedulingRow("queue_full", "`put` and `get` of a `Queue(1)`, both wait", queue_full, 15_000),
    SchedulingRow("queue_ready", "`put` and `get` of a `Queue`, no wait", queue_ready, 50_000),
    SchedulingRow("lock", "`async with` a free `Lock`", lock, 100_000),
)
