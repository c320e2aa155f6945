"""The arithmetic and the wording of the benchmark report, on made-up measurements."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import page, runner
from benches.contestants import CONTESTANTS, LIMIT, Contestant
from benches.figures import Sample
from benches.peers import Peers
from benches.report import Report
from benches.rows import ROWS, Row
from benches.runner import Round, RowResult, run_row
from benches.settings import Settings
from benches.stats import (
    Summary,
    geometric_mean,
    percentile,
    summarize,
    times_better,
    within_noise,
)

# Statistics


def test_median_and_spread_of_known_values() -> None:
    assert summarize([3.0]) == Summary(3.0, 0.0, 1)
    # Quartiles of 1..5 are 2 and 4: two thirds of the median.
    assert summarize([5.0, 1.0, 4.0, 2.0, 3.0]) == Summary(3.0, 2 / 3, 5)
    assert summarize([10.0] * 7) == Summary(10.0, 0.0, 7)


def test_one_wild_value_moves_neither_median_nor_spread() -> None:
    assert summarize([10.0, 10.0, 10.0, 10.0, 9000.0]) == Summary(10.0, 0.0, 5)


def test_nothing_measured_has_no_median() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        summarize([])


def test_percentiles_are_values_that_were_measured() -> None:
    hundred = list(range(1, 101))
    assert [percentile(hundred, one) for one in (1, 500, 990, 999, 1000)] == [1, 50, 99, 100, 100]
    assert percentile([7], 500) == percentile([7], 999) == 7
    assert percentile([1, 2], 500) == 1
    assert percentile([1, 2], 501) == 2
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 500)


def test_ratio_is_above_one_for_less_cost_and_for_more_rate() -> None:
    half, whole = Summary(50.0, 0.0, 3), Summary(100.0, 0.0, 3)
    assert times_better(half, whole, higher_is_better=False) == 2.0
    assert times_better(half, whole, higher_is_better=True) == 0.5


def test_twice_as_good_and_half_as_good_make_one() -> None:
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_mean([2.0, 4.0, 8.0]) == pytest.approx(4.0)


def test_a_ratio_closer_to_one_than_the_scatter_is_noise() -> None:
    steady, shaky = Summary(100.0, 0.01, 7), Summary(97.0, 0.05, 7)
    assert within_noise(0.97, steady, shaky)
    assert not within_noise(0.97, steady, steady)
    assert not within_noise(1.06, steady, shaky)


# Rounds


class Scripted:
    """A driver that gives samples by the book, (value, what disturbed it); the last repeats."""

    identity: dict[str, Any] = {"type": "made.up", "version": None}  # noqa: RUF012

    def __init__(self, script: list[tuple[float, str | None]]) -> None:
        self._script = list(script)
        self.warm = False

    def warm_up(self) -> None:
        self.warm = True

    def sample(self) -> Sample:
        assert self.warm
        value, disturbed = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return Sample({"cpu_ns": value, "wall_ns": value}, {}, disturbed)

    def __enter__(self) -> Scripted:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


def run_scripts(
    monkeypatch: pytest.MonkeyPatch,
    rounds: int,
    **scripts: list[tuple[float, str | None]],
) -> RowResult:
    def driver_for(
        row: Row, contestant: Contestant, python: Path, settings: Settings, peers: Peers
    ) -> Scripted:
        return Scripted(scripts[contestant.name])

    monkeypatch.setattr(runner, "driver_for", driver_for)
    entrants = {name: (CONTESTANTS[name], Path("unused")) for name in scripts}
    return run_row(ROWS["sleep0"], entrants, Settings(rounds=rounds), lambda text: None)


def test_a_disturbed_round_is_repeated_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_scripts(
        monkeypatch,
        3,
        stock=[(100.0, None)],
        batuta=[(10.0, None), (9999.0, "pushed off"), (10.0, None)],
    )
    assert len(result.rounds) == 4
    assert not result.marked
    assert result.summary("batuta", "cpu_ns") == Summary(10.0, 0.0, 3)
    assert result.summary("stock", "cpu_ns") == Summary(100.0, 0.0, 3)


def test_a_row_without_undisturbed_rounds_is_shown_and_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run_scripts(monkeypatch, 3, stock=[(100.0, "pushed off")])
    assert len(result.rounds) == 6
    assert result.marked
    assert "`sleep0` †" in report([result], ["stock"])
    assert "6 of 6 rounds disturbed, kept for want of enough others" in report([result], ["stock"])


def test_the_order_changes_from_round_to_round_and_every_loop_is_in_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calm: list[tuple[float, str | None]] = [(1.0, None)]
    result = run_scripts(monkeypatch, 8, stock=calm, batuta=calm, uvloop=calm, rloop=calm)
    orders = [tuple(one.samples) for one in result.rounds]
    assert all(sorted(order) == ["batuta", "rloop", "stock", "uvloop"] for order in orders)
    assert len(set(orders)) > 2


# The report


def result_of(row: str, **values: float | str) -> RowResult:
    """A row's result from medians; a text is the reason of a failure."""
    figures = {name: value for name, value in values.items() if not isinstance(value, str)}
    samples = {
        name: Sample({"cpu_ns": value, "wall_ns": value}, {}) for name, value in figures.items()
    }
    return RowResult(
        ROWS[row],
        rounds=[Round(samples)] * 3,
        failures={name: value for name, value in values.items() if isinstance(value, str)},
        identities={name: {"type": f"{name}.Loop", "version": "1.0"} for name in figures},
        wanted=3,
    )


