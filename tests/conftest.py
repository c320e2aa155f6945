"""Fixtures shared by all tests: the two loops, programs in child processes, what a test needs.

A test that asks for `loop_factory`, `run`, `loop` or `child` runs twice: on stock asyncio and on
Batuta. A test marked `needs("redis-server")` is left out where that is not installed; the summary
then names it and says how to install it, and with BATUTA_REQUIRE_ALL=1 it fails instead.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))  # for `loops` and its like

from loops import STOCK, SUBJECT, Child, LoopFactory, Run, load
from needs import is_there

REQUIRE_ALL = os.environ.get("BATUTA_REQUIRE_ALL", "") not in ("", "0")
LAST_RESORT = 180  # seconds after which a test that hangs in native code ends the whole process

LeftOut = dict[str, list[str]]
left_out_key = pytest.StashKey[LeftOut]()
stderr_key = pytest.StashKey[IO[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): servers and packages that the test needs")
    config.stash[left_out_key] = {}
    config.stash[stderr_key] = os.fdopen(os.dup(sys.__stderr__.fileno()), "w")


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[stderr_key].close()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            there, how = is_there(name)
            if there:
                continue
            if REQUIRE_ALL:
                pytest.fail(f"{name} is not installed and BATUTA_REQUIRE_ALL is set: {how}")
            item.config.stash[left_out_key].setdefault(f"{name} ({how})", []).append(item.nodeid)
            pytest.skip(f"{name} is not installed: {how}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    left_out = config.stash[left_out_key]
    if not left_out:
        return
    terminalreporter.section("left out")
    for need, tests in left_out.items():
        terminalreporter.line(f"needs {need}:")
        for test in tests:
            terminalreporter.line(f"  {test}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End the process when even pytest-timeout cannot: a loop that hangs in native code."""
    faulthandler.dump_traceback_later(LAST_RESORT, exit=True, file=item.config.stash[stderr_key])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(params=[pytest.param(STOCK, id="stock"), pytest.param(SUBJECT, id="batuta")])
def loop_spec(request: pytest.FixtureRequest) -> str:
    """The loop that this run of the test is for, as "module:factory"."""
    spec: str = request.param
    return spec


@pytest.fixture
def is_stock(loop_spec: str) -> bool:
    """Whether the test runs on stock asyncio now (to name a bug of stock's own)."""
    return loop_spec == STOCK


@pytest.fixture
def loop_factory(loop_spec: str) -> LoopFactory:
    """Makes a new loop of the kind that this run of the test is for."""
    return load(loop_spec)


@pytest.fixture
def run(loop_factory: LoopFactory) -> Run:
    """Runs a coroutine function on a new loop."""
    return Run(loop_factory)


@pytest.fixture
def child(loop_spec: str) -> Child:
    """Runs programs that use the loop in child processes."""
    return Child(loop_spec)


@pytest.fixture
def loop(loop_factory: LoopFactory) -> Iterator[asyncio.AbstractEventLoop]:
    """A new loop that is not running; closed after the test."""
    new = loop_factory()
    yield new
    if not new.is_closed():
        new.run_until_complete(new.shutdown_asyncgens())
        new.close()
