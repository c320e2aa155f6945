"""What programs build of asyncio: caches, retries, pipelines, races."""

import asyncio


class RateLimiter:
    def __init__(self, n):
        self.sem = asyncio.Semaphore(n)

    async def __aenter__(self):
        await self.sem.acquire()

    async def __aexit__(self, *a):
        self.sem.release()


class AsyncCache:
    def __init__(self):
        self.locks = {}
        self.data = {}
        self.calls = 0

    async def get(self, k):
        lock = self.locks.setdefault(k, asyncio.Lock())
        async with lock:
            if k not in self.data:
                self.calls += 1
                await asyncio.sleep(0.001)
                self.data[k] = k * 2
            return self.data[k]


async def retry(fn, n):
    for i in range(n):
        try:
            return await fn(i)
        except ConnectionError as e:
            print("retry", i, e)
            await asyncio.sleep(0.001 * 2**i)
    raise RuntimeError("gave up")


class PubSub:
    def __init__(s):
        s.subs = set()

    def pub(s, m):
        [q.put_nowait(m) for q in s.subs]

    async def sub(s):
        q = asyncio.Queue()
        s.subs.add(q)
        try:
            while True:
                yield await q.get()
        finally:
            s.subs.discard(q)


async def main():
    c = AsyncCache()
    print(await asyncio.gather(*(c.get(i % 3) for i in range(9))), c.calls)

    async def flaky(i):
        if i < 2:
            raise ConnectionError(f"no {i}")
        return "ok"

    print(await retry(flaky, 5))
    rl = RateLimiter(2)
    n = 0

    async def job(i):
        nonlocal n
        async with rl:
            n += 1
            await asyncio.sleep(0.001)

    await asyncio.gather(*map(job, range(5)))
    print(n, rl.sem)
    ps = PubSub()
    got = []

    async def reader(k):
        async for m in ps.sub():
            got.append((k, m))
            if m == "end":
                break

    rs = [asyncio.create_task(reader(k)) for k in range(2)]
    await asyncio.sleep(0)
    ps.pub("a")
    ps.pub("end")
    await asyncio.gather(*rs)
    await asyncio.sleep(0)
    print(sorted(got), len(ps.subs))

    async def periodic(iv, fn, n):
        for _ in range(n):
            fn()
            await asyncio.sleep(iv)

    cnt = []
    await periodic(0.001, lambda: cnt.append(1), 3)
    print(len(cnt))
    # pipeline with sentinel
    a, b = asyncio.Queue(2), asyncio.Queue(2)

    async def stage(i, o, f):
        while (x := await i.get()) is not None:
            await o.put(f(x))
        await o.put(None)

    async def src():
        for i in range(5):
            await a.put(i)
        await a.put(None)

    out = []

    async def sink():
        while (x := await b.get()) is not None:
            out.append(x)

    async with asyncio.TaskGroup() as tg:
        tg.create_task(src())
        tg.create_task(stage(a, b, lambda x: x * x))
        tg.create_task(sink())
    print(out)

    # leader election by first completed
    async def racer(i):
        await asyncio.sleep(0 if i == 2 else 60)
        return i

    ts = {asyncio.create_task(racer(i)) for i in range(3)}
    d, p = await asyncio.wait(ts, return_when=asyncio.FIRST_COMPLETED)
    print({t.result() for t in d}, len(p))
    [t.cancel() for t in p]
    print(await asyncio.gather(*p, return_exceptions=True))


asyncio.run(main())
