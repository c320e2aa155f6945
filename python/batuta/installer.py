"""`install` and `uninstall`: Batuta behind asyncio's own names, and back.

What is replaced, and nothing else:

- the policy in force, by `EventLoopPolicy`, which keeps the loops that threads have set;
- `_loop_factory` of asyncio's default policy, so that a default policy made later, by the program
  or by asyncio itself after `set_event_loop_policy(None)`, makes Batuta loops too;
- `SelectorEventLoop` and (from 3.13) `EventLoop` in `asyncio` and `asyncio.unix_events`, by the
  class `SelectorEventLoop` below.

Everything is put back as it was, unless the program has put something else there meanwhile.
Owns `_installed`, the record of one installation; any thread, under `_lock`.
"""

import asyncio
import selectors
import sys
import threading
from abc import ABCMeta
from asyncio import unix_events
from types import ModuleType
from typing import Any, Final

from batuta.loop import EventLoop

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


class _SelectorEventLoopType(ABCMeta):
    """The type of the stand-in class: what `isinstance`, `issubclass` and `class` do with it.

    It derives from ABCMeta so that a program may mix the stand-in with an abstract base class.
    """

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any
    ) -> Any:
        """Make a class; one that derives from the stand-in becomes a child of asyncio's own loop.

        A program that derives from asyncio's loop overrides and calls what is inside that loop,
        so it gets that loop.
        """
        if not any(isinstance(base, _SelectorEventLoopType) for base in bases):
            return super().__new__(mcls, name, bases, namespace, **keywords)
        own_bases = tuple(
            _STOCK if isinstance(base, _SelectorEventLoopType) else base for base in bases
        )
        return type(name, own_bases, namespace, **keywords)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, (_STOCK, EventLoop))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, (_STOCK, EventLoop))


class SelectorEventLoop(unix_events.SelectorEventLoop, metaclass=_SelectorEventLoopType):
    """What stands in for `asyncio.SelectorEventLoop`: calling it makes a Batuta loop.

    As a base class it is asyncio's own loop, and it accepts the loops of both.
    """

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

    def undo(self) -> None:
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


def install() -> None:
    """Make every way in which a program gets an event loop give it a Batuta loop.

    Loops that exist already stay what they are. A second call does nothing.
    """
    global _installed
    with _lock:
        if _installed is None:
            _installed = _Installation()


def uninstall() -> None:
    """Undo `install`. Loops that exist stay what they are; without `install` it does nothing."""
    global _installed
    with _lock:
        if _installed is not None:
            _installed.undo()
            _installed = None
