"""The table of aims of the benchmark suite, on made-up measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benches import aims
from benches.aims import Aim
from benches.contestants import LIMIT
from benches.figures import Sample
from benches.report import Report
from benches.rows import ROWS
from benches.runner import Round, RowResult

from measurements import MACHINE, figures_of, result_of

UVLOOP = Aim("three times uvloop", ("echo_*",), ("uvloop",), 3.0)
BEST = Aim("not behind", ("echo_*",), level=True)


def cell(aim: Aim, *results: RowResult, subject: str = "batuta") -> str | None:
    return aims.cell(aim, [result.to_json(rounds=False) for result in results], subject)


def test_rows_that_miss_an_aim_are_named_with_what_they_reach() -> None:
    reached = result_of("echo_64", batuta=2.0, uvloop=6.0)
    missed = result_of("echo_1k", batuta=2.0, uvloop=5.9)
    assert cell(UVLOOP, reached) == "**1 of 1**"
    assert cell(UVLOOP, missed, reached) == "1 of 2; not `echo_1k` 2.95x"


def test_what_is_shown_decides() -> None:
    assert cell(UVLOOP, result_of("echo_64", batuta=2.0, uvloop=5.991)) == "**1 of 1**"
    assert cell(UVLOOP, result_of("echo_64", batuta=2.0, uvloop=5.989)) != "**1 of 1**"


def test_the_best_of_those_it_is_compared_with_counts() -> None:
    result = result_of("echo_64", batuta=2.0, uvloop=6.0, rloop=1.5, stock=9.0, limit=1.0)
    assert cell(UVLOOP, result) == "**1 of 1**"
    assert cell(BEST, result) == "0 of 1; not `echo_64` 0.75x"


def test_where_the_limit_does_not_get_there_either_that_is_said() -> None:
    result = result_of("echo_64", batuta=5.0, uvloop=6.0, limit=4.0)
    assert cell(UVLOOP, result) == "0 of 1; not `echo_64` 1.20x (the limit 1.50x)"
    result = result_of("echo_64", batuta=5.0, uvloop=6.0, limit=2.0)
    assert cell(UVLOOP, result) == "0 of 1; not `echo_64` 1.20x"


def test_the_limit_itself_is_kept_to() -> None:
    aim = Aim("at most 1.25x", ("echo_*",), (LIMIT,), 1 / 1.25)
    near = result_of("echo_64", batuta=5.0, limit=4.0)
    far = result_of("echo_1k", batuta=6.0, limit=4.0, uvloop=1.0)
    assert cell(aim, near, far) == "1 of 2; not `echo_1k` 1.50x"
    assert cell(aim, result_of("echo_64", batuta=5.019, limit=4.0)) == "**1 of 1**"
    assert cell(aim, result_of("echo_64", batuta=5.021, limit=4.0)) == "0 of 1; not `echo_64` 1.26x"


def test_level_is_what_differs_by_no_more_than_the_noise() -> None:
    def scattered(batuta: float, width: float = 1.0, disturbed: str | None = None) -> RowResult:
        values = [(batuta + more, 10.0 + more) for more in (-width, 0, width)]
        rounds = [
            Round(
                {
                    "batuta": Sample(figures_of("echo", own), {}, disturbed),
                    "rloop": Sample(figures_of("echo", other), {}),
                }
            )
            for own, other in values
        ]
        identities = {name: {"type": name, "version": ""} for name in ("batuta", "rloop")}
        return RowResult(ROWS["echo_64"], rounds, identities=identities, wanted=3)

    assert cell(BEST, scattered(9.5)) == "**1 of 1**"
    assert cell(BEST, scattered(10.5)) == "**1 of 1**; within the noise `echo_64` 0.95x"
    assert cell(BEST, scattered(10.5), result_of("echo_1k", batuta=5.0, rloop=4.0)) == (
        "1 of 2; within the noise `echo_64` 0.95x; not `echo_1k` 0.80x"
    )
    assert cell(BEST, scattered(12.0)) == "0 of 1; not `echo_64` 0.83x"
    assert cell(BEST, scattered(12.0, width=4.0)) == "0 of 1; too scattered to tell `echo_64` 0.83x"
    assert cell(BEST, scattered(12.0, disturbed="pushed off")) == "0 of 1; not `echo_64` † 0.83x"
    strict = Aim("ahead", ("echo_*",), ("rloop",))
    assert cell(strict, scattered(10.5)) == "0 of 1; not `echo_64` 0.95x"


def test_what_was_not_measured_does_not_count() -> None:
    assert cell(UVLOOP, result_of("echo_64", batuta=2.0, rloop=1.0)) is None
    assert cell(UVLOOP, result_of("echo_64", batuta=2.0, uvloop="exit code 1")) is None
    assert cell(UVLOOP, result_of("sock_64", batuta=2.0, uvloop=1.0)) is None
    late = result_of("echo_64", batuta=2.0, uvloop=1.0)
    late.failures["batuta"] = "exit code 1"
    assert cell(UVLOOP, late) is None


def test_an_aim_may_be_of_another_figure_than_the_main_one() -> None:
    aim = Aim("more requests", ("*",), ("uvloop",), figure="requests_per_s")
    assert cell(aim, result_of("echo_64", batuta=2.0, uvloop=4.0)) == "**1 of 1**"
    assert cell(aim, result_of("echo_64", batuta=4.0, uvloop=2.0)) == "0 of 1; not `echo_64` 0.50x"
    assert cell(aim, result_of("call_soon", batuta=2.0, uvloop=4.0)) is None


@pytest.mark.parametrize("aim", aims.AIMS, ids=lambda aim: aim.about)
def test_there_are_rows_for_each_aim(aim: Aim) -> None:
    for pattern in aim.rows:
        assert any(Aim("", (pattern,), figure=aim.figure).means(row) for row in ROWS), pattern


def test_the_command_prints_the_aims_that_the_run_speaks_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        result_of("sock_64", **{"batuta": 1.0, "batuta+accelerate": 2.0, "uvloop": 4.0}),
        result_of("call_soon", **{"batuta": 1.0, "batuta+accelerate": 2.0, "uvloop": 4.0}),
    ]
    loops = ["batuta", "batuta+accelerate", "uvloop"]
    report = Report(MACHINE, {"summary": ""}, loops, {}, {}, results)
    written = tmp_path / "full.json"
    written.write_text(json.dumps(report.to_json()))
    assert aims.main([str(written)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| aim | rows that get there: batuta | rows that get there: batuta+accelerate |",
        "| --- | --- | --- |",
        "| `sock_*`: at least 3x uvloop | **1 of 1** | 0 of 1; not `sock_64` 2.00x |",
    ]


def test_a_run_of_which_no_aim_speaks_has_no_table() -> None:
    report = Report(MACHINE, {}, ["batuta", "stock"], {}, {}, [result_of("lock", batuta=1.0)])
    assert aims.table(report.to_json(rounds=False)) == ""
