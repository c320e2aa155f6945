"""Running a coroutine on Batuta: the counterparts of `asyncio.run` and `asyncio.new_event_loop`."""

from asyncio import AbstractEventLoop, Runner, events
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from batuta.loop import EventLoop

T = TypeVar("T")


def new_event_loop() -> EventLoop:
    """Return a new Batuta event loop: a `loop_factory` for whatever takes one."""
    return EventLoop()


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], AbstractEventLoop] | None = None,
) -> T:
    """Run the coroutine `main` on a new Batuta loop, close the loop and return the result.

    As `asyncio.run`, and with the keywords of the newest one on every Python version.
    `loop_factory` is for a subclass of `EventLoop` or a loop that needs settings of its own.
    """
    if events._get_running_loop() is not None:
        # Said here, because the runner would first make a loop that nothing needs.
        raise RuntimeError("batuta.run() cannot be called from a running event loop")
    with Runner(debug=debug, loop_factory=loop_factory or new_event_loop) as runner:
        return runner.run(main)
