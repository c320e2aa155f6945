"""Context variables in tasks, callbacks, threads, timeouts and groups."""

import asyncio
import contextvars

v = contextvars.ContextVar("v", default=0)


async def child(n):
    print("child", n, v.get())
    v.set(n)
    await asyncio.sleep(0)
    print("after", n, v.get())


async def main():
    v.set(100)
    await asyncio.gather(child(1), child(2))
    print(v.get())
    ctx = contextvars.copy_context()
    ctx.run(v.set, 7)
    t = asyncio.create_task(child(3), context=ctx)
    await t
    print(ctx[v], v.get())
    loop = asyncio.get_running_loop()
    f = loop.create_future()
    f.add_done_callback(lambda f: print("cb", v.get()), context=ctx)
    f.set_result(1)
    await asyncio.sleep(0)
    loop.call_soon(lambda: print("soon", v.get()))
    loop.call_soon(lambda: print("soonctx", v.get()), context=ctx)
    loop.call_later(
        0.001,
        lambda: print("later", v.get()),
    )
    await asyncio.sleep(0.01)
    print(await asyncio.to_thread(v.get))

    async def inwf():
        v.set("wf")
        return v.get()

    print(await asyncio.wait_for(inwf(), 1), v.get())
    async with asyncio.timeout(1):
        v.set("to")
        await asyncio.sleep(0)
    print(v.get())
    async with asyncio.TaskGroup() as tg:
        tg.create_task(child(9))
        tg.create_task(child(10), context=ctx)
    print(v.get(), ctx[v])


with asyncio.Runner() as r:
    r.run(main())
    print(v.get())

    async def m2():
        v.set("r")

    c = contextvars.copy_context()
    r.run(m2(), context=c)
    print(c[v])
    r.run(m2())

    async def m3():
        print(v.get())

    r.run(m3())
