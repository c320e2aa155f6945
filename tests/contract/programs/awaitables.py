"""Awaitables of every kind, and coroutines that are driven by hand."""

import asyncio
import types


class Aw:
    def __init__(s, n):
        s.n = n

    def __await__(s):
        for _i in range(s.n):
            yield
        return s.n


class DuckFuture:
    _asyncio_future_blocking = False

    def __init__(s, loop):
        s._loop = loop
        s.cbs = []
        s._done = False

    def get_loop(s):
        return s._loop

    def add_done_callback(s, cb, *, context=None):
        s.cbs.append((cb, context))

    def remove_done_callback(s, cb):
        return 0

    def done(s):
        return s._done

    def result(s):
        return 99

    def exception(s):
        return None

    def cancelled(s):
        return False

    def cancel(s, msg=None):
        print("duck cancel", msg)
        return False

    def set(s):
        s._done = True
        for cb, c in s.cbs:
            s._loop.call_soon(cb, s, context=c)

    def __await__(s):
        if not s._done:
            s._asyncio_future_blocking = True
            yield s
        return s.result()

    __iter__ = __await__


@types.coroutine
def gen():
    x = yield
    return "gen", x


async def main():
    loop = asyncio.get_running_loop()
    print(await Aw(3), await gen())
    print(await asyncio.gather(Aw(1), asyncio.sleep(0, 5)))
    print(await asyncio.wait_for(Aw(2), 1))
    print(await asyncio.ensure_future(Aw(1)), type(asyncio.ensure_future(Aw(0))).__name__)
    d = DuckFuture(loop)
    print(asyncio.isfuture(d), asyncio.ensure_future(d) is d)
    loop.call_soon(d.set)
    print(await d)
    d = DuckFuture(loop)
    loop.call_later(0.002, d.set)
    print(await asyncio.wait_for(d, 1))
    d = DuckFuture(loop)
    loop.call_soon(d.set)
    print(await asyncio.gather(d, asyncio.sleep(0)))
    d = DuckFuture(loop)
    loop.call_soon(d.set)
    print(len((await asyncio.wait({d}))[0]))
    d = DuckFuture(loop)

    async def w():
        return await d

    t = asyncio.create_task(w())
    await asyncio.sleep(0)
    t.cancel("x")
    loop.call_soon(d.set)
    try:
        print(await t)
    except asyncio.CancelledError as e:
        print("C", e.args)
    try:
        asyncio.create_task(Aw(1))
    except TypeError:
        print("TE")

    async def manual():
        c = asyncio.sleep(0, "manual")
        try:
            c.send(None)
        except StopIteration as e:
            print(e.value)
        try:
            c.send(None)
        except StopIteration as e:
            print("stop", e.value)
        c.close()
        c = asyncio.sleep(5)
        f = c.send(None)
        print(asyncio.isfuture(f))
        c.close()
        c = asyncio.sleep(1)
        try:
            c.throw(ValueError("thrown"))
        except ValueError as e:
            print(e)
        try:
            c.send(None)
        except RuntimeError as e:
            print(e)
        f = loop.create_future()
        it = iter(f)
        print(next(it) is f)
        f._asyncio_future_blocking = False
        f.set_result(4)
        try:
            next(it)
        except StopIteration as e:
            print(e.value)
        f = loop.create_future()
        it = f.__await__()
        next(it)
        f._asyncio_future_blocking = False
        try:
            next(it)
        except RuntimeError as e:
            print(e)
        f.cancel()
        it = f.__await__()
        try:
            next(it)
        except asyncio.CancelledError as e:
            print(repr(e))

    await manual()


asyncio.run(main())
