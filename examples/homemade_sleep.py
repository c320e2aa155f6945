"""asyncio.sleep made at home: a future, and a watcher task that looks at the clock.

async_sleep() makes a future, starts a task that sets it when the time has
come, and awaits it. The watcher yields to the loop between two looks, so that
other tasks run. It works, and it is wasteful: a watcher keeps the processor
busy for the whole time. The loop's own timer needs no watcher, because the
loop asks the operating system to be woken in time; the second part fills the
same kind of future from that timer.

What to look at: the sleepers wake in the order of their delays, all within
0.3 s; the watchers look at the clock all the time, the timer calls back once
for each sleeper.

It prints:

    with watchers
      0.1 s are over
      0.2 s are over
      0.3 s are over
      all together: 0.3 s
      more than 100 looks at the clock: True
    with the loop's timer
      0.1 s are over
      0.2 s are over
      0.3 s are over
      all together: 0.3 s
      callbacks: 3
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Generator

DELAYS = (0.3, 0.1, 0.2)
count: Counter[str] = Counter()


def tenths(seconds: float) -> float:
    """Round down to tenths (5 ms tolerance), so that each run prints the same."""
    return int(seconds * 10 + 0.05) / 10


class YieldToLoop:
    """What asyncio.sleep(0) is inside: a bare yield, which ends the task's turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def watch(future: asyncio.Future[None], deadline: float) -> None:
    while time.monotonic() < deadline:
        count["looks"] += 1
        # Without this line nobody else would run until the deadline.
        await YieldToLoop()
    # The sleeper may have been cancelled in the meantime.
    if not future.done():
        future.set_result(None)


async def async_sleep(seconds: float) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    # Keep the task in a variable: the loop itself holds tasks only weakly.
    watcher = asyncio.create_task(watch(future, time.monotonic() + seconds))
    try:
        await future
    finally:
        # If the sleep is cancelled, its watcher must not live on.
        watcher.cancel()


async def timer_sleep(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def ring() -> None:
        count["callbacks"] += 1
        if not future.done():
            future.set_result(None)

    timer = loop.call_later(seconds, ring)
    try:
        await future
    finally:
        timer.cancel()


async def three_sleepers(sleep: Callable[[float], Awaitable[None]]) -> None:
    async def sleeper(delay: float) -> None:
        await sleep(delay)
        print(f"  {delay} s are over")

    began = time.monotonic()
    await asyncio.gather(*(sleeper(delay) for delay in DELAYS))
    print(f"  all together: {tenths(time.monotonic() - began)} s")


async def main() -> None:
    print("with watchers")
    await three_sleepers(async_sleep)
    print(f"  more than 100 looks at the clock: {count['looks'] > 100}")
    print("with the loop's timer")
    await three_sleepers(timer_sleep)
    print(f"  callbacks: {count['callbacks']}")


if __name__ == "__main__":
    asyncio.run(main())
