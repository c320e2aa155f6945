"""What dies when, with the objects it holds."""

import asyncio
import gc
import weakref

log = []


class Obj:
    def __init__(s, n):
        s.n = n

    def __del__(s):
        log.append(s.n)


async def main():
    loop = asyncio.get_running_loop()

    async def hold(o):
        await asyncio.sleep(0)
        return o

    t = asyncio.create_task(hold(Obj(1)))
    await t
    del t
    await asyncio.sleep(0)
    print(log)
    f = loop.create_future()
    f.set_result(Obj(2))
    del f
    print(log)
    loop.call_soon(lambda o: None, Obj(3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print(log)
    h = loop.call_later(100, lambda o: None, Obj(4))
    h.cancel()
    print(log, h.cancelled())
    q = asyncio.Queue()
    q.put_nowait(Obj(5))
    del q
    print(log)

    async def fail():
        Obj(6)
        raise ValueError

    t = asyncio.create_task(fail())
    try:
        await t
    except ValueError:
        pass
    del t
    gc.collect()
    print(log)
    f = loop.create_future()
    o = Obj(7)
    f.o = o
    o.f = f
    del f, o
    gc.collect()
    print(log)
    t = asyncio.create_task(asyncio.sleep(50))
    r = weakref.ref(t)
    await asyncio.sleep(0)
    t.cancel()
    del t
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    print(r())

    async def cyc():
        me = asyncio.current_task()
        me.self = me
        me.o = Obj(8)

    await asyncio.create_task(cyc())
    gc.collect()
    await asyncio.sleep(0)
    gc.collect()
    print(log)
    e = asyncio.Event()

    async def w(o):
        await e.wait()

    t = asyncio.create_task(w(Obj(9)))
    await asyncio.sleep(0)
    e.set()
    await t
    del t
    await asyncio.sleep(0)
    print(log)


asyncio.run(main())
gc.collect()
print(log)
