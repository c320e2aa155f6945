"""What a program has replaced in asyncio's `BaseEventLoop` and `Handle` is called, on both loops.

Tracers and frameworks wrap methods of the one, who looks for slow callbacks wraps `_run()` of the
other. Each test is a program in a child process, which has the classes for itself.
"""

from __future__ import annotations

import pytest

from loops import Child

WRAP = """
import asyncio, contextvars, time
def wrap(name, of=asyncio.BaseEventLoop):
    own = getattr(of, name)
    def wrapper(self, *args, **kwargs):
        calls.append(name)
        return own(self, *args, **kwargs)
    setattr(of, name, wrapper)
    return lambda: setattr(of, name, own)
calls = []
"""


def test_a_replaced_run_in_executor_carries_the_context(child: Child) -> None:
    out = child.check(f"""{WRAP}
request = contextvars.ContextVar("request", default=None)
own = asyncio.BaseEventLoop.run_in_executor
def carrying(self, executor, function, *args):
    context = contextvars.copy_context()
    return own(self, executor, context.run, function, *args)
asyncio.BaseEventLoop.run_in_executor = carrying
async def main():
    request.set("r-17")
    print(await asyncio.get_running_loop().run_in_executor(None, request.get))
run(main())
""")
    assert out == "r-17\n"


def test_a_replaced_create_task_sees_each_task(child: Child) -> None:
    out = child.check(f"""{WRAP}
own = asyncio.BaseEventLoop.create_task
def traced(self, coro, **kwargs):
    print("span for", coro.__name__)
    return own(self, coro, **kwargs)
asyncio.BaseEventLoop.create_task = traced
async def child(): pass
async def main():
    await asyncio.create_task(child())
    async with asyncio.TaskGroup() as group:
        group.create_task(child())
    await asyncio.gather(child())
    asyncio.BaseEventLoop.create_task = own
    await asyncio.create_task(child())
    print("without")
run(main())
""")
    children = ["span for child"] * 3
    assert [line for line in out.splitlines() if "shutdown" not in line] == [
        "span for main",
        *children,
        "without",
    ]


@pytest.mark.parametrize("imported_first", [False, True])
def test_methods_of_the_base_class(child: Child, imported_first: bool) -> None:
    """Whether the program replaces them before or after it comes to know of Batuta."""
    out = child.check(
        f"""{WRAP}
names = ["call_later", "call_soon", "call_soon_threadsafe", "create_future", "getaddrinfo"]
put_back = [wrap(name) for name in names]
{"new_event_loop().close()" if imported_first else ""}
async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(print, "soon")
    loop.call_later(0.001, print, "later")
    await asyncio.to_thread(loop.call_soon_threadsafe, print, "thread")
    await loop.create_task(asyncio.sleep(0.01))
    await loop.getaddrinfo("127.0.0.1", 80)
    future = loop.create_future()
    loop.call_soon(future.set_result, "set")
    print(await future)
    print(*sorted(set(calls)))
    for put in put_back:
        put()
    calls.clear()
    loop.call_soon(print, "original")
    loop.call_later(0, print, "original")
    await asyncio.sleep(0.01)
    print(calls)
run(main())
"""
    )
    expected = "call_later call_soon call_soon_threadsafe create_future getaddrinfo"
    lines = out.splitlines()
    assert sorted(lines[:3]) == ["later", "soon", "thread"]
    assert lines[3:] == ["set", expected, "original", "original", "[]"]


def test_a_subclass_goes_through_the_replaced_one(child: Child) -> None:
    out = child.check(f"""{WRAP}
wrap("create_task")
loop = new_event_loop()
class Mine(type(loop)):
    def create_task(self, coro, **kwargs):
        print("mine")
        return super().create_task(coro, **kwargs)
loop.close()
async def main():
    print(calls)
with asyncio.Runner(loop_factory=Mine) as runner:
    runner.run(main())
""")
    assert out.splitlines()[:2] == ["mine", "['create_task']"]


@pytest.mark.parametrize("debug", [False, True])
def test_a_replaced_run_of_handles_sees_slow_callbacks(child: Child, debug: bool) -> None:
    out = child.check(f"""{WRAP}
import logging, re
logging.disable(logging.WARNING)
own = asyncio.Handle._run
slow = []
def timed(self):
    begin = time.perf_counter()
    result = own(self)
    if time.perf_counter() - begin > 0.02:
        slow.append(re.sub(" at 0x.*| cb=.*", "", repr(self._callback)))
    return result
asyncio.Handle._run = timed
def callback(): time.sleep(0.03)
async def child():
    time.sleep(0.03)
    await asyncio.sleep(0)
    time.sleep(0.03)
    await asyncio.sleep(0.001)
    time.sleep(0.03)
async def main():
    loop = asyncio.get_running_loop()
    loop.set_debug({debug})
    loop.call_soon(callback)
    loop.call_later(0.001, callback)
    await asyncio.create_task(child(), name="child")
    print(len(slow), sum("callback" in name for name in slow))
    asyncio.Handle._run = own
    slow.clear()
    loop.call_soon(callback)
    await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    print(slow)
run(main())
""")
    assert out == "5 2\n[]\n"


def test_what_a_replaced_run_of_handles_leaves_out_does_not_run(child: Child) -> None:
    out = child.check(f"""{WRAP}
own = asyncio.Handle._run
async def main():
    loop = asyncio.get_running_loop()
    loop.call_soon(print, "not this one")
    loop.call_soon(print, "nor this one").cancel()
    def picky(self):
        if self._callback is not print:
            return own(self)
    asyncio.Handle._run = picky
    await asyncio.sleep(0.001)
    asyncio.Handle._run = own
    loop.call_soon(print, "this one")
    await asyncio.sleep(0)
run(main())
""")
    assert out == "not this one\nthis one\n" or out == "this one\n"


def test_an_exception_of_a_replaced_run_leaves_the_loop(child: Child) -> None:
    out = child.check(f"""{WRAP}
def broken(self):
    raise LookupError("broken")
asyncio.Handle._run = broken
loop = new_event_loop()
loop.call_soon(print)
try:
    loop.run_forever()
except LookupError as error:
    print(error)
loop.close()
""")
    assert out == "broken\n"
