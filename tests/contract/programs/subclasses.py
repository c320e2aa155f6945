"""Subclasses of asyncio's classes, and a task factory that makes them."""

import asyncio


class MyTask(asyncio.Task):
    def __init__(self, *a, tag=None, **k):
        super().__init__(*a, **k)
        self.tag = tag

    def cancel(self, msg=None):
        print("cancel", self.tag, msg)
        return super().cancel(msg)

    def __repr__(self):
        return f"<MyTask {self.tag} {super().__repr__()[:20]}>"


class MyFuture(asyncio.Future):
    def set_result(self, r):
        super().set_result(("my", r))

    def __await__(self):
        print("await")
        r = yield from super().__await__()
        return r


class MyQueue(asyncio.Queue):
    def _init(self, maxsize):
        self._queue = []

    def _put(self, item):
        self._queue.append(item)
        self._queue.sort(reverse=True)

    def _get(self):
        return self._queue.pop(0)


class MyLock(asyncio.Lock):
    async def acquire(self):
        print("acq")
        return await super().acquire()

    def release(self):
        print("rel")
        super().release()


class MyEvent(asyncio.Event):
    def set(self):
        print("set")
        super().set()


async def main():
    loop = asyncio.get_running_loop()

    async def c():
        await asyncio.sleep(10)

    t = MyTask(c(), loop=loop, name="n", tag=7)
    print(repr(t))
    await asyncio.sleep(0)
    t.cancel("m")
    try:
        await t
    except asyncio.CancelledError as e:
        print(e.args)
    loop.set_task_factory(lambda loop, co, **kw: MyTask(co, loop=loop, tag="fac", **kw))
    t = asyncio.create_task(c(), name="x")
    print(t, type(t).__name__)
    await asyncio.sleep(0)
    try:
        await asyncio.wait_for(t, 0.001)
    except TimeoutError:
        print("TO")
    print(type(asyncio.ensure_future(asyncio.sleep(0))).__name__)
    loop.set_task_factory(None)
    f = MyFuture(loop=loop)
    loop.call_soon(f.set_result, 1)
    print(await f, f)
    q = MyQueue()
    [q.put_nowait(i) for i in (1, 3, 2)]
    print([await q.get() for _ in range(3)], q)
    lock = MyLock()
    async with lock:
        print(lock.locked(), lock)
    e = MyEvent()
    w = asyncio.create_task(e.wait())
    await asyncio.sleep(0)
    print(e)
    e.set()
    print(await w)

    class C(asyncio.Condition):
        def notify(self, n=1):
            print("notify", n)
            super().notify(n)

    c = C()
    async with c:
        c.notify_all()


asyncio.run(main())
