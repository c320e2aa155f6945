"""`install` and `uninstall`: Batuta behind asyncio's own names, and back.

What is replaced, and nothing else:

- the policy in force, by `EventLoopPolicy`, which keeps the loops that threads have set;
- `_loop_factory` of asyncio's default policy, so that a default policy made later, by the program
  or by asyncio itself after `set_event_loop_policy(None)`, makes Batuta loops too;
- `SelectorEventLoop` and (from 3.13) `EventLoop` in `asyncio` and `asyncio.unix_events`, by the
  class `SelectorEventLoop` below;
- with `accelerate=True`, what `acceleration` says.

Everything is put back as it was, unless the program has put something else there meanwhile.
Owns `_installed`, the record of one installation; any thread, under `_lock`.
"""

import asyncio
import selectors
import sys
import threading
from asyncio import unix_events
from types import ModuleType
from typing import Final

from batuta import acceleration
from batuta.loop import EventLoop
from batuta.stand_in import StandInType

_STOCK: Final = unix_events.SelectorEventLoop
_NAMES: Final = ("SelectorEventLoop", "EventLoop")
_MODULES: Final[tuple[ModuleType, ...]] = (asyncio, unix_events)
# Selectors that differ only in the system call they make. Whoever passes one of these wants a
# loop; whoever passes another kind wants that kind, and only asyncio's own loop can use it.
_PLAIN_SELECTORS: Final = frozenset(
    getattr(selectors, name)
    for name in ("DefaultSelector", "EpollSelector", "PollSelector", "SelectSelector")
    if hasattr(selectors, name)
)


class SelectorEventLoop(unix_events.SelectorEventLoop, metaclass=StandInType):
    """What stands in for `asyncio.SelectorEventLoop`: calling it makes a Batuta loop.

    As a base class it is asyncio's own loop: a program that derives from it overrides and calls
    what is inside that loop. It accepts the loops of both.
    """

    _base = _STOCK
    _accepted = (_STOCK, EventLoop)

    def __new__(  # type: ignore[misc]  # a loop that is not one of its own on purpose
        cls, selector: selectors.BaseSelector | None = None
    ) -> asyncio.BaseEventLoop:
        if selector is None or (type(selector) in _PLAIN_SELECTORS and not selector.get_map()):
            return EventLoop()
        return _STOCK(selector)


class _Installation:
    """One installation: what stood where, and how to put it back."""

    def __init__(self) -> None:
        self.replaced: list[tuple[object, str, object, object]] = []
        self.accelerated = False
        for module in _MODULES:
            for name in _NAMES:
                if hasattr(module, name):
                    self._replace(module, name, SelectorEventLoop)
        if sys.version_info < (3, 16):
            from batuta.policy import (
                DefaultPolicy,
                EventLoopPolicy,
                current_policy,
                hand_over,
                set_policy,
            )

            self._replace(DefaultPolicy, "_loop_factory", EventLoop)
            self.old_policy = current_policy()
            self.policy = EventLoopPolicy()
            hand_over(self.old_policy, self.policy)
            set_policy(self.policy)

    def _replace(self, owner: object, name: str, value: object) -> None:
        self.replaced.append((owner, name, getattr(owner, name), value))
        setattr(owner, name, value)

    def accelerate(self) -> None:
        if not self.accelerated:
            acceleration.hold()
            self.accelerated = True

    def undo(self) -> None:
        if self.accelerated:
            acceleration.release()
        for owner, name, old, new in reversed(self.replaced):
            if getattr(owner, name, None) is new:
                setattr(owner, name, old)
        if sys.version_info < (3, 16):
            from batuta.policy import current_policy, hand_over, set_policy

            if current_policy() is self.policy:
                hand_over(self.policy, self.old_policy)
                set_policy(self.old_policy)


_lock: Final = threading.Lock()
_installed: _Installation | None = None


def install(*, accelerate: bool = False) -> None:
    """Make every way in which a program gets an event loop give it a Batuta loop.

    With `accelerate`, put the native classes and functions in the place of asyncio's own as well
    (`asyncio.Task`, `asyncio.Queue`, `asyncio.sleep`, and so on).
    Loops that exist already stay what they are. A second call only adds `accelerate`.
    """
    global _installed
    with _lock:
        if _installed is None:
            _installed = _Installation()
        if accelerate:
            _installed.accelerate()


def uninstall() -> None:
    """Undo `install`. Loops that exist stay what they are; without `install` it does nothing."""
    global _installed
    with _lock:
        if _installed is not None:
            _installed.undo()
            _installed = None
