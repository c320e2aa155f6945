"""Hooks for all tests, those of Batuta and those of its applications: what a test needs, and an end
to tests that hang.

A test marked `needs("redis-server")` is left out where that is not installed; the summary then
names it and says how to install it, and with BATUTA_REQUIRE_ALL=1 it fails instead.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

# For `needs`, `loops` and their like.
sys.path.insert(0, str(Path(__file__).resolve().parent / "tests"))

from needs import is_there

REQUIRE_ALL = os.environ.get("BATUTA_REQUIRE_ALL", "") not in ("", "0")
LAST_RESORT = 180  # seconds after which a test that hangs in native code ends the whole process

LeftOut = dict[str, list[str]]
left_out_key = pytest.StashKey[LeftOut]()
stderr_key = pytest.StashKey[IO[str]]()


def pytest_configure(config: pytest.Config) -> None:
    # What a shell starts in the background ignores Ctrl-C, and so do its children: the tests of
    # Ctrl-C would wait for an end that does not come.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
