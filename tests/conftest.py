"""Fixtures shared by all tests of Batuta itself: the two loops, programs in child processes.

A test that asks for `loop_factory`, `run`, `loop` or `child` runs twice: on stock asyncio and on
Batuta.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from loops import STOCK, SUBJECT, Child, LoopFactory, Run, load


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
