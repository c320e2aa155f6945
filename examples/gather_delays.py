"""gather with different delays: the order of results, and what one error does.

gather() runs awaitables at the same time and gives their results in the order
of its arguments, whatever the order in which they finish.

What to look at: part 1, the two orders. Part 2, with return_exceptions=True an
error is one of the results. Part 3, without it the first error reaches the
caller at once while the others *keep running*. Part 4, a TaskGroup (Python
3.11 and later) cancels the others instead; prefer it when one failure makes
the rest pointless.

It prints:

    part 1: results come in the order of the arguments
      finished: b, c, a
      results: ['A', 'B', 'C']
    part 2: errors as results
      a -> A
      b -> ValueError: b failed
      c -> C
    part 3: the first error is raised, the others go on
      raised: b failed
      finished by then: nothing
      finished later: c, a
    part 4: a task group cancels the others
      raised: b failed
      finished later: nothing
      cancelled: a, c
"""

import asyncio

DELAYS = {"a": 0.3, "b": 0.1, "c": 0.2}

finished: list[str] = []
cancelled: list[str] = []


async def job(name: str, failing: str = "") -> str:
    try:
        await asyncio.sleep(DELAYS[name])
    except asyncio.CancelledError:
        cancelled.append(name)
        # A cancelled task should end as cancelled: clean up, then pass it on.
        raise
    if name in failing:
        raise ValueError(f"{name} failed")
    finished.append(name)
    return name.upper()


def so_far() -> str:
    return ", ".join(finished) or "nothing"


async def main() -> None:
    print("part 1: results come in the order of the arguments")
    results = await asyncio.gather(*(job(name) for name in DELAYS))
    print(f"  finished: {so_far()}")
    print(f"  results: {results}")

    print("part 2: errors as results")
    outcomes = await asyncio.gather(*(job(name, "b") for name in DELAYS), return_exceptions=True)
    for name, outcome in zip(DELAYS, outcomes, strict=True):
        failed = isinstance(outcome, BaseException)
        print(f"  {name} -> {type(outcome).__name__ + ': ' if failed else ''}{outcome}")

    print("part 3: the first error is raised, the others go on")
    finished.clear()
    # Hold the tasks, so that they can be waited for after gather has raised.
    tasks = [asyncio.create_task(job(name, "b")) for name in DELAYS]
    try:
        await asyncio.gather(*tasks)
    except ValueError as error:
        print(f"  raised: {error}")
    print(f"  finished by then: {so_far()}")
    await asyncio.wait(tasks)
    print(f"  finished later: {so_far()}")

    print("part 4: a task group cancels the others")
    finished.clear()
    try:
        async with asyncio.TaskGroup() as group:
            for name in DELAYS:
                group.create_task(job(name, "b"))
    except* ValueError as errors:
        # A group may collect several errors, hence except* and a group of them.
        print(f"  raised: {', '.join(str(error) for error in errors.exceptions)}")
    # The block has waited for every task: nothing is left to finish later.
    print(f"  finished later: {so_far()}")
    print(f"  cancelled: {', '.join(sorted(cancelled))}")


if __name__ == "__main__":
    asyncio.run(main())
