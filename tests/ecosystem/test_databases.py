"""redis-py against a real redis-server, asyncpg against a real PostgreSQL; both started here."""

from __future__ import annotations

import asyncio

import pytest

from loops import Run


@pytest.mark.needs("redis-server", "redis")
def test_redis(run: Run, redis_port: int) -> None:
    import redis.asyncio as redis

    async def main() -> None:
        client = redis.Redis(host="127.0.0.1", port=redis_port)
        try:
            await client.flushall()
            await client.set("key", b"value")
            assert await client.get("key") == b"value"
            assert await client.get("no such key") is None
            big = b"b" * 2_000_000
            await client.set("big", big)
            assert await client.get("big") == big
            await asyncio.gather(*[client.incr("counter") for _ in range(50)])
            assert await client.get("counter") == b"50"
            async with client.pipeline() as pipeline:
                for number in range(100):
                    pipeline.rpush("list", number)
                results = await pipeline.execute()
            assert results == list(range(1, 101))
            with pytest.raises(redis.ResponseError):
                await client.incr("key")
            async with client.pubsub() as listener:
                await listener.subscribe("channel")
                assert (await listener.get_message(timeout=10))["type"] == "subscribe"
                assert await client.publish("channel", "news") == 1
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=10)
                assert message["data"] == b"news"
            popping = asyncio.ensure_future(client.blpop(["queue"], timeout=20))
            await asyncio.sleep(0.01)
            await client.rpush("queue", "item")
            assert await popping == (b"queue", b"item")
        finally:
            await client.aclose()

    run(main)


@pytest.mark.needs("postgresql", "asyncpg")
def test_postgresql(run: Run, postgres_socket: str) -> None:
    import asyncpg

    async def main() -> None:
        arguments = {"host": postgres_socket, "user": "tester", "database": "postgres"}
        connection = await asyncpg.connect(**arguments)
        try:
            assert await connection.fetchval("select 6 * 7") == 42
            await connection.execute("drop table if exists items")
            await connection.execute("create table items (id int primary key, word text)")
            rows = [(number, f"word {number}") for number in range(1000)]
            await connection.copy_records_to_table("items", records=rows)
            found = await connection.fetch("select * from items where id >= $1 order by id", 990)
            assert [tuple(row) for row in found] == rows[990:]
            with pytest.raises(asyncpg.UniqueViolationError):
                await connection.execute("insert into items values (1, 'again')")
            with pytest.raises(LookupError):
                async with connection.transaction():
                    await connection.execute("delete from items")
                    raise LookupError
            assert await connection.fetchval("select count(*) from items") == 1000
            async with connection.transaction():
                words = [row["word"] async for row in connection.cursor("select word from items")]
            assert len(words) == 1000
            with pytest.raises(TimeoutError):
                await connection.fetchval("select pg_sleep(30)", timeout=0.05)
            assert await connection.fetchval("select 'still fine'") == "still fine"
            big = "b" * 1_000_000
            assert await connection.fetchval("select $1::text", big) == big
        finally:
            await connection.close()

        async with asyncpg.create_pool(min_size=2, max_size=4, **arguments) as pool:

            async def query(number: int) -> int:
                result: int = await pool.fetchval("select $1::int * 2", number)
                return result

            assert await asyncio.gather(*map(query, range(40))) == [2 * n for n in range(40)]

    run(main)
