"""A coroutine driven by send(), with no event loop at all.

A coroutine is a function that can stop in the middle. "await" passes what an
awaitable yields up to whoever drives the outermost coroutine, and passes the
answer back down. asyncio is one such driver; here is another, in plain sight.

What to look at: part 1 is one conversation step by step; part 2 is an event
loop in a dozen lines (a queue, and send); part 3 is how cancelling works:
an exception thrown in at the point where the coroutine stopped.

It prints:

    part 1: send
      state: CORO_CREATED
      asks: first number?
      state: CORO_SUSPENDED
      asks: second number?
      returned: 42
      state: CORO_CLOSED
    part 2: a loop in a dozen lines
      a 0
      b 0
      c 0
      a 1
      b 1
      b 2
      finished in order: c, a, b
    part 3: throw
      asks: first number?
      the coroutine cleans up
      the driver sees: enough of this
"""

import inspect
from collections import deque
from collections.abc import Coroutine, Generator
from typing import Any


class Ask:
    """An awaitable that hands a question to the driver and waits for its answer."""

    def __init__(self, question: str) -> None:
        self.question = question

    def __await__(self) -> Generator[str, int, int]:
        # The yield stops every coroutine up to the outermost one. The value
        # that the driver sends comes out of it.
        answer = yield self.question
        return answer


async def ask_twice() -> int:
    # An inner coroutine needs no driver of its own: await delegates to it.
    return await Ask("first number?") + await Ask("second number?")


async def add() -> int:
    try:
        return await ask_twice()
    except RuntimeError:
        print("  the coroutine cleans up")
        raise


def converse() -> None:
    coroutine = add()
    # Calling add() has run nothing of its body yet.
    print(f"  state: {inspect.getcoroutinestate(coroutine)}")
    # The first send must be None: nothing waits for a value yet.
    print(f"  asks: {coroutine.send(None)}")
    print(f"  state: {inspect.getcoroutinestate(coroutine)}")
    print(f"  asks: {coroutine.send(20)}")
    try:
        coroutine.send(22)
    except StopIteration as stop:
        # The return value travels in the exception that ends every generator.
        print(f"  returned: {stop.value}")
    print(f"  state: {inspect.getcoroutinestate(coroutine)}")


class GiveWay:
    """An awaitable that asks for nothing: it only stops once."""

    def __await__(self) -> Generator[None, None, None]:
        yield


async def count(name: str, turns: int) -> str:
    for turn in range(turns):
        print(f"  {name} {turn}")
        if turn + 1 < turns:
            await GiveWay()
    return name


def run_all(*coroutines: Coroutine[Any, Any, str]) -> list[str]:
    """Run all coroutines in turn; return their results in the order they finished."""
    ready = deque(coroutines)
    finished = []
    while ready:
        coroutine = ready.popleft()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            finished.append(stop.value)
        else:
            ready.append(coroutine)
    return finished


def interrupt() -> None:
    coroutine = add()
    print(f"  asks: {coroutine.send(None)}")
    try:
        coroutine.throw(RuntimeError("enough of this"))
    except RuntimeError as error:
        print(f"  the driver sees: {error}")


def main() -> None:
    print("part 1: send")
    converse()
    print("part 2: a loop in a dozen lines")
    print("  finished in order: " + ", ".join(run_all(count("a", 2), count("b", 3), count("c", 1))))
    print("part 3: throw")
    interrupt()


if __name__ == "__main__":
    main()
