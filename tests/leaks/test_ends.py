"""Odd ends of objects: long chains, finalizers that make more of the same, a busy collector.

What may crash runs in a child process.
"""

from __future__ import annotations

import pytest

from leaks.ways import WAYS, Way
from loops import Child


@pytest.fixture
def own_child(loop_way: Way) -> Child:
    return Child(loop_way.spec)


def test_long_chains_die_without_a_deep_stack() -> None:
    """Each holds the last reference to the next, through all that may hold one.

    On Batuta alone: the futures of some Python versions (3.13.0) have too deep a stack here.
    """
    Child(WAYS["batuta"].spec).check(
        """
        import asyncio
        import gc
        from batuta import _batuta

        DEPTH = 200_000

        class Link:
            pass

        async def main():
            loop = asyncio.get_running_loop()
            for make in (loop.create_future, lambda: _batuta.Future(loop=loop)):
                chain = None
                for _ in range(DEPTH):
                    future = make()
                    future.set_result(chain)
                    chain = future
                del future, chain
                chain = None
                for _ in range(DEPTH):
                    future = make()
                    future.add_done_callback(chain)
                    chain = Link()
                    chain.future = future
                del future, chain
            chain = None
            for _ in range(DEPTH):
                chain = loop.call_later(3600, print, chain)
            for _ in range(DEPTH):
                chain = loop.call_soon(len, (chain,))
            await asyncio.sleep(0)
            del chain
            # Tasks, each in the result of the next.
            chain = None
            async def returns(value):
                return value
            for _ in range(DEPTH // 10):
                chain = loop.create_task(returns(chain))
                await asyncio.sleep(0)
            del chain
            gc.collect()

        run(main())
        """,
        timeout=120,
    )


def test_finalizers_may_make_more_of_what_dies(own_child: Child) -> None:
    """While an instance dies, and may be on its way into a pool, others are made and die."""
    out = own_child.check(
        """
        import asyncio
        import gc
        from batuta import _batuta

        made = 0

        async def nothing():
            pass

        class Restless:
            def __init__(self, loop, depth):
                self.loop, self.depth = loop, depth

            def __del__(self):
                global made
                made += 1
                if self.depth == 0:
                    return
                again = lambda: Restless(self.loop, self.depth - 1)
                for _ in range(2):
                    self.loop.create_future().set_result(again())
                    _batuta.Future(loop=self.loop).cancel(msg=again())
                    self.loop.call_soon(print, again()).cancel()
                    self.loop.call_later(3600, print, again()).cancel()
                    future = self.loop.create_future()
                    iterator = future.__await__()
                    next(iterator)
                    future.tied = again()
                    task = self.loop.create_task(nothing())
                    task.restless = again()
                    del task
                # Asks for all tasks, those just made included.
                asyncio.all_tasks(self.loop)

        async def main():
            loop = asyncio.get_running_loop()
            for collecting in (False, True):
                for _ in range(20):
                    restless = Restless(loop, 2)
                    future = loop.create_future()
                    if collecting:
                        future.tied = future, restless
                    future.set_result(restless)
                    del future, restless
                    if collecting:
                        gc.collect()
                    await asyncio.sleep(0)
            await asyncio.sleep(0.001)
            gc.collect()

        run(main())
        print(made)
        """,
        timeout=120,
    )
    # Each makes twelve, two generations deep.
    assert int(out) == 40 * (1 + 12 + 144)


def test_the_collector_may_come_at_any_allocation(own_child: Child) -> None:
    """It must never see an object that is half made or half gone."""
    own_child.check(
        """
        import asyncio
        import gc
        import socket
        from batuta import _batuta

        async def child(future):
            return await future

        async def fails():
            raise LookupError

        async def mix(loop, number):
            near, far = socket.socketpair()
            near.setblocking(False)
            far.setblocking(False)
            event, lock, queue = asyncio.Event(), asyncio.Lock(), asyncio.Queue(1)
            future = loop.create_future()
            loop.call_soon(future.set_result, number)
            loop.call_later(0, event.set)
            async with lock, asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(queue.put(1))
                group.create_task(queue.put(2))
                group.create_task(event.wait())
                results = await asyncio.gather(
                    child(future), fails(), queue.get(), queue.get(), return_exceptions=True
                )
                loop.call_soon(far.send, b"hello")
                assert await asyncio.wait_for(loop.sock_recv(near, 10), 60) == b"hello"
                transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
                transport.write(b"answer")
                transport.close()
                waiting = loop.create_task(asyncio.sleep(60))
                native = _batuta.Task(child(future), loop=loop)
                await asyncio.sleep(0)
                waiting.cancel()
                assert await native == number
            assert results[0] == number and type(results[1]) is LookupError
            assert results[2:] == [1, 2]
            far.close()

        async def main():
            loop = asyncio.get_running_loop()
            await mix(loop, 0)
            gc.collect()
            gc.freeze()
            gc.set_threshold(1, 3, 3)
            for number in range(60):
                await mix(loop, number)

        run(main())
        """,
        timeout=120,
    )


def test_a_task_that_is_ended_from_outside_leaves_the_list_of_tasks() -> None:
    """`Future.set_result(task, …)` ends a task without a step of its own.

    From Python 3.14 on that list has no references: a dead task in it is read as memory.
    """
    Child(WAYS["batuta"].spec).check(
        """
        import asyncio
        import gc
        from batuta import _batuta

        async def forever():
            await asyncio.get_running_loop().create_future()

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: None)
            for _ in range(20):
                task = _batuta.Task(forever(), loop=loop)
                await asyncio.sleep(0)
                _batuta.Future.set_result(task, 1)
                del task
                gc.collect()
            for _ in range(20):
                task = _batuta.Task(forever(), loop=loop)
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                # As a task factory of somebody else's may do.
                asyncio._register_task(task)
                del task
                gc.collect()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            tasks = [_batuta.Task(forever(), loop=loop) for _ in range(50)]
            assert asyncio.all_tasks() == {asyncio.current_task(), *tasks}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            del task, tasks
            assert asyncio.all_tasks() == {asyncio.current_task()}

        run(main())
        """
    )
