"""Samples are taken while the core runs at full pace (benches/pace.py)."""

from __future__ import annotations

import os
import time

from benches.figures import Sample
from benches.pace import FIRST_LOOKS, FULL, MOST_LOOKS, Pace, time_work

FAST, SLOW = 100.0, 150.0
CORE = min(os.sched_getaffinity(0))


class Core:
    """Works as fast as it is told; the last pace stays."""

    def __init__(self) -> None:
        self.script = [FAST]

    def look(self, core: int) -> float:
        assert core == CORE
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def sample(value: float, disturbed: str | None = None) -> Sample:
    return Sample({"cpu_ns": value}, {}, disturbed)


def paced(*script: float, patience: float) -> Pace:
    core = Core()
    pace = Pace(CORE, core.look)
    core.script = list(script)
    pace.patience = patience
    return pace


def test_a_sample_begins_when_the_core_runs_at_full_pace() -> None:
    pace = paced(SLOW, SLOW, FAST, patience=60)
    assert pace.steady(lambda: sample(1)) == sample(1)
    assert pace.slow_share == 1
    assert pace.patience < 60


def test_a_sample_at_whose_end_the_core_is_slow_is_taken_again() -> None:
    pace = paced(FAST, SLOW, FAST, FAST, patience=60)
    assert pace.slow_share is None
    values = iter([7.0, 1.0])
    assert pace.steady(lambda: sample(next(values))) == sample(1)
    assert pace.slow_share == 0


def test_without_patience_a_sample_of_a_slow_core_is_marked() -> None:
    pace = paced(SLOW, FAST, patience=0)
    found = pace.steady(lambda: sample(7))
    assert found.figures == {"cpu_ns": 7}
    assert found.disturbed == "the core ran at 67% of its pace"
    assert pace.steady(lambda: sample(1)) == sample(1)


def test_patience_ends() -> None:
    pace = paced(SLOW, patience=0.05)
    taken = []

    def take() -> Sample:
        taken.append(1)
        return sample(7)

    assert pace.steady(take).disturbed
    assert len(taken) == 1


def test_a_sample_that_is_kept_brings_patience_for_the_next() -> None:
    pace = paced(FAST, FAST, SLOW, SLOW, FAST, patience=0)

    def take() -> Sample:
        time.sleep(0.05)
        return sample(7)

    assert not pace.steady(take).disturbed
    assert 0.05 <= pace.patience < 1
    assert not pace.steady(take).disturbed, "it has waited for the core"


def test_what_was_disturbed_otherwise_is_not_taken_again() -> None:
    pace = paced(FAST, SLOW, patience=60)
    assert pace.steady(lambda: sample(7, "pushed off")) == sample(7, "pushed off")


def test_the_best_is_a_pace_that_the_core_shows_more_than_once() -> None:
    pace = paced(FAST / 2, FAST, patience=0)
    assert pace.share() == 1
    assert pace.share() == 1, "one moment of double pace is no measure"


def test_a_core_that_is_faster_for_good_sets_a_new_best() -> None:
    pace = paced(*[FAST / 2] * FIRST_LOOKS, FAST, patience=0)
    for _ in range(FIRST_LOOKS):
        assert pace.share() == 1
    assert pace.share() == 0.5 < FULL


def test_looks_without_end_are_thinned_out_and_keep_the_best() -> None:
    pace = paced(*[FAST, SLOW, SLOW, SLOW] * (MOST_LOOKS // 2), patience=0)
    shares = [pace.share() for _ in range(2 * MOST_LOOKS)]
    assert shares[-4:] == [1, FAST / SLOW, FAST / SLOW, FAST / SLOW]
    assert len(pace._looks) <= MOST_LOOKS


def test_the_work_is_done_on_the_core_and_the_thread_comes_back() -> None:
    before = os.sched_getaffinity(0)
    assert time_work(CORE) > 0
    assert os.sched_getaffinity(0) == before
