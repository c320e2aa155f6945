"""Rows in which other threads, other processes or the kernel have a part.

Where an operation is a round trip, the row returns how long each one took.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from benches.rows.row import SystemRow, Tier

Run = Callable[[AbstractEventLoop, int], Awaitable[int | list[int]]]

PAUSE = 0.0005
"""Long enough for a loop to be asleep again."""


def nothing() -> None:
    pass


def _threadsafe(threads: int) -> SystemRow:
    async def flood(loop: AbstractEventLoop, count: int) -> int:
        """Threads that call as fast as they can, while the loop runs what they add."""
        done = loop.create_future()
        ran = 0

        def work() -> None:
            nonlocal ran
            ran += 1
            if ran == count:
                done.set_result(None)

        def call() -> None:
            for _ in range(count // threads):
                loop.call_soon_threadsafe(work)

        callers = [threading.Thread(target=call, daemon=True) for _ in range(threads)]
        for caller in callers:
            caller.start()
        await done
        for caller in callers:
            caller.join()
        return ran

    return SystemRow(
        f"threadsafe_{threads}",
        f"`call_soon_threadsafe`, {threads} thread{'s' * (threads > 1)} calling without a pause",
        flood,
        40_000,
        unit=threads,
        tier=Tier.QUICK,
    )


async def wake_up(loop: AbstractEventLoop, count: int) -> list[int]:
    """From the call in another thread, while the loop sleeps, to the callback in the loop's."""
    done = loop.create_future()
    took: list[int] = []
    ran = threading.Event()

    def wake(since: int) -> None:
        took.append(time.perf_counter_ns() - since)
        ran.set()
        if len(took) == count:
            done.set_result(None)

    def call() -> None:
        for _ in range(count):
            time.sleep(PAUSE)
            ran.clear()
            loop.call_soon_threadsafe(wake, time.perf_counter_ns())
            ran.wait()

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    await done
    caller.join()
    return took


async def run_in_executor(loop: AbstractEventLoop, count: int) -> list[int]:
    took = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(count):
            since = time.perf_counter_ns()
            await loop.run_in_executor(pool, nothing)
            took.append(time.perf_counter_ns() - since)
    return took


async def to_thread(loop: AbstractEventLoop, count: int) -> list[int]:
    took = []
    for _ in range(count):
        since = time.perf_counter_ns()
        await asyncio.to_thread(nothing)
        took.append(time.perf_counter_ns() - since)
    return took


async def executor_burst(loop: AbstractEventLoop, count: int) -> int:
    """A hundred jobs at a time in four threads."""
    done = 0
    with ThreadPoolExecutor(4) as pool:
        while done < count:
            jobs = [loop.run_in_executor(pool, nothing) for _ in range(100)]
            await asyncio.gather(*jobs)
            done += len(jobs)
    return done


def _resolve(host: str) -> SystemRow:
    async def resolve(loop: AbstractEventLoop, count: int) -> list[int]:
        took = []
        for _ in range(count):
            since = time.perf_counter_ns()
            found = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
            took.append(time.perf_counter_ns() - since)
            if not any(address[4][0] in ("127.0.0.1", "::1") for address in found):
                raise RuntimeError(f"{host} is {found}")
        return took

    literal = host[0].isdigit()
    return SystemRow(
        f"getaddrinfo_{'literal' if literal else 'name'}",
        f"`getaddrinfo` of {'an address' if literal else 'a name in /etc/hosts'}, `{host}`",
        resolve,
        2_000,
    )


async def subprocess(loop: AbstractEventLoop, count: int) -> list[int]:
    took = []
    for _ in range(count):
        since = time.perf_counter_ns()
        process = await asyncio.create_subprocess_exec("/bin/true")
        code = await process.wait()
        took.append(time.perf_counter_ns() - since)
        if code != 0:
            raise RuntimeError(f"true ended with {code}")
    return took


async def subprocess_output(loop: AbstractEventLoop, count: int) -> list[int]:
    took = []
    for _ in range(count):
        since = time.perf_counter_ns()
        process = await asyncio.create_subprocess_exec(
            "/bin/echo", "hello", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        took.append(time.perf_counter_ns() - since)
        if output != b"hello\n":
            raise RuntimeError(f"echo said {output!r}")
    return took


async def signals(loop: AbstractEventLoop, count: int) -> list[int]:
    """From `kill` in another thread, while the loop sleeps, to the handler in the loop."""
    took: list[int] = []
    since = 0
    done = loop.create_future()
    ran = threading.Event()

    def handle() -> None:
        took.append(time.perf_counter_ns() - since)
        ran.set()
        if len(took) == count and not done.done():
            done.set_result(None)

    def send() -> None:
        nonlocal since
        for _ in range(count):
            time.sleep(PAUSE)
            ran.clear()
            since = time.perf_counter_ns()
            os.kill(os.getpid(), signal.SIGUSR1)
            ran.wait()

    # The next round replaces it: rloop 0.5 cannot remove one.
    loop.add_signal_handler(signal.SIGUSR1, handle)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    await done
    sender.join()
    return took


def _round_trip(name: str, about: str, run: Run, tier: Tier) -> tuple[SystemRow, SystemRow]:
    """To a thread and back: on one core, and wherever the kernel puts the two threads.

    The second says more of where they happen to be than of the loop: one and the same takes 11 µs
    in one process and 80 µs in another, and a process stays for long with what it began with.
    """
    return (
        SystemRow(name, about, run, 5_000, pinned=True, by_turns=True, tier=tier),
        SystemRow(f"{name}_2cores", f"{about}, on any core", run, 5_000, tier=Tier.ALL),
    )


ROWS = (
    _threadsafe(1),
    _threadsafe(4),
    SystemRow(
        "threadsafe_wake_up",
        "from `call_soon_threadsafe` to the callback, the loop asleep",
        wake_up,
        1_000,
        tier=Tier.QUICK,
    ),
    *_round_trip(
        "run_in_executor",
        "`run_in_executor` of nothing, one thread, one job at a time",
        run_in_executor,
        Tier.QUICK,
    ),
    *_round_trip("to_thread", "`to_thread` of nothing, one at a time", to_thread, Tier.USUAL),
    SystemRow(
        "executor_burst",
        "`run_in_executor`, 100 jobs at a time, four threads",
        executor_burst,
        10_000,
        unit=100,
    ),
    _resolve("127.0.0.1"),
    _resolve("localhost"),
    SystemRow("subprocess", "a process started and awaited", subprocess, 200, tier=Tier.QUICK),
    SystemRow("subprocess_output", "the same with its output read", subprocess_output, 200),
    SystemRow(
        "signal", "from `kill` to the handler, the loop asleep", signals, 1_000, tier=Tier.QUICK
    ),
)
