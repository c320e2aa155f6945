"""Running a coroutine on Batuta: the counterparts of what asyncio has for that."""

import asyncio
import contextlib
import sys
import threading
import warnings
from asyncio import AbstractEventLoop, events
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from batuta import acceleration
from batuta.loop import EventLoop

T = TypeVar("T")


def new_event_loop() -> EventLoop:
    """Return a new Batuta event loop: a `loop_factory` for whatever takes one."""
    return EventLoop()


class Runner(asyncio.Runner):  # type: ignore[misc]  # final to type checkers only
    """`asyncio.Runner`, whose loop is a Batuta loop unless `loop_factory` says otherwise."""

    def __init__(
        self,
        *,
        debug: bool | None = None,
        loop_factory: Callable[[], AbstractEventLoop] | None = None,
    ) -> None:
        super().__init__(debug=debug, loop_factory=loop_factory or new_event_loop)


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], AbstractEventLoop] | None = None,
    accelerate: bool = False,
) -> T:
    """Run the coroutine `main` on a new Batuta loop, close the loop and return the result.

    As `asyncio.run`, and with the keywords of the newest one on every Python version.
    `loop_factory` is for a subclass of `EventLoop` or a loop that needs settings of its own.
    With `accelerate`, asyncio's own classes and functions are replaced by native ones until it
    returns, in all threads: see `install`.
    """
    if events._get_running_loop() is not None:
        # Said here, because the runner would first make a loop that nothing needs.
        raise RuntimeError("batuta.run() cannot be called from a running event loop")
    with acceleration.held() if accelerate else contextlib.nullcontext():
        with Runner(debug=debug, loop_factory=loop_factory) as runner:
            return runner.run(main)


def _make_current_loop() -> None:
    """Make the loop that asyncio's default policy would now make for the main thread."""
    from batuta.policy import DefaultPolicy, current_policy

    policy = current_policy()
    if not isinstance(policy, DefaultPolicy):
        return
    state: Any = policy._local  # type: ignore[attr-defined]  # typeshed leaves it out
    in_main_thread = threading.current_thread() is threading.main_thread()
    if state._loop is None and not state._set_called and in_main_thread:
        if sys.version_info >= (3, 12):
            warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=3)
        policy.set_event_loop(new_event_loop())


def get_event_loop() -> AbstractEventLoop:
    """Return the running loop, or else the one that this thread has set.

    As `asyncio.get_event_loop`, but where that makes a loop (before 3.14), this one makes a Batuta
    loop.
    """
    running = events._get_running_loop()
    if running is not None:
        return running
    if sys.version_info < (3, 14):
        _make_current_loop()
    return asyncio.get_event_loop()
