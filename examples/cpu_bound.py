"""A job that only computes, and four ways to run it beside a loop that must stay alive.

The job counts primes: it never waits, so as a plain call it holds the loop
until it ends, and nothing else happens: no timer, no answer to any client. A
ticker task, which wants to run every 5 ms, shows it.

- in one piece: the loop is blocked for the whole job.
- with sleep(0): the job gives way after each slice. One thread, no locks; the
  job must be written for it, and the loop is late by up to one slice.
- to_thread: the interpreter switches between the threads. Unmodified job, but
  with one GIL the two share one processor: alive, not faster.
- process pool: another processor does the work. Unmodified job; arguments and
  results travel by pickle, and starting the processes takes a while.

What to look at: the answers are the same; only the first way stops the ticker.

It prints:

    in one piece    14683 primes, the loop was blocked
    with sleep(0)   14683 primes, the loop was alive
    to_thread       14683 primes, the loop was alive
    process pool    14683 primes, the loop was alive
"""

import asyncio
import multiprocessing
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor

LIMIT = 160_000
SLICES = 64


def is_prime(number: int) -> bool:
    if number < 4:
        return number > 1
    if number % 2 == 0:
        return False
    return all(number % divisor for divisor in range(3, int(number**0.5) + 1, 2))


def count_primes(start: int, stop: int) -> int:
    return sum(map(is_prime, range(start, stop)))


async def in_one_piece() -> int:
    # "async" before "def" does not make a function give way.
    return count_primes(0, LIMIT)


async def with_sleep_zero() -> int:
    total = 0
    step = LIMIT // SLICES
    for start in range(0, LIMIT, step):
        total += count_primes(start, start + step)
        # One turn for everybody else: ready tasks, due timers, sockets.
        await asyncio.sleep(0)
    return total


async def in_a_thread() -> int:
    return await asyncio.to_thread(count_primes, 0, LIMIT)


async def in_a_process() -> int:
    # "spawn" starts a fresh interpreter: a fork would copy this process with
    # its threads and its loop in the middle of things.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, count_primes, 0, LIMIT)


class Ticker:
    """A task that wants to run every 5 ms, and counts how often it could."""

    def __init__(self) -> None:
        self.ticks = 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.005)
            self.ticks += 1


async def measure(title: str, way: Callable[[], Awaitable[int]]) -> None:
    ticker = Ticker()
    task = asyncio.create_task(ticker.run())
    await asyncio.sleep(0)  # lets the ticker start
    primes = await way()
    # Read before anything else is awaited: the ticks that came during the job.
    alive = ticker.ticks > 0
    task.cancel()
    print(f"{title:<15} {primes} primes, the loop was {'alive' if alive else 'blocked'}")


async def main() -> None:
    await measure("in one piece", in_one_piece)
    await measure("with sleep(0)", with_sleep_zero)
    await measure("to_thread", in_a_thread)
    await measure("process pool", in_a_process)


# The guard is needed here: each process of the pool imports this file.
if __name__ == "__main__":
    asyncio.run(main())
