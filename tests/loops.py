"""The loops that the tests run on, and how a test runs a coroutine on one of them.

A loop is named by "module:factory". The subject is Batuta, unless BATUTA_TEST_SUBJECT names another
one (for example "uvloop:new_event_loop"), which is how a new test is shown to be able to fail.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
Report = dict[str, Any]

STOCK = "asyncio:new_event_loop"
SUBJECT = os.environ.get("BATUTA_TEST_SUBJECT", "batuta:new_event_loop")
TESTS = Path(__file__).resolve().parent


def load(spec: str) -> LoopFactory:
    """The loop factory that a "module:factory" text names."""
    module, _, name = spec.partition(":")
    factory: LoopFactory = getattr(importlib.import_module(module), name)
    return factory


class Run:
    """Runs coroutine functions on one kind of loop and holds what reached its exception handler."""

    def __init__(self, factory: LoopFactory) -> None:
        self.factory = factory

    def __call__(
        self,
        main: Callable[[], Coroutine[Any, Any, T]],
        *,
        debug: bool | None = None,
        reports: list[Report] | None = None,
    ) -> T:
        """Run main() on a new loop; without `reports`, any call of the exception handler fails."""
        seen: list[Report] = [] if reports is None else reports
        with asyncio.Runner(debug=debug, loop_factory=self.factory) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, context: seen.append(context))
            result = runner.run(main())
        if reports is None:
            assert seen == [], f"the exception handler was called: {seen}"
        return result


class Child:
    """Runs a program in a fresh interpreter in which `new_event_loop` and `run` are defined."""

    def __init__(self, spec: str) -> None:
        self.spec = spec

    def command(self, code: str, *options: str) -> list[str]:
        """The argument list that runs the program `code`."""
        head = "from contract.in_child import LOOP, new_event_loop, run\n"
        return [sys.executable, *options, "-c", head + textwrap.dedent(code)]

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment for command(): this one, with the loop and the tests' folder in it."""
        paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTHONASYNCIO")}
        return {
            **inherited,
            "LOOP_UNDER_TEST": self.spec,
            "PYTHONPATH": os.pathsep.join(paths),
            **extra,
        }

    def __call__(
        self, code: str, *options: str, timeout: float = 60, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the program to its end and return its exit code and output."""
        return subprocess.run(
            self.command(code, *options),
            env=self.environment(**extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def check(self, code: str, *options: str, **extra: str) -> str:
        """Run a program that must exit with 0 and print nothing to stderr; return its output."""
        done = self(code, *options, **extra)
        assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}\n{done.stderr}"
        return done.stdout

    def start(self, code: str, *options: str, **extra: str) -> subprocess.Popen[str]:
        """Start the program with pipes for its output; the caller must wait for it."""
        return subprocess.Popen(
            self.command(code, *options),
            env=self.environment(**extra),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
