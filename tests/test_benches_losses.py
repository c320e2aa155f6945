"""The list of everything that a run has lost (benches/losses.py), on made-up measurements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benches import losses
from benches.figures import FIGURES
from benches.report import Report
from benches.rows import ROWS

from measurements import MACHINE, result_of

LOOPS = ["stock", "batuta", "batuta+accelerate", "uvloop", "rloop"]


def test_what_is_lost_by_more_than_the_noise_is_listed_with_the_best_rival(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [
        result_of(
            "echo_64", **{"stock": 9.0, "batuta": 4.0, "batuta+accelerate": 2.0, "rloop": 3.0}
        ),
        result_of(
            "echo_1k", **{"stock": 9.0, "batuta": 4.0, "batuta+accelerate": 4.0, "rloop": 4.01}
        ),
        result_of("echo_10k", batuta=4.0, uvloop="exit code 1"),
    ]
    report = Report(MACHINE, {"summary": ""}, LOOPS, {}, {}, results)
    written = tmp_path / "full.json"
    written.write_text(json.dumps(report.to_json()))
    assert losses.main([str(written)]) == 0
    head, _, first, *_ = capsys.readouterr().out.splitlines()
    assert head == "| figure | batuta | batuta+accelerate |"
    title = FIGURES["echo"][0].title
    assert first == f"| {title} | `echo_64` 0.75x rloop | - |"


def test_latencies_count_for_the_rows_that_show_them() -> None:
    tail = next(figure for figure in FIGURES["echo"] if figure.key == "p999_us")
    assert losses.is_shown(tail, "echo_1k_c100")
    assert not losses.is_shown(tail, "echo_1k")
    for figure in FIGURES["echo"]:
        if not figure.compared or not figure.shown:
            assert not any(losses.is_shown(figure, name) for name in ROWS)
