"""The ways to run asyncio that these tests compare, and a collector that runs only when told."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from pathlib import Path

import batuta
import pytest

from leaks.ways import WAYS, Way

HERE = Path(__file__).parent

CAN_ACCELERATE = "accelerate" in inspect.signature(batuta.install).parameters


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents:
            continue
        # An exception in __del__ or in a thread fails the test that made it.
        for category in ("UnraisableException", "UnhandledThreadException"):
            mark = pytest.mark.filterwarnings(f"error::pytest.Pytest{category}Warning")
            item.add_marker(mark, append=False)


@pytest.fixture(params=[name for name in WAYS if CAN_ACCELERATE or name != "accelerated"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Stock asyncio, Batuta's loop, and Batuta's loop with its classes behind asyncio's names."""
    with WAYS[request.param].entered() as entered:
        yield entered


@pytest.fixture(params=["stock", "batuta"])
def loop_way(request: pytest.FixtureRequest) -> Way:
    """Stock asyncio and Batuta's loop, for what has nothing to do with asyncio's names."""
    return WAYS[request.param]


@pytest.fixture(autouse=True, scope="module")
def frozen() -> Iterator[None]:
    """What is there before the tests of a module is not looked at by each collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def collector_off(frozen: None) -> Iterator[None]:
    """What dies in a test dies by its last reference, unless the test collects."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()
