"""Every row of the benchmark suite, once, with next to nothing to do, on stock and on Batuta, plain
and accelerated.

No test here looks at how fast anything is: counts are tiny and the machine may be busy.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import load
from benches.contestants import CONTESTANTS, LIMIT, SUBJECTS
from benches.figures import FIGURES, Sample
from benches.peers import Peers
from benches.rows import (
    ROWS,
    ClientRow,
    EchoRow,
    FootprintRow,
    IdleRow,
    Row,
    SchedulingRow,
    SystemRow,
    Tier,
    select,
)
from benches.runner import RowResult, run_row
from benches.settings import settings_for

pytestmark = pytest.mark.timeout(170)  # the first one may have to build the load generator

TINY = replace(settings_for(quick=True, rounds=1), scale=0.0005, seconds=0.03, warm_up=0.01)
SERVERS = {"redis": "redis-server", "postgresql": "postgresql"}
BATUTA = importlib.util.find_spec("batuta") is not None
LOAD = bool(os.environ.get(load.BINARY_VARIABLE) or shutil.which("cargo", path=load.cargo_path()))


def marks(row: Row) -> list[pytest.MarkDecorator]:
    needs = list(getattr(row, "needs", ()))
    if isinstance(row, ClientRow) and row.peer in SERVERS:
        needs.append(SERVERS[row.peer])
    found = [pytest.mark.needs(*needs)] if needs else []
    if not LOAD and not isinstance(row, FootprintRow) and row.kind not in ("scheduling", "system"):
        why = "cargo is not installed: the load generator is built with it"
        found.append(pytest.mark.skip(reason=why))
    return found


def kind_of(row: EchoRow) -> tuple[Any, ...]:
    """What decides which code an echo row runs; sizes and numbers are all that is left."""
    return row.server, row.place, row.command, row.talk, row.exchange


def rows() -> list[Any]:
    """All, but of echo rows that differ in numbers alone the first."""
    chosen: dict[Any, Row] = {}
    for row in select(None):
        if isinstance(row, EchoRow):
            chosen.setdefault(kind_of(row), row)
        elif not isinstance(row, IdleRow):
            chosen[row.name] = row
    # 10,000 and 100,000 idle connections are the same code as 1,000, and take their time.
    for name in ("idle_1k", "echo_64_c1000", "echo_100k_c100", "tls_1k_x16"):
        chosen[name] = ROWS[name]
    return [pytest.param(row, id=row.name, marks=marks(row)) for row in chosen.values()]


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    with Peers(TINY.client_core) as running:
        yield running


def run(row: Row, peers: Peers) -> RowResult:
    """On stock asyncio, on Batuta where it is built, and the limit where there is one."""
    names = ["stock", *(SUBJECTS if BATUTA else ()), *([LIMIT] if LOAD else [])]
    entrants = {name: (CONTESTANTS[name], Path(sys.executable)) for name in names}
    return run_row(row, entrants, TINY, lambda text: None, peers=peers)


@pytest.mark.parametrize("row", rows())
def test_row_measures_work_done_on_the_loop_it_names(row: Row, peers: Peers) -> None:
    result = run(row, peers)
    assert result.failures == {}
    assert result.skipped is None
    assert result.wanted <= len(result.rounds) <= 2 * result.wanted
    samples = result.rounds[0].samples
    assert set(samples) >= {"stock", *(SUBJECTS if BATUTA else ())}
    assert (LIMIT in samples) == (isinstance(row, EchoRow) and row.limit is not None)
    known = {figure.key for figure in FIGURES[row.kind]}
    for loop, sample in samples.items():
        if loop != LIMIT:
            package = CONTESTANTS[loop].package
            assert result.identities[loop]["type"].partition(".")[0] == package
        assert set(sample.figures) <= known
        assert FIGURES[row.kind][0].key in sample.figures
        check(row, sample)


def check(row: Row, sample: Sample) -> None:
    """The bounds catch a wrong unit, a thousand to one, and not a slow machine."""
    figures, raw = sample.figures, sample.raw
    match row:
        case EchoRow():
            assert raw["requests"] > 0
            assert 0.01 < figures["server_cpu_us"] < 100_000
            # One core can be no more than full; the window and the clock are read one after the
            # other.
            assert 0 < figures["server_busy_pct"] < 150
            if row.command == "echo":
                assert raw["bytes"] == raw["requests"] * row.size
            if row.talk != "one-way":
                assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["p999_us"]
        case IdleRow():
            assert 0.1 < figures["rss_kib"] < 100
            assert 1 < figures["tick_us"] < 100_000
        case FootprintRow():
            assert 1 < figures["import_ms"] < figures["first_ms"] < 60_000
            assert 5 < figures["rss_mib"] < 500
        case SystemRow():
            assert raw["operations"] == row.rounded(max(1, round(row.count * TINY.scale)))
            assert 0.1 < figures["wall_us"] < 10_000_000
            assert figures["cpu_us"] > 0.01
        case ClientRow():
            assert raw["operations"] == row.rounded(max(1, round(row.count * TINY.scale)))
            assert 0.1 < figures["cpu_us"] < 1_000_000
            assert 0 < figures["per_s"] < 10_000_000
        case SchedulingRow():
            assert raw["operations"] == row.rounded(max(1, round(row.count * TINY.scale)))
            assert 5 < figures["cpu_ns"] < 10_000_000
            assert figures["wall_ns"] > 5


def test_every_kind_of_row_is_measured_here() -> None:
    measured = {param.values[0].kind for param in rows()}
    assert measured == {row.kind for row in ROWS.values()}
    usual = {kind_of(row) for row in select(None, Tier.USUAL) if isinstance(row, EchoRow)}
    assert usual == {kind_of(row) for row in ROWS.values() if isinstance(row, EchoRow)}
