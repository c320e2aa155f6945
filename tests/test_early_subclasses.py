"""Subclasses that were defined before acceleration and name their bases again when it is in place.

Then `asyncio.Queue` is the native class and the object one of asyncio's own: every method of the
one takes the other. Each is called so on an object of each class, with the same answer as ever.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Iterator
from typing import Any
from unittest import mock

import batuta
import pytest
from batuta import _batuta, acceleration
from batuta.natives import NATIVE

CLASSES: dict[str, Any] = {
    name: getattr(asyncio, name)
    for name in NATIVE
    # Future stays.
    if isinstance(NATIVE[name], type) and name != "Future"
}
EARLY = {name: type(f"Early{name}", (stock,), {}) for name, stock in CLASSES.items()}
early_wait_for = asyncio.wait_for


@pytest.fixture
def accelerated() -> Iterator[None]:
    batuta.install(accelerate=True)
    yield
    batuta.uninstall()


async def answer(value: object = 42) -> object:
    await asyncio.sleep(0)
    return value


# Defined while `asyncio.Queue` is asyncio's own, they name it again when it is not.
class EarlyQueue(asyncio.Queue[Any]):
    def __init__(self) -> None:
        asyncio.Queue.__init__(self, 3)

    async def put(self, item: Any) -> None:
        await asyncio.Queue.put(self, item)

    async def get(self) -> Any:
        return await asyncio.Queue.get(self)


class EarlyLock(asyncio.Lock):
    def __init__(self) -> None:
        asyncio.Lock.__init__(self)

    async def acquire(self) -> Any:
        return await asyncio.Lock.acquire(self)


class EarlyEvent(asyncio.Event):
    def __init__(self) -> None:
        asyncio.Event.__init__(self)

    async def wait(self) -> Any:
        return await asyncio.Event.wait(self)


class EarlySemaphore(asyncio.BoundedSemaphore):
    def __init__(self) -> None:
        asyncio.BoundedSemaphore.__init__(self, value=2)

    async def acquire(self) -> Any:
        return await asyncio.BoundedSemaphore.acquire(self)


class EarlyCondition(asyncio.Condition):
    def __init__(self) -> None:
        asyncio.Condition.__init__(self)

    async def wait(self) -> Any:
        return await asyncio.Condition.wait(self)


class EarlyBarrier(asyncio.Barrier):
    def __init__(self) -> None:
        asyncio.Barrier.__init__(self, 2)


class EarlyGroup(asyncio.TaskGroup):
    def __init__(self) -> None:
        asyncio.TaskGroup.__init__(self)

    def create_task(self, coro: Any, **keywords: Any) -> Any:
        return asyncio.TaskGroup.create_task(self, coro, **keywords)


def test_early_subclasses_may_name_their_bases(accelerated: None) -> None:
    async def main() -> None:
        queue = EarlyQueue()
        assert not isinstance(queue, _batuta.NativeQueue)
        for item in range(3):
            await queue.put(item)
        assert queue.full()
        late = asyncio.create_task(queue.put(3))
        assert [await queue.get() for _ in range(4)] == [0, 1, 2, 3]
        await late

        lock, event, semaphore = EarlyLock(), EarlyEvent(), EarlySemaphore()
        assert await lock.acquire() is True
        assert lock.locked()
        lock.release()
        async with lock, semaphore, semaphore:
            assert semaphore.locked()
        with pytest.raises(ValueError, match="too many"):
            semaphore.release()
        waiter = asyncio.create_task(event.wait())
        await asyncio.sleep(0)
        event.set()
        assert await waiter is True

        condition = EarlyCondition()
        async with condition:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(condition.wait(), 0.01)
            assert condition.locked()
        barrier = EarlyBarrier()
        assert sorted(await asyncio.gather(barrier.wait(), barrier.wait())) == [0, 1]

        async with EarlyGroup() as group:
            task = group.create_task(answer(5), name="early")
        assert (task.result(), task.get_name()) == (5, "early")

    batuta.run(main())


def test_methods_without_an_instance_fail_as_asyncios(accelerated: None) -> None:
    for call in (asyncio.Lock.acquire, asyncio.Queue.__init__, asyncio.Queue.put):
        with pytest.raises(TypeError, match=r"missing .* required positional argument"):
            call()  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="'int' object has no attribute"):
        asyncio.run(asyncio.Lock.acquire(1))  # type: ignore[arg-type]


def test_a_task_of_an_early_class(accelerated: None) -> None:
    class Named(EARLY["Task"]):  # type: ignore[misc]
        def __init__(self, coro: Coroutine[Any, Any, Any], loop: Any) -> None:
            asyncio.Task.__init__(self, coro, loop=loop, name="early")

        def cancel(self, msg: Any = None) -> bool:
            return asyncio.Task.cancel(self, msg)

        def __repr__(self) -> str:
            return "own " + asyncio.Task.__repr__(self)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        task = Named(answer(), loop)
        assert not isinstance(task, _batuta.Task)
        assert asyncio.Task.get_name(task) == "early"
        assert repr(task).startswith("own <Named pending name='early'")
        assert await task == 42
        # Both kinds in one go.
        tasks: list[Any] = [Named(answer(), loop), asyncio.create_task(answer())]
        assert [type(task) is _batuta.Task for task in tasks] == [False, True]
        assert list(map(asyncio.Task.cancel, tasks)) == [True, True]
        await asyncio.wait(tasks)
        assert list(map(asyncio.Task.cancelled, tasks)) == [True, True]

    batuta.run(main())


# Arguments and preparations, where a method needs them.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "__aexit__": (None, None, None),
    "_init": (3,),
    "_notify": (1,),
    "_put": (1,),
    "_wakeup_next": ([],),
    "add_done_callback": (print,),
    "connection_lost": (None,),
    "data_received": (b"data",),
    "feed_data": (b"data",),
    "get_extra_info": ("socket",),
    "notify": (1,),
    "put": (1,),
    "put_nowait": (1,),
    "readexactly": (2,),
    "remove_done_callback": (print,),
    "reschedule": (None,),
    "set_exception": (ValueError(),),
    "set_name": ("name",),
    "set_result": (1,),
    "set_transport": (None,),
    "write": (b"data",),
    "writelines": ([b"data"],),
    "wait_for": (lambda: True,),
}
# They wait for somebody else.
WAITS = {("Barrier", "__aenter__"), ("Barrier", "wait"), ("Condition", "wait")}


def methods(name: str) -> list[str]:
    """The methods of asyncio's class that are its own, and not of `object`."""
    stock = CLASSES[name]
    other = {"__new__", "__class_getitem__", "__del__", "__getstate__", "__init__"}
    own = {key for base in stock.__mro__ if base is not object for key in vars(base)}
    return sorted(
        key
        for key in own - other
        if inspect.isroutine(inspect.getattr_static(stock, key))
        and (name, key) not in WAITS
        and not key.startswith("_wait")
        and key
        not in (
            "_block",
            "_release",
            "_exit",
            "_get_close_waiter",
            "_replace_transport",
            "start_tls",
        )
        and not (key.startswith("__") and hasattr(object, key) and key != "__repr__")
    )