MACHINE: dict[str, Any] = {
    "date": "2000-01-01",
    "revision": "abc",
    "cpu": "a processor",
    "virtual": True,
    "cores": [0, 1],
    "kernel": "Linux",
    "libc": "glibc",
    "python": "3.13.0",
    "python_build": "no PGO",
    "load_before": (0.0, 0.0, 0.0),
    "busy_before": False,
}


def report(results: list[RowResult], loops: list[str], **absent: str) -> str:
    return Report(MACHINE, {"summary": "3 rounds"}, loops, absent, {}, results).to_markdown()


def line_of(text: str, row: str) -> str:
    """The row's line in the first table, which is the main figure's."""
    return next(line for line in text.splitlines() if line.startswith(f"| `{row}`"))


def test_the_table_shows_medians_ratios_to_stock_and_the_best_rival() -> None:
    text = report(
        [result_of("sleep0", stock=1000.0, batuta=100.0, uvloop=400.0, rloop=200.0)],
        ["stock", "batuta", "uvloop", "rloop"],
    )
    line = line_of(text, "sleep0")
    assert "| 1,000 ±0% | **100** ±0% (10.00x) | 400 ±0% (2.50x) | 200 ±0% (5.00x) |" in line
    assert line.endswith("| 2.00x rloop |")
    assert "batuta is behind the best rival on no row" in text


def test_both_ways_to_use_batuta_are_compared_each_for_itself() -> None:
    ours = {"batuta+accelerate": 50.0}
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop=200.0, **ours),
            result_of("timers", stock=1000.0, batuta=100.0, rloop=800.0, **ours),
        ],
        ["stock", "batuta", "batuta+accelerate", "rloop"],
    )
    assert line_of(text, "sleep0").endswith("| 2.00x rloop | 4.00x rloop |")
    # Means of 2 and 8, and of 4 and 16.
    assert (
        "**batuta** against the best rival of each row: 4.00x in the geometric mean over 2 rows, "
        "2.00x to 8.00x." in text
    )
    assert "**batuta+accelerate** against the best rival of each row: 8.00x in the" in text


def test_stock_is_the_best_rival_where_no_other_is_faster() -> None:
    text = report(
        [result_of("lock", stock=100.0, batuta=110.0, rloop=120.0)], ["stock", "batuta", "rloop"]
    )
    assert line_of(text, "lock").endswith("| **behind:** 0.91x stock |")


def test_rows_that_are_won_narrowly_are_named() -> None:
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop=140.0),
            result_of("timers", stock=1000.0, batuta=100.0, rloop=151.0),
        ],
        ["stock", "batuta", "rloop"],
    )
    narrow = text.partition("Rows on which it is ahead by less than 1.5x:\n\n")[2]
    assert narrow.startswith("- `sleep0`: 1.40x rloop\n")
    assert "`timers`" not in narrow


