"""The class that stands in for stock's loop class, and where it is put.

Role: `install(spec)` makes a subclass of the loop class under test and puts it wherever asyncio
keeps its own: every public name in an asyncio module that is bound to the selector loop class, and
the `_loop_factory` of the default policy.  All factories end there, so every loop that a test gets
without building it by hand is an instance of that subclass.  The private name of the class stays
stock's: no test makes a loop by it, and the loop under test may borrow methods through it.

Invariants: the stand-in is a class (tests ask `isinstance` and subclass it); its optional
`selector` argument is honoured by stock and closed unused by every other loop; stock is replaced
in the same way as any other subject, so what stock passes is not disturbed by the replacement.

Thread: `made()` may be read from the main thread while a test's threads make loops; the counter
is only ever compared for "more than before".
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import sys
from collections.abc import Callable
from typing import Any

NAMED = {"batuta": "batuta:EventLoop", "stock": "asyncio:SelectorEventLoop"}


class SubjectError(Exception):
    """The subject cannot be used: its message is for the user."""


class Tally:
    """Counts the loops made so far."""

    def __init__(self) -> None:
        self._next = itertools.count(1)
        self.made = 0

    def add(self) -> None:
        self.made = next(self._next)


def loop_class(spec: str) -> type[asyncio.AbstractEventLoop]:
    """The loop class that `spec` ("batuta", "stock" or "module:factory") stands for."""
    module_name, colon, attribute = NAMED.get(spec, spec).partition(":")
    if not colon:
        raise SubjectError(f"--subject must be batuta, stock or MODULE:FACTORY, not {spec!r}")
    try:
        factory: Any = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as exc:
        raise SubjectError(f"the subject {spec} cannot be imported: {exc}") from exc
    if isinstance(factory, type):
        return factory
    loop = factory()
    loop.close()
    return type(loop)


def stand_in(
    base: type[Any], tally: Tally, *, takes_selector: bool
) -> type[asyncio.AbstractEventLoop]:
    """A subclass of `base` that counts its instances and accepts an optional selector."""

    class StandIn(base):  # type: ignore[misc]
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            return base.__new__(cls)  # type: ignore[call-overload]

        def __init__(self, selector: Any = None) -> None:
            tally.add()
            if takes_selector:
                super().__init__(selector)
                return
            if selector is not None:
                selector.close()
            super().__init__()

    if not hasattr(base, "_default_executor"):
        # The clean-up of CPython's test classes reads this private name after every test; a loop
        # that is no BaseEventLoop would fail them all for that alone.
        StandIn._default_executor = None
    StandIn.__name__ = base.__name__
    StandIn.__qualname__ = base.__qualname__
    StandIn.__module__ = base.__module__
    return StandIn


def put_in_place(stock: type[Any], replacement: type[Any]) -> list[str]:
    """Bind `replacement` wherever asyncio's modules and policies hold `stock`; says where."""
    places: list[str] = []
    modules = [m for n, m in sys.modules.items() if n == "asyncio" or n.startswith("asyncio.")]
    policies: set[type[Any]] = set()
    for module in modules:
        for name, value in list(vars(module).items()):
            if value is stock and not name.startswith("_"):
                setattr(module, name, replacement)
                places.append(f"{module.__name__}.{name}")
            elif isinstance(value, type) and vars(value).get("_loop_factory") is stock:
                policies.add(value)
    for policy in policies:
        policy._loop_factory = replacement
        places.append(f"{policy.__module__}.{policy.__qualname__}._loop_factory")
    return places


def install(spec: str) -> Callable[[], int]:
    """Replace stock's loop class by the subject's; returns the counter of loops made."""
    stock: type[Any] = asyncio.SelectorEventLoop
    base = loop_class(spec)
    tally = Tally()
    replacement = stand_in(base, tally, takes_selector=issubclass(base, stock))
    places = put_in_place(stock, replacement)
    if "asyncio.SelectorEventLoop" not in places or not any("_loop_factory" in p for p in places):
        raise SubjectError(f"asyncio's loop factories are not where expected: found {places}")
    return lambda: tally.made