def stream(name: str, method: str) -> Any:
    """A stream's object of an early class, with a transport that takes everything."""
    loop = asyncio.get_running_loop()
    reader = EARLY["StreamReader"](loop=loop)
    if name == "StreamReader":
        if method != "feed_data":
            reader.feed_data(b"line\nmore")
            reader.feed_eof()
        return reader
    protocol = EARLY["StreamReaderProtocol"](reader, loop=loop)
    transport = mock.create_autospec(asyncio.Transport, instance=True)
    protocol.connection_made(transport)
    if name == "StreamReaderProtocol":
        if method == "resume_writing":
            protocol.pause_writing()
        return protocol
    protocol.connection_lost(None)  # for wait_closed()
    protocol._connection_lost = False  # and drain()
    return EARLY["StreamWriter"](transport, protocol, reader, loop)


async def prepared(name: str, method: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """An object of an early class for which the method makes sense."""
    early = EARLY[name]
    if name == "Task":
        task = early(coroutine, loop=asyncio.get_running_loop(), name="name")
        task._log_destroy_pending = False
        return task
    if name.startswith("Stream"):
        return stream(name, method)
    made = early(*{"Barrier": (2,), "Timeout": (None,)}.get(name, ()))
    if method in ("get", "get_nowait", "task_done", "_get"):
        made._put(1)
        made._unfinished_tasks = 1
    elif method == "_wake_up_first" or (name == "Event" and method == "wait"):
        (getattr(made, "set", None) or made.locked)()
    elif name in ("Lock", "Condition") and method in ("release", "notify", "notify_all", "_notify"):
        await made.acquire()
    return made


async def outcome(name: str, method: str) -> str:
    """What calling a method by the class that stands under the name now gives or raises."""
    coroutine = answer()
    made = await prepared(name, method, coroutine)
    arguments = ARGUMENTS.get(method, ())
    other = answer()
    if method in ("create_task", "_on_task_done"):
        task = asyncio.ensure_future(other)
        arguments = (task,) if method == "_on_task_done" else (answer(),)
    try:
        got = getattr(getattr(asyncio, name), method)(made, *arguments)
        if inspect.isawaitable(got) and name != "Task":
            got = await got
    except (Exception, asyncio.CancelledError) as exc:
        got = exc
    finally:
        coroutine.close()
        other.close()
        for argument in arguments:
            if inspect.iscoroutine(argument):
                argument.close()
    if name == "Task" and method == "__repr__":
        got = got.partition(" coro=")[0]
    elif method == "__repr__":
        got = got.partition(" transport=" if name.startswith("Stream") else " at ")[0]
    return repr(got) if isinstance(got, (str, int, BaseException)) else type(got).__name__


@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for name in CLASSES for method in methods(name)]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_method_takes_an_early_object(name: str, method: str) -> None:
    def run() -> str:
        with asyncio.Runner(loop_factory=batuta.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            return runner.run(early_wait_for(outcome(name, method), 10))

    before = run()
    with acceleration.held():
        assert not issubclass(EARLY[name], NATIVE[name])
        assert run() == before
