"""The plain server by io_uring, and the comparison with the one by epoll."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import load, uring
from benches.child import Worker, WorkerFailed
from benches.figures import Sample
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


def test_a_sample_is_processor_time_per_request_on_a_server_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flags = []
    run = load.run

    def watched(where: dict[str, str | Path], **options: Any) -> dict[str, Any]:
        flags.append(tuple(options["flags"]))
        return run(where, **options)

    monkeypatch.setattr(load, "run", watched)
    settings = Settings(seconds=0.1, warm_up=0.02)
    for place in uring.PLACES:
        assert 0.5 < uring.sample(place, (64, 10, 1), settings).figures["server_cpu_us"] < 500
    assert flags == [("verify",), ()] * 2


def scripted(monkeypatch: pytest.MonkeyPatch, **scripts: list[Sample]) -> uring.Compared:
    """A comparison of three rounds whose samples are given; the last repeats."""

    def sample(place: str, row: tuple[int, int, int], settings: Settings) -> Sample:
        return scripts[place].pop(0) if len(scripts[place]) > 1 else scripts[place][0]

    monkeypatch.setattr(uring, "sample", sample)
    return uring.compare((64, 10, 1), Settings(rounds=3), None)


def taken(cost: float, disturbed: str | None = None) -> Sample:
    return Sample({"server_cpu_us": cost}, {}, disturbed)


def test_disturbed_samples_are_left_out_where_there_are_enough_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = scripted(
        monkeypatch,
        tcp=[taken(4.0), taken(900.0, "others"), taken(4.0)],
        uring=[taken(2.0)],
    )
    assert (found.epoll, found.uring) == (Summary(4.0, 0.0, 3), Summary(2.0, 0.0, 4))
    assert found.gain == 2.0
    assert not found.marked


def test_a_row_that_others_disturb_all_the_time_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = scripted(monkeypatch, tcp=[taken(4.0)], uring=[taken(2.0), taken(3.0, "others")])
    assert found.marked
    assert found.uring == Summary(3.0, 0.0, 6)
    assert "| 64 B † | 10 | 1 | 4.00" in uring.table([found])


def test_the_table_has_a_line_for_each_row() -> None:
    result = uring.Compared(1024, 10, 16, Summary(3.0, 0.02, 5), Summary(2.0, 0.04, 5))
    assert uring.table([result]).splitlines()[2:] == [
        "| 1,024 B | 10 | 16 | 3.00 ±1% | 2.00 ±2% | 1.50x |"
    ]