def test_a_build_that_is_no_release_is_shown_as_such() -> None:
    for build, shown in (
        ("release, opt-level 3", "1.0 (release, opt-level 3 build)\n"),
        ("debug, opt-level 1", "1.0 (**debug, opt-level 1 build: its figures say nothing**)\n"),
    ):
        result = result_of("sleep0", stock=1000.0, batuta=100.0)
        result.identities["batuta"]["build"] = build
        assert f"- batuta: `batuta.Loop` {shown}" in report([result], ["stock", "batuta"])


def test_accelerated_names_are_listed() -> None:
    result = result_of("sleep0", **{"batuta+accelerate": 100.0})
    result.identities["batuta+accelerate"]["accelerated"] = ["Event", "sleep"]
    assert "1.0 with its own `Event`, `sleep`\n" in report([result], ["batuta+accelerate"])


def test_rows_that_are_lost_are_named() -> None:
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop=80.0),
            result_of("timers", stock=1000.0, batuta=100.0, rloop=200.0),
        ],
        ["stock", "batuta", "rloop"],
    )
    assert line_of(text, "sleep0").endswith("| **behind:** 0.80x rloop |")
    lost = text.partition("Rows on which batuta is behind the best rival:\n\n")[2]
    assert lost.startswith("- `sleep0`: behind: 0.80x rloop\n")
    assert "`timers`" not in lost


def test_failures_and_absent_loops_are_shown_with_their_reasons() -> None:
    text = report(
        [
            result_of("sleep0", stock=1000.0, batuta=100.0, rloop="killed by SIGSEGV"),
            result_of("timers", rloop="exit code 1: Traceback:\n  File x\nOSError: no"),
        ],
        ["stock", "batuta", "rloop"],
        uvloop="cannot be installed: no wheel",
    )
    assert "| failed | 10.00x stock |" in line_of(text, "sleep0")
    assert "- rloop failed on `sleep0`: killed by SIGSEGV" in text
    assert "- rloop failed on `timers`: exit code 1: OSError: no\n" in text
    assert "- uvloop: **not measured**: cannot be installed: no wheel" in text


def test_where_nothing_was_compared_nothing_is_claimed() -> None:
    alone = result_of("sleep0", stock="exit code 1", batuta=100.0, rloop="killed by SIGSEGV")
    text = report([alone], ["stock", "batuta", "rloop"])
    assert line_of(text, "sleep0").endswith("| failed | - |")
    assert "geometric mean" not in text
    assert "the best rival on no row" not in text


def test_without_batuta_there_is_no_comparison_of_it() -> None:
    text = report([result_of("sleep0", stock=1000.0, rloop=500.0)], ["stock", "rloop"])
    assert "against the best rival" not in text
    assert "(2.00x)" in line_of(text, "sleep0")


# The limit, and what cannot be measured


def echo_result(row: str = "echo_1k", **values: float | str) -> RowResult:
    """An echo row's result from the server's processor time; a text is the reason of a failure."""
    figures = {name: value for name, value in values.items() if not isinstance(value, str)}
    samples = {
        loop_name(name): Sample(
            {
                "server_cpu_us": value,
                "requests_per_s": 1000.0 / value,
                "p50_us": value,
                "p99_us": 2 * value,
                "p999_us": 3 * value,
                "mb_per_s": 1.0,
                "server_busy_pct": 90.0,
            },
            {},
        )
        for name, value in figures.items()
    }
    return RowResult(
        ROWS[row],
        rounds=[Round(samples)] * 3,
        failures={name: value for name, value in values.items() if isinstance(value, str)},
        identities={name: {"type": f"{name}.Loop", "version": "1.0"} for name in samples},
        wanted=3,
    )


def loop_name(name: str) -> str:
    return LIMIT if name == "limit" else name


def test_the_limit_is_shown_but_is_nobody_s_rival() -> None:
    text = report(
        [echo_result(stock=8.0, batuta=4.2, uvloop=5.0, limit=4.0)],
        ["stock", "batuta", "uvloop", LIMIT],
    )
    line = line_of(text, "echo_1k")
    # Its figure is neither the best nor compared with stock.
    assert "| **4.20** ±0% (1.90x) | 5.00 ±0% (1.60x) | 4.00 ±0% | 1.19x uvloop | 1.05x |" in line
    assert "| batuta to the limit |" in text
    assert "batuta is behind the best rival on no row" in text


def test_rows_without_a_limit_have_no_column_of_it() -> None:
    text = report([result_of("sleep0", stock=100.0, batuta=10.0)], ["stock", "batuta", LIMIT])
    table = text.partition("## Scheduling")[2]
    assert LIMIT not in table
    assert "to the limit" not in table


