"""A child watcher that the program has chosen: how it learns of ends until Python 3.13."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import batuta
import pytest

from loops import Run

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="child watchers are gone from Python 3.14"
)

# Deprecated from 3.12 on; typeshed knows them up to 3.13 only.
Watcher: Any = getattr(asyncio, "ThreadedChildWatcher", object)
Policy: Any = getattr(asyncio, "DefaultEventLoopPolicy", object)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)

    class Counted(Watcher):  # type: ignore[misc]
        """Notes whose ends it was asked to watch."""

        def __init__(self) -> None:
            super().__init__()
            self.watched: list[int] = []

        def add_child_handler(self, pid: int, callback: Any, *args: Any) -> None:
            self.watched.append(pid)
            super().add_child_handler(pid, callback, *args)


class OwnWay(Policy):  # type: ignore[misc]
    """A policy that finds its watcher by itself."""

    def __init__(self, watcher: Any) -> None:
        super().__init__()
        self.own = watcher

    def get_child_watcher(self) -> Any:
        return self.own


@pytest.fixture
def policy() -> Iterator[Any]:
    """A policy in force for one test."""
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Policy())
    yield asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(before)


async def one_child() -> int:
    process = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 3")
    assert await process.wait() == 3
    return process.pid


def test_a_watcher_that_was_set_is_asked(run: Run, policy: Any) -> None:
    watcher = Counted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy.set_child_watcher(watcher)

    async def main() -> None:
        assert watcher.watched == [await one_child()]

    run(main)


def test_a_policy_with_a_method_of_its_own_is_asked(run: Run, policy: Any) -> None:
    watcher = Counted()
    asyncio.set_event_loop_policy(OwnWay(watcher))

    async def main() -> None:
        assert watcher.watched == [await one_child()]

    run(main)


def test_one_of_the_usual_kind_is_none_of_the_program(
    run: Run, policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncio asks it; Batuta has a better one of the same kind."""
    asked: list[int] = []
    add_child_handler = Watcher.add_child_handler

    def add(self: Any, pid: int, *args: Any) -> None:
        asked.append(pid)
        add_child_handler(self, pid, *args)

    monkeypatch.setattr(Watcher, "add_child_handler", add)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy.set_child_watcher(Watcher())

    async def main() -> None:
        pid = await one_child()
        native = isinstance(asyncio.get_running_loop(), batuta.EventLoop)
        assert asked == ([] if native else [pid])

    run(main)
