"""nest_asyncio: loops that are run inside their own callbacks, as notebooks do it.

    nested_runs.py MODULE      nest_asyncio or nest_asyncio2

It makes the turns of asyncio's loop itself, out of the loop's private parts. Prints what happens.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import signal
import socket
import sys
import threading
import time
from typing import Any

from report import note, say

seen: list[str] = []
who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


def nested(coro: Any) -> Any:
    """The result of a coroutine, by a run inside the one that is going on."""
    return asyncio.get_running_loop().run_until_complete(coro)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.readline():
        writer.write(data)
        await writer.drain()
    writer.close()


async def ask(port: int, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(3):
        writer.write(question)
        answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


async def ticks(count: int) -> int:
    for _ in range(count):
        await asyncio.sleep(0.002)
    return count


async def deep(level: int) -> int:
    await asyncio.sleep(0)
    task = asyncio.current_task()
    result = 1 + nested(deep(level - 1)) if level else 0
    assert asyncio.current_task() is task
    return result


async def connections() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print("asked inside", nested(ask(port, b"one\n")))
    answers = await asyncio.gather(ask(port, b"two\n"), ask(port, b"three\n"))
    print("asked outside", answers)
    answers = nested(asyncio.gather(*(ask(port, b"%d\n" % n) for n in range(20))))
    print("asked by many", b"".join(answers).split())
    server.close()

    near, far = socket.socketpair()
    with near, far:
        for sock in (near, far):
            sock.setblocking(False)
        loop = asyncio.get_running_loop()
        received = loop.create_task(loop.sock_recv(far, 100))
        await asyncio.sleep(0)
        nested(loop.sock_sendall(near, b"by socket"))
        print(nested(received))


async def times() -> None:
    outside = asyncio.create_task(ticks(5))
    begin = time.monotonic()
    print("ticks", nested(ticks(3)))
    assert 0.006 <= time.monotonic() - begin < 5
    print("ticks outside", await outside)
    try:
        nested(asyncio.wait_for(asyncio.Event().wait(), 0.01))
    except TimeoutError:
        print("late inside")
    try:
        async with asyncio.timeout(0.01):
            nested(ticks(20))
            await asyncio.sleep(60)
    except TimeoutError:
        print("late outside")
    loop = asyncio.get_running_loop()
    loop.call_later(0.02, seen.append, "last")
    loop.call_later(0.01, seen.append, "first")
    loop.call_later(0.005, seen.append, "never").cancel()
    loop.call_soon(seen.append, "at once")
    nested(asyncio.sleep(0.05))
    print("called", seen)


async def others() -> None:
    print("thread", nested(asyncio.to_thread(lambda: "answers")))
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    thread = threading.Timer(0.02, loop.call_soon_threadsafe, [event.set])
    thread.start()
    print("woken", nested(event.wait()))
    thread.join()
    process = nested(
        asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('child')", stdout=asyncio.subprocess.PIPE
        )
    )
    print(nested(process.communicate()), process.returncode)
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "signal")
    signal.raise_signal(signal.SIGUSR1)
    nested(asyncio.sleep(0.01))
    loop.remove_signal_handler(signal.SIGUSR1)
    print(seen[-1])

    who.set("outside")

    async def look() -> str:
        before = who.get()
        who.set("inside")
        return before

    print("context", nested(look()), who.get())

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("inside")

    try:
        nested(fail())
    except LookupError as error:
        print("raised", error)
    task = asyncio.create_task(ticks(1000))
    loop.call_later(0.01, task.cancel)
    try:
        nested(task)
    except asyncio.CancelledError:
        print("cancelled", task.cancelled())


async def main(module: str) -> None:
    before = asyncio.create_task(ticks(10))
    note("before")
    await asyncio.sleep(0)
    importlib.import_module(module).apply()
    print("deep", nested(deep(5)))
    print("begun before", nested(before))
    await connections()
    await times()
    await others()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ticks(2)) for _ in range(3)]
        print("run", asyncio.run(ticks(4)))
    print("group", [task.result() for task in tasks])
    assert len(asyncio.all_tasks()) == 1


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    asyncio.run(asyncio.sleep(0.01))  # By the patched one, on a loop of its own.
    say()
