"""A task against a coroutine: who gives way to whom, and when.

Awaiting a coroutine runs it at once, as part of the task that awaits it: it is
nearly a plain call, and nobody else runs until something in it really waits.
Creating a task only puts it in the queue: it starts when the running task
gives way to the loop. "await" alone is not giving way: awaiting a coroutine
that never waits, or a task that has already finished, does not let anybody in.

What to look at: the bystander is created first but speaks only at the first
real wait of somebody else.

It prints:

    part 1: a bystander task and two coroutines
      main: the bystander exists, it has not run
      busy coroutine: runs without waiting
      main: still nothing from the bystander
      chatty coroutine: starts
      bystander: starts
      chatty coroutine: goes on
      main: the chatty coroutine is done
      bystander: goes on
      main: the bystander is done
    part 2: awaiting what is already done
      main: awaited a finished task, got 'bystander'
      main: the late comer has not run
      late comer: starts
      main: gave way once with sleep(0)
      late comer: goes on
"""

import asyncio


async def busy(name: str) -> None:
    # No await in here: whoever awaits this coroutine does not give way.
    print(f"  {name}: runs without waiting")


async def chatty(name: str) -> str:
    print(f"  {name}: starts")
    # sleep(0) waits for nothing: it gives every other ready task one turn.
    await asyncio.sleep(0)
    print(f"  {name}: goes on")
    return name


async def main() -> None:
    print("part 1: a bystander task and two coroutines")
    bystander = asyncio.create_task(chatty("bystander"))
    print("  main: the bystander exists, it has not run")

    await busy("busy coroutine")
    print("  main: still nothing from the bystander")

    # This starts before the bystander, though it was created later: it runs in
    # main's own turn. Its sleep(0) ends that turn, and the bystander gets in.
    await chatty("chatty coroutine")
    print("  main: the chatty coroutine is done")

    await bystander
    print("  main: the bystander is done")

    print("part 2: awaiting what is already done")
    late = asyncio.create_task(chatty("late comer"))
    # The bystander has its result: the await returns it without a pause.
    print(f"  main: awaited a finished task, got {await bystander!r}")
    print("  main: the late comer has not run")
    await asyncio.sleep(0)
    print("  main: gave way once with sleep(0)")
    await late


if __name__ == "__main__":
    asyncio.run(main())