def test_latencies_are_shown_for_rows_of_a_hundred_connections() -> None:
    text = report(
        [echo_result("echo_64", stock=8.0), echo_result("echo_64_c100", stock=7.0)], ["stock"]
    )
    worst = text.partition("### 99.9th percentile of latency, µs")[2].partition("###")[0]
    assert "`echo_64_c100`" in worst
    assert "**21.0** ±0%" in worst
    assert "`echo_64`" not in worst


def test_what_a_loop_does_not_have_is_not_called_a_failure() -> None:
    missing = "exit code 1: Traceback:\n  File x\nNotImplementedError"
    text = report(
        [echo_result("tls_1k", stock=8.0, rloop=missing, uvloop="killed by SIGSEGV")],
        ["stock", "uvloop", "rloop"],
    )
    assert line_of(text, "tls_1k").endswith("| **8.00** ±0% | failed | not supported |")
    assert "- rloop failed on `tls_1k`: exit code 1: NotImplementedError" in text


def test_a_row_whose_server_is_not_installed_says_so() -> None:
    result = RowResult(ROWS["redis_get"], skipped="redis-server is not installed: apt-get …")
    text = report([result], ["stock", "batuta"])
    assert line_of(text, "redis_get").endswith("| not measured | not measured | - |")
    assert "`redis_get` was not measured: redis-server is not installed" in text


# The page


def test_runs_are_put_together_row_by_row() -> None:
    first = whole_report([echo_result("echo_64", stock=8.0), echo_result("echo_1k", stock=9.0)])
    second = whole_report([echo_result("echo_1k", stock=5.0)], date="2000-01-02")
    both = page.put_together([json.loads(json.dumps(one.to_json())) for one in (first, second)])
    assert [result.row.name for result in both.results] == ["echo_64", "echo_1k"]
    found = both.results[1].summary("stock", "server_cpu_us")
    assert found is not None
    assert found.median == 5.0
    assert both.machine["date"] == "2000-01-01 to 2000-01-02"


def test_runs_of_different_revisions_are_not_put_together() -> None:
    first = whole_report([echo_result(stock=8.0)])
    second = whole_report([echo_result(stock=8.0)], revision="def")
    with pytest.raises(page.NotTogether, match="of different revision: 'abc' and 'def'"):
        page.put_together([first.to_json(), second.to_json()])


def test_the_page_has_charts_for_light_and_dark(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="charts are drawn with it: make bench installs it")
    written = page.write(
        whole_report([echo_result(stock=8.0, batuta=4.0, uvloop=5.0, limit=3.0)]), tmp_path
    )
    text = written.read_text()
    for theme in ("light", "dark"):
        for name in ("3.13-overview", "3.13-echo"):
            chart = (tmp_path / f"{name}-{theme}.svg").read_text()
            assert f"{name}-{theme}.svg" in text
            assert "2.00x" in chart, "text stays text"
            assert "batuta" in chart
    figures = json.loads((tmp_path / "3.13.json").read_text())
    assert figures["rows"][0]["summary"]["batuta"]["server_cpu_us"]["median"] == 4.0
    assert "rounds" not in figures["rows"][0], "the tables' figures only: the page is kept in git"


def test_each_python_has_its_section_newest_first(tmp_path: Path) -> None:
    place = tmp_path / "page.md"
    place.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n")
    for version, text in (("3.11", "one"), ("3.13", "two"), ("3.11", "three")):
        page.embed(version, f"### Python {version}\n\n{text}\n", place)
    assert place.read_text() == (
        f"before\n{page.BEGIN}\n\n### Python 3.13\n\ntwo\n\n### Python 3.11\n\nthree\n\n"
        f"{page.END}\nafter\n"
    )
    place.write_text("no marks")
    with pytest.raises(page.NotTogether, match="lacks the marks"):
        page.embed("3.11", "text", place)


def whole_report(
    results: list[RowResult], date: str = "2000-01-01", revision: str = "abc"
) -> Report:
    machine = {**MACHINE, "date": date, "revision": revision}
    loops = list(dict.fromkeys(loop for result in results for loop in result.identities))
    return Report(machine, {"summary": "3 rounds"}, loops, {}, {}, results)
