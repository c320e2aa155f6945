"""`gather`, `wait`, `as_completed`, `shield` and `wait_for`, with failures and cancellations."""

import asyncio


async def main():
    for n, kw in ((0, {}), (3, {}), (3, {"return_exceptions": True})):

        async def c(i):
            await asyncio.sleep(0.01 * i)
            if i == 1:
                raise ValueError(i)
            return i

        try:
            print(await asyncio.gather(*(c(i) for i in range(n)), **kw))
        except ValueError as e:
            print("E", e)
    t = asyncio.create_task(asyncio.sleep(1))
    g = asyncio.gather(t, asyncio.sleep(1))
    await asyncio.sleep(0)
    print(g.cancel())
    try:
        await g
    except asyncio.CancelledError:
        print(t.cancelled(), g)
    x = asyncio.create_task(asyncio.sleep(0, 1))
    print(await asyncio.gather(x, x))
    g = asyncio.gather(asyncio.sleep(1))
    asyncio.get_running_loop().call_soon(g.cancel, "msg")
    try:
        await g
    except asyncio.CancelledError as e:
        print(e.args)

    async def outer():
        try:
            await asyncio.gather(asyncio.sleep(5), asyncio.sleep(6))
        except asyncio.CancelledError:
            print("gc")
            raise

    o = asyncio.create_task(outer())
    await asyncio.sleep(0.001)
    o.cancel()
    try:
        await o
    except asyncio.CancelledError:
        print("ok")
    done, pend = await asyncio.wait(
        [asyncio.create_task(asyncio.sleep(d, d)) for d in (0.001, 60)], timeout=0.3
    )
    print([t.result() for t in done], len(pend))
    it = asyncio.as_completed([asyncio.sleep(60), asyncio.sleep(0.001, 1)], timeout=0.3)
    try:
        for f in it:
            print(await f)
    except TimeoutError as e:
        print("TO", e)

    async def bad():
        raise OSError("b")

    d, p = await asyncio.wait(
        [asyncio.create_task(bad()), asyncio.create_task(asyncio.sleep(60))],
        return_when=asyncio.FIRST_EXCEPTION,
    )
    print(len(d), len(p), repr(next(iter(d)).exception()))
    print(await asyncio.shield(asyncio.sleep(0, "sh")))
    r = await asyncio.gather(bad(), asyncio.sleep(0, 2), return_exceptions=True)
    print(r)
    print(
        await asyncio.wait_for(asyncio.sleep(0, "w"), None),
        await asyncio.wait_for(asyncio.create_task(asyncio.sleep(0, "w2")), 5),
    )
    for to in (0, -1):
        try:
            print(await asyncio.wait_for(asyncio.sleep(1), to))
        except TimeoutError as e:
            print(repr(e))
    f = asyncio.get_running_loop().create_future()
    f.set_result("done")
    print(await asyncio.wait_for(f, 0))


asyncio.run(main())
