"""The table of tails: which windows count, and against whom."""

from __future__ import annotations

import pytest
from benches import tails
from benches.contestants import LIMIT
from benches.figures import Sample
from benches.rows import ROWS
from benches.runner import Round, RowResult


def measured(loops: dict[str, list[float]]) -> RowResult:
    """A row whose 99.9th percentiles were these, window by window."""
    windows = zip(*loops.values(), strict=True)
    rounds = [
        Round(
            {
                loop: Sample({tails.PERCENTILE: tail}, {}, None)
                for loop, tail in zip(loops, window, strict=True)
            }
        )
        for window in windows
    ]
    identities: dict[str, dict[str, object]] = {loop: {} for loop in loops}
    return RowResult(ROWS["echo_1k_c100"], rounds=rounds, identities=identities, wanted=len(rounds))


def test_pauses_of_the_machine_do_not_count() -> None:
    quiet, paused = [300.0] * 4, [9000.0] * 3
    assert tails.quiet_quarter(quiet + paused) == 300.0
    assert tails.quiet_quarter([5.0, 1.0, 4.0, 2.0, 3.0]) == 2.0
    assert tails.quiet_quarter([7.0]) == 7.0


def test_the_table_has_each_loop_and_the_best_rival() -> None:
    result = measured(
        {
            "stock": [900.0, 950.0, 9000.0],
            "batuta": [400.0, 400.0, 8000.0],
            "rloop": [600.0, 600.0, 600.0],
            LIMIT: [300.0, 300.0, 300.0],
        }
    )
    result.failures["uvloop"] = "failed"
    result.identities["uvloop"] = {}
    head, _, line = tails.table(
        ["stock", "batuta", "uvloop", "rloop", LIMIT], [result]
    ).splitlines()
    assert (
        head
        == f"| row | stock | batuta | uvloop | rloop | {LIMIT} | batuta against the best rival |"
    )
    assert line == "| `echo_1k_c100` | 925 | 400 | - | 600 | 300 | 1.50x rloop |"


def test_without_rivals_nothing_is_compared() -> None:
    result = measured({"batuta": [400.0], LIMIT: [300.0]})
    assert tails.table(["batuta", LIMIT], [result]).endswith("| 400 | 300 | - |")


def test_the_rows_are_those_whose_latencies_are_shown() -> None:
    names = [row.name for row in tails.rows_with_tails()]
    assert {"echo_64_c100", "stream_readexactly_1k_c100", "sock_1k_c100"} <= set(names)
    assert all(name.endswith("_c100") for name in names)


def test_a_run_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--only", "echo_64_c100", "--loops", "stock,batuta", "--rounds", "1"]
    assert tails.main([*options, "--seconds", "0.05"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    cells = [cell.strip(" †`") for cell in line.strip("| ").split("|")]
    assert cells[0] == "echo_64_c100"
    stock, batuta = (float(cell.replace(",", "")) for cell in cells[1:3])
    assert stock > 0
    assert batuta > 0
    ratio, best = cells[3].split("x ")
    assert best == "stock"
    assert abs(float(ratio) - stock / batuta) < 0.02


@pytest.mark.parametrize("wrong", [["--only", "echo_1k"], ["--loops", "stock,nobody"]])
def test_what_is_not_there_is_said(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tails.main(wrong)
    assert "is called" in capsys.readouterr().err
