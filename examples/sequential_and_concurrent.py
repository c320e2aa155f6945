"""One after the other, or all at once: what a task is for.

Three shops answer a question about a price after 0.1, 0.2 and 0.3 seconds.
Awaiting the three calls in a row takes the sum of the delays; as three tasks
they wait at the same time, and the whole takes as long as the slowest one.

What to look at: the order of the "answers" lines (in the second part the
quickest shop comes first, whoever was asked first) and the two times.

It prints:

    one after the other
      slow shop answers
      quick shop answers
      middling shop answers
      prices [30, 10, 20], 0.6 s
    as tasks
      quick shop answers
      middling shop answers
      slow shop answers
      prices [30, 10, 20], 0.3 s
"""

import asyncio
import time

# Name of the shop, seconds until it answers, price.
SHOPS = [("slow shop", 0.3, 30), ("quick shop", 0.1, 10), ("middling shop", 0.2, 20)]


def tenths(seconds: float) -> float:
    """Round down to tenths (5 ms tolerance), so that each run prints the same."""
    return int(seconds * 10 + 0.05) / 10


async def ask(shop: str, delay: float, price: int) -> int:
    # The await is where this coroutine stops and others may run.
    await asyncio.sleep(delay)
    print(f"  {shop} answers")
    return price


async def one_after_the_other() -> list[int]:
    # Each turn of this loop waits for its answer before the next question is asked.
    return [await ask(*shop) for shop in SHOPS]


async def as_tasks() -> list[int]:
    # create_task says "start this soon, I shall not wait here": all three
    # questions are asked before the first answer is awaited.
    tasks = [asyncio.create_task(ask(*shop)) for shop in SHOPS]
    return [await task for task in tasks]


async def main() -> None:
    for title, way in (("one after the other", one_after_the_other), ("as tasks", as_tasks)):
        print(title)
        began = time.monotonic()
        prices = await way()
        print(f"  prices {prices}, {tenths(time.monotonic() - began)} s")


if __name__ == "__main__":
    asyncio.run(main())
