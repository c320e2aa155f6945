"""Client rows: a client on the loop under test, against a server in another process.

`peer` is where that server listens, as `benches.peers` says it. The packages of the ecosystem are
imported when a row runs.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from typing import Any

from benches.rows.row import ClientRow, Tier

AT_A_TIME = 10
PIPELINE = 100


async def _shared_out(count: int, work: Any) -> int:
    """`count` calls of `work`, by so many tasks at a time; how many came back."""
    left = count
    done = 0

    async def worker() -> None:
        nonlocal left, done
        while left > 0:
            left -= 1
            await work()
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())
    return done


async def connect(loop: AbstractEventLoop, count: int, peer: dict[str, Any]) -> int:
    """A connection opened, 64 B there and back, closed."""
    request = b"c" * 64

    class Once(asyncio.Protocol):
        def __init__(self) -> None:
            self.closed = loop.create_future()
            self.received = b""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            transport.write(request)  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            self.received += data
            if len(self.received) == len(request):
                self.transport.close()

        def connection_lost(self, error: Exception | None) -> None:
            self.closed.set_result(self.received == request)

    async def one() -> None:
        _, once = await loop.create_connection(Once, peer["host"], peer["port"])
        if not await once.closed:
            raise RuntimeError("other bytes came back")

    return await _shared_out(count, one)


async def open_connection(loop: AbstractEventLoop, count: int, peer: dict[str, Any]) -> int:
    """The same with streams."""
    request = b"c" * 64

    async def one() -> None:
        reader, writer = await asyncio.open_connection(peer["host"], peer["port"])
        writer.write(request)
        if await reader.readexactly(len(request)) != request:
            raise RuntimeError("other bytes came back")
        writer.close()
        await writer.wait_closed()

    return await _shared_out(count, one)


async def aiohttp_client(loop: AbstractEventLoop, count: int, peer: dict[str, Any]) -> int:
    import aiohttp

    url = f"http://{peer['host']}:{peer['port']}/"
    connector = aiohttp.TCPConnector(limit=AT_A_TIME)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one() -> None:
            async with session.get(url) as response:
                body = await response.read()
                if response.status != 200 or len(body) != peer["size"]:
                    raise RuntimeError(f"{response.status} with {len(body)} bytes")

        return await _shared_out(count, one)


async def redis_pipeline(loop: AbstractEventLoop, count: int, peer: dict[str, Any]) -> int:
    import redis.asyncio as redis

    client = redis.Redis(host=peer["host"], port=peer["port"])
    done = 0
    try:
        await client.set("key", b"v" * 64)
        while done < count:
            pipeline = client.pipeline(transaction=False)
            for _ in range(PIPELINE):
                pipeline.get("key")
            for value in await pipeline.execute():
                if value != b"v" * 64:
                    raise RuntimeError(f"redis answered {value!r}")
                done += 1
    finally:
        await client.aclose()
    return done


async def redis_get(loop: AbstractEventLoop, count: int, peer: dict[str, Any]) -> int:
    import redis.asyncio as redis

    client = redis.Redis(host=peer["host"], port=peer["port"], max_connections=2 * AT_A_TIME)
    try:
        await client.set("key", b"v" * 64)

        async def one() -> None:
            if (value := await client.get("key")) != b"v" * 64:
                raise RuntimeError(f"redis answered {value!r}")

        return await _shared_out(count, one)
    finally:
        await client.aclose()


async def asyncpg_select(loop: AbstractEventLoop, count: int, peer: dict[str, Any]) -> int:
    import asyncpg

    async with asyncpg.create_pool(
        host=peer["folder"],
        user=peer["user"],
        database="postgres",
        min_size=AT_A_TIME,
        max_size=AT_A_TIME,
    ) as pool:

        async def one() -> None:
            if (value := await pool.fetchval("select $1::int * 2", 21)) != 42:
                raise RuntimeError(f"PostgreSQL answered {value!r}")

        return await _shared_out(count, one)


async def asyncpg_rows(loop: AbstractEventLoop, count: int, peer: dict[str, Any]) -> int:
    import asyncpg

    connection = await asyncpg.connect(host=peer["folder"], user=peer["user"], database="postgres")
    done = 0
    try:
        for _ in range(count):
            rows = await connection.fetch("select generate_series(1, 1000) as number")
            if len(rows) != 1000 or rows[-1]["number"] != 1000:
                raise RuntimeError("PostgreSQL answered with other rows")
            done += 1
    finally:
        await connection.close()
    return done


ROWS = (
    ClientRow(
        "connect",
        f"`create_connection`, 64 B there and back, `close`, {AT_A_TIME} at a time",
        connect,
        5_000,
        peer="echo",
        tier=Tier.QUICK,
    ),
    ClientRow(
        "open_connection",
        f"the same with `open_connection`, {AT_A_TIME} at a time",
        open_connection,
        5_000,
        peer="echo",
    ),
    ClientRow(
        "aiohttp_client",
        f"aiohttp client, GET of 1 KiB, {AT_A_TIME} at a time",
        aiohttp_client,
        5_000,
        peer="http",
        needs=("aiohttp",),
        tier=Tier.QUICK,
    ),
    ClientRow(
        "redis_pipeline",
        f"redis-py, one of {PIPELINE} GETs of a pipeline",
        redis_pipeline,
        50_000,
        unit=PIPELINE,
        peer="redis",
        needs=("redis",),
        tier=Tier.QUICK,
    ),
    ClientRow(
        "redis_get",
        f"redis-py, GET, {AT_A_TIME} at a time",
        redis_get,
        10_000,
        peer="redis",
        needs=("redis",),
    ),
    ClientRow(
        "asyncpg_select",
        f"asyncpg, `fetchval` from a pool, {AT_A_TIME} at a time",
        asyncpg_select,
        10_000,
        peer="postgresql",
        needs=("asyncpg",),
        tier=Tier.QUICK,
    ),
    ClientRow(
        "asyncpg_rows",
        "asyncpg, `fetch` of 1000 rows, one at a time",
        asyncpg_rows,
        1_000,
        peer="postgresql",
        needs=("asyncpg",),
    ),
)
