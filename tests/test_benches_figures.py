"""The arithmetic of the benchmark suite, and which rounds count."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches import machine, runner
from benches.child import WorkerFailed
from benches.contestants import CONTESTANTS, Contestant
from benches.drivers import WorkDriver, driver_for
from benches.figures import FIGURES, Sample
from benches.pace import FIRST_LOOKS, Pace
from benches.peers import Missing, Peers
from benches.rows import ROWS, Row
from benches.runner import RowResult, run_row
from benches.settings import ForeignTime, Settings
from benches.stats import (
    Summary,
    geometric_mean,
    percentile,
    summarize,
    times_better,
    within_noise,
)

from measurements import report

CPU = FIGURES["scheduling"][0]
TAIL = next(one for one in FIGURES["echo"] if one.key == "p999_us")

# Statistics


def test_median_and_spread_of_known_values() -> None:
    assert summarize([3.0]) == Summary(3.0, 0.0, 1)
    # Quartiles of 1..5 are 2 and 4: two thirds of the median.
    assert summarize([5.0, 1.0, 4.0, 2.0, 3.0]) == Summary(3.0, 2 / 3, 5)
    assert summarize([10.0] * 7) == Summary(10.0, 0.0, 7)


def test_one_wild_value_moves_neither_median_nor_spread() -> None:
    assert summarize([10.0, 10.0, 10.0, 10.0, 9000.0]) == Summary(10.0, 0.0, 5)


def test_nothing_measured_comes_to_nothing() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        summarize([])


def test_the_lower_quartile_is_what_a_quarter_stays_below() -> None:
    assert summarize([5.0, 1.0, 4.0, 2.0, 3.0], lower_quartile=True) == Summary(2.0, 1.0, 5)
    assert summarize([2.0, 2.0, 2.0, 800.0, 900.0], lower_quartile=True) == Summary(2.0, 0.0, 5)
    assert summarize([7.0], lower_quartile=True) == Summary(7.0, 0.0, 1)
    assert summarize([0.0, 0.0, 1.0], lower_quartile=True) == Summary(0.0, 0.0, 3)


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
    assert within_noise(steady, shaky)
    assert within_noise(shaky, steady)
    assert not within_noise(steady, Summary(97.0, 0.01, 7))
    assert not within_noise(steady, Summary(94.0, 0.05, 7))


def test_a_rival_that_scatters_widely_forgives_no_large_loss() -> None:
    wide = Summary(2000.0, 1.1, 7)
    assert within_noise(Summary(4000.0, 0.01, 7), wide)
    assert not within_noise(Summary(5000.0, 0.01, 7), wide)


# Rounds


class Scripted:
    """A driver that gives samples by the book, (value, what disturbed it); the last repeats."""

    identity: dict[str, Any] = {"type": "made.up", "version": None}  # noqa: RUF012

    def __init__(self, script: list[tuple[float, str | None]]) -> None:
        self._script = list(script)
        self.warm = self.closed = False

    def warm_up(self) -> None:
        self.warm = True

    def sample(self) -> Sample:
        assert self.warm
        value, disturbed = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return Sample(dict.fromkeys(("cpu_ns", "wall_ns", "p999_us"), value), {}, disturbed)

    def close(self) -> None:
        self.closed = True


def run_scripts(
    monkeypatch: pytest.MonkeyPatch,
    rounds: int,
    pace: Pace | None = None,
    row: str = "sleep0",
    **scripts: list[tuple[float, str | None]],
) -> RowResult:
    def driver_for(
        row: Row, contestant: Contestant, python: Path, settings: Settings, peers: Peers
    ) -> Scripted:
        return Scripted(scripts[contestant.name])

    monkeypatch.setattr(runner, "driver_for", driver_for)
    entrants = {name: (CONTESTANTS[name], Path("unused")) for name in scripts}
    return run_row(ROWS[row], entrants, Settings(rounds=rounds), lambda text: None, pace=pace)


def test_a_disturbed_sample_is_left_out_and_there_is_another_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run_scripts(
        monkeypatch,
        3,
        stock=[(100.0, None)],
        batuta=[(10.0, None), (9999.0, "pushed off"), (10.0, None)],
    )
    assert len(result.rounds) == 4
    assert not result.marked
    assert result.summary("batuta", CPU) == Summary(10.0, 0.0, 3)
    assert result.summary("stock", CPU) == Summary(100.0, 0.0, 4)
    text = report([result], ["stock", "batuta"])
    assert "- `sleep0`: 1 of 8 samples disturbed (pushed off), left out" in text


def test_all_samples_of_a_row_are_used_where_a_loop_has_too_few_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = run_scripts(
        monkeypatch,
        3,
        stock=[(100.0, None), (300.0, "pushed off"), (100.0, None)],
        batuta=[(10.0, None), (20.0, "pushed off")],
    )
    assert len(result.rounds) == 6
    assert result.marked
    assert result.summary("batuta", CPU) == Summary(20.0, 0.0, 6)
    assert [sample.figures["cpu_ns"] for sample in result.used("stock")].count(300.0) == 1


def test_a_row_without_undisturbed_rounds_is_shown_and_marked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reasons = ["3 datagrams were lost", "others used 9% of it", "others used 41% of it"]
    result = run_scripts(monkeypatch, 3, stock=[(100.0, reason) for reason in reasons])
    assert len(result.rounds) == 6
    assert result.marked
    assert "`sleep0` †" in report([result], ["stock"])
    text = report([result], ["stock"])
    assert "6 of 6 samples disturbed (5 times as: others used 41% of it), kept for want" in text


def test_a_tail_is_taken_from_three_times_as_many_rounds_and_pauses_do_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tails: list[tuple[float, str | None]] = [(one, None) for one in (300.0, 9000.0, 300.0)] * 4
    result = run_scripts(monkeypatch, 4, row="echo_1k_c100", batuta=tails)
    assert result.wanted == len(result.rounds) == 12
    assert result.summary("batuta", TAIL) == Summary(300.0, 0.0, 12)
    assert run_scripts(monkeypatch, 4, row="echo_1k", batuta=tails).wanted == 4


def test_a_loop_that_fails_is_ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Scripted):
        tried = 0

        def sample(self) -> Sample:
            self.tried += 1
            raise WorkerFailed("it hung")

    class Watching(Scripted):
        def sample(self) -> Sample:
            assert failing.closed == (failing.tried > 0)
            return super().sample()

    failing = Failing([])
    drivers = {"batuta": failing, "stock": Watching([(1.0, None)])}
    monkeypatch.setattr(
        runner, "driver_for", lambda row, contestant, *rest: drivers[contestant.name]
    )
    entrants = {name: (CONTESTANTS[name], Path("unused")) for name in drivers}
    result = run_row(ROWS["sleep0"], entrants, Settings(rounds=3), lambda text: None)
    assert result.failures == {"batuta": "it hung"}
    assert failing.tried == 1
    assert len(result.taken("stock")) == 3
    assert all(driver.closed for driver in drivers.values())


def test_a_row_that_lacks_what_it_talks_to_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def driver_for(*arguments: object) -> Scripted:
        raise Missing("redis-server is not installed")

    monkeypatch.setattr(runner, "driver_for", driver_for)
    entrants = {"stock": (CONTESTANTS["stock"], Path("unused"))}
    result = run_row(ROWS["redis_get"], entrants, Settings(rounds=3), lambda text: None)
    assert result.skipped == "redis-server is not installed"
    assert "redis-server is not installed" in report([result], ["stock"])


# What counts as disturbed


def busy(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> ForeignTime:
    """Looks at cores 0 (server) and 1 (client), which are at work so long in the next second."""
    work, clock = {0: 0.0, 1: 0.0}, [100.0]
    monkeypatch.setattr(machine, "core_busy_seconds", work.__getitem__)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    foreign = ForeignTime(Settings(server_core=0, client_core=1))
    work.update(enumerate(seconds))
    clock[0] += 1
    return foreign


def test_work_of_others_on_either_core_is_held_against_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    foreign = busy(monkeypatch, 0.9, 0.5)
    assert foreign.complaint(server=0.85, client=0.45) is None
    assert foreign.complaint(server=0.5, client=0.45) == "others used 40% of the server's core"
    assert foreign.complaint(server=0.85, client=0.3) == "others used 20% of the client's core"
    assert foreign.complaint(server=0.85, client=None) is None


def work_driver(name: str, **answer: float) -> WorkDriver:
    """A driver of the row whose worker, a stock one, answers this."""
    contestant, python = CONTESTANTS["stock"], Path(sys.executable)
    driver = driver_for(ROWS[name], contestant, python, Settings(), Peers(None))
    assert isinstance(driver, WorkDriver)
    raw = {"operations": 1000, "wall_ns": 10**8, "process_cpu_ns": 10**8, "thread_cpu_ns": 10**8}
    driver._measure = lambda count: {**raw, **answer}  # type: ignore[method-assign]
    return driver


def test_work_that_was_pushed_off_its_core_is_disturbed() -> None:
    for name, switches, complaint in (
        ("sleep0", 5, None),
        ("sleep0", 6, "6 involuntary context switches in 0.10 s"),
        ("call_soon_threadsafe", 1000, None),  # by turns with another thread
    ):
        with contextlib.closing(work_driver(name, involuntary_switches=switches)) as driver:
            assert driver.sample().disturbed == complaint


def test_a_sample_that_a_slow_core_has_spoilt_is_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = [100.0] * (FIRST_LOOKS + 1) + [150.0] + [100.0] * 4
    pace = Pace(0, lambda core: looks.pop(0))
    result = run_scripts(monkeypatch, 2, pace, stock=[(999.0, None), (100.0, None), (101.0, None)])
    assert [one.samples["stock"].figures["cpu_ns"] for one in result.rounds] == [100.0, 101.0]
    assert not result.marked
    assert looks == [], "before and after each sample"


def test_the_order_changes_from_round_to_round_and_every_loop_is_in_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calm: list[tuple[float, str | None]] = [(1.0, None)]
    result = run_scripts(monkeypatch, 8, stock=calm, batuta=calm, uvloop=calm, rloop=calm)
    orders = [tuple(one.samples) for one in result.rounds]
    assert all(sorted(order) == ["batuta", "rloop", "stock", "uvloop"] for order in orders)
    assert len(set(orders)) > 2
