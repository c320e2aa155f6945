"""The ways to run asyncio: stock, Batuta, and Batuta behind all of asyncio's names."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import batuta

from loops import STOCK, SUBJECT, Report, Run, load

T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """One way; `run` runs a coroutine function on a new loop of it."""

    name: str
    spec: str
    accelerate: bool = False

    @contextlib.contextmanager
    def entered(self) -> Iterator[Way]:
        """While this lasts, asyncio's names lead to what this way has."""
        if not self.accelerate:
            yield self
            return
        install: Any = batuta.install
        install(accelerate=True)
        try:
            yield self
        finally:
            batuta.uninstall()

    @property
    def is_stock(self) -> bool:
        return self.spec == STOCK

    def new_loop(self) -> asyncio.AbstractEventLoop:
        return load(self.spec)()

    def run(
        self,
        main: Callable[[], Coroutine[Any, Any, T]],
        *,
        debug: bool | None = None,
        reports: list[Report] | None = None,
    ) -> T:
        """As `loops.Run`: without `reports`, any call of the exception handler fails."""
        return Run(load(self.spec))(main, debug=debug, reports=reports)


WAYS = {
    way.name: way
    for way in (
        Way("stock", STOCK),
        Way("batuta", SUBJECT),
        Way("accelerated", SUBJECT, accelerate=True),
    )
}


@contextlib.contextmanager
def without_acceleration(way: Way) -> Iterator[None]:
    """Meanwhile asyncio's names lead to asyncio itself, whatever the way."""
    if not way.accelerate:
        yield
        return
    batuta.uninstall()
    try:
        yield
    finally:
        install: Any = batuta.install
        install(accelerate=True)
