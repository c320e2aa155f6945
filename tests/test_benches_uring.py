"""The plain server by io_uring, and the comparison with the one by epoll."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import load, uring
from benches.child import Worker, WorkerFailed
from benches.settings import Settings
from benches.stats import Summary

pytestmark = [
    pytest.mark.skipif(
        not (os.environ.get(load.BINARY_VARIABLE) or shutil.which("cargo", path=load.cargo_path())),
        reason="cargo is not installed: the load generator is built with it",
    ),
    pytest.mark.timeout(170),  # the first test may have to build it
]


@pytest.fixture(scope="module", autouse=True)
def ring() -> None:
    """Skips where the system or a container's rules allow no ring."""
    load.binary()
    try:
        Worker.of_command(load.serve_command(place="uring")).close()
    except WorkerFailed as failed:
        if any(word in str(failed) for word in ("not permitted", "not implemented", "Permission")):
            pytest.skip(f"no io_uring here: {failed}")
        raise


@pytest.mark.parametrize(("size", "in_flight"), [(2, 1), (1024, 16), (300_000, 1)])
def test_every_byte_comes_back(size: int, in_flight: int) -> None:
    with Worker.of_command(load.serve_command(place="uring")) as server:
        report = load.run(
            {"address": f"{server.identity['host']}:{server.identity['port']}"},
            flags=["verify"],
            seconds=0.05,
            warm_up=0.02,
            connections=20,
            size=size,
            in_flight=in_flight,
        )
    assert report["verified"] is True
    assert report["requests"] > 20


def test_a_sample_is_processor_time_per_request() -> None:
    settings = Settings(seconds=0.1, warm_up=0.02)
    costs = [uring.sample(place, (64, 10, 1), settings) for place in uring.PLACES]
    assert all(cost is None or 0.5 < cost < 500 for cost in costs)


def test_the_table_has_a_line_for_each_row() -> None:
    result = uring.Compared(1024, 10, 16, Summary(3.0, 0.02, 5), Summary(2.0, 0.04, 5))
    assert uring.table([result]).splitlines()[2:] == [
        "| 1,024 B | 10 | 16 | 3.00 ±1% | 2.00 ±2% | 1.50x |"
    ]
