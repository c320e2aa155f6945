"""Futures set by hand: a result that does not exist yet.

A future is a box that is empty until somebody sets a result, an exception, or
cancels it. Any number of tasks may wait for it. Libraries make futures at the
border between callbacks and coroutines; with tasks alone you rarely need one.

What to look at: set_result() wakes nobody at once. It only puts the waiters
and the callbacks into the loop's queue, and they run, in the order in which
they came, after the one who set it has given way.

It prints:

    a result
      main: the future is pending
      reader 1: waits
      reader 2: waits
      main: set the result, done() is True
      main: gives way
      reader 1: got 'the parcel'
      callback: sees 'the parcel'
      reader 2: got 'the parcel'
    a second result
      InvalidStateError
    an exception
      reader: ValueError: the parcel is lost
    a cancelled future
      reader: the future was cancelled
"""

import asyncio


async def reader(name: str, future: asyncio.Future[str]) -> None:
    print(f"  {name}: waits")
    print(f"  {name}: got {await future!r}")


async def give_a_result(loop: asyncio.AbstractEventLoop) -> asyncio.Future[str]:
    future: asyncio.Future[str] = loop.create_future()
    print(f"  main: the future is {'done' if future.done() else 'pending'}")

    # First a reader, then a callback, then another reader: they are woken in this order.
    first = asyncio.create_task(reader("reader 1", future))
    await asyncio.sleep(0)
    future.add_done_callback(lambda done: print(f"  callback: sees {done.result()!r}"))
    second = asyncio.create_task(reader("reader 2", future))
    await asyncio.sleep(0)

    future.set_result("the parcel")
    print(f"  main: set the result, done() is {future.done()}")
    print("  main: gives way")
    await first
    await second
    return future


async def give_an_exception(loop: asyncio.AbstractEventLoop) -> None:
    future: asyncio.Future[str] = loop.create_future()
    # call_soon stands for any callback: a protocol, a thread, a signal handler.
    loop.call_soon(future.set_exception, ValueError("the parcel is lost"))
    try:
        await future
    except ValueError as error:
        # The exception is raised where the future is awaited.
        print(f"  reader: {type(error).__name__}: {error}")


async def cancel(loop: asyncio.AbstractEventLoop) -> None:
    future: asyncio.Future[str] = loop.create_future()
    loop.call_soon(future.cancel)
    try:
        await future
    except asyncio.CancelledError:
        # Only the future was cancelled, not this task: it may go on.
        print("  reader: the future was cancelled")


async def main() -> None:
    loop = asyncio.get_running_loop()
    print("a result")
    future = await give_a_result(loop)
    print("a second result")
    try:
        future.set_result("another parcel")
    except asyncio.InvalidStateError as error:
        print(f"  {type(error).__name__}")
    print("an exception")
    await give_an_exception(loop)
    print("a cancelled future")
    await cancel(loop)


if __name__ == "__main__":
    asyncio.run(main())
