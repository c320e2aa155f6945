"""Made-up measurements, for the tests of the benchmark report and its pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `benches`

from benches.contestants import LIMIT
from benches.figures import Sample
from benches.report import Report
from benches.rows import ROWS
from benches.runner import Round, RowResult

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


def figures_of(kind: str, main: float) -> dict[str, float]:
    """All figures of a kind of row from its main one."""
    if kind == "scheduling":
        return {"cpu_ns": main, "wall_ns": main}
    assert kind == "echo"
    return {
        "server_cpu_us": main,
        "requests_per_s": 1000.0 / main,
        "p50_us": main,
        "p90_us": main,
        "p99_us": 2 * main,
        "p999_us": 3 * main,
        "mb_per_s": 1.0,
        "server_busy_pct": 90.0,
    }


def result_of(row: str, **values: float | str) -> RowResult:
    """A row's result from medians of the main figure; a text is the reason of a failure."""
    samples = {
        LIMIT if name == "limit" else name: Sample(figures_of(ROWS[row].kind, value), {})
        for name, value in values.items()
        if not isinstance(value, str)
    }
    return RowResult(
        ROWS[row],
        rounds=[Round(samples)] * 3,
        failures={name: value for name, value in values.items() if isinstance(value, str)},
        identities={name: {"type": f"{name}.Loop", "version": "1.0"} for name in samples},
        wanted=3,
    )


def report(results: list[RowResult], loops: list[str], **absent: str) -> str:
    return Report(MACHINE, {"summary": "3 rounds"}, loops, absent, {}, results).to_markdown()


def line_of(text: str, row: str) -> str:
    """The row's line in the first table, which is the main figure's."""
    return next(line for line in text.splitlines() if line.startswith(f"| `{row}`"))
