"""What the tests of the local service share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import batuta
import pytest
from fake_client import Run


@pytest.fixture(params=["stock", "batuta"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a new loop: of stock asyncio, and of Batuta."""
    return asyncio.run if request.param == "stock" else batuta.run


@pytest.fixture(autouse=True)
def nothing_was_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Cut connections and refused requests are the service's work: they are no errors in a log."""
    yield
    logged = [record for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
    assert not logged, logged
