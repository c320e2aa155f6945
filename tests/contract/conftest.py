"""What holds for all contract tests: a time limit, and no silent leak."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE not in item.path.parents:
            continue
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(45))
        # An exception in __del__ or in a thread fails the test that made it.
        for category in ("UnraisableException", "UnhandledThreadException"):
            mark = pytest.mark.filterwarnings(f"error::pytest.Pytest{category}Warning")
            item.add_marker(mark, append=False)


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect garbage before and after the test, so that it owns the warnings it sees."""
    gc.collect()
    yield
    gc.collect()
