"""Every figure of a run on which Batuta is behind the best rival by more than the noise.

    python -m benches.losses docs/benchmarks/3.14.json

Reads the figures of a results page, or all that `--json` wrote, and prints a Markdown table: one
line for each figure of each kind of row, for plain and accelerated Batuta.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benches import arguments
from benches.aims import RIVALS, markdown, summary_of
from benches.contestants import SUBJECTS
from benches.figures import FIGURES, Figure
from benches.rows import ROWS
from benches.stats import times_better, within_noise


def is_shown(figure: Figure, row: str) -> bool:
    """Whether the report has a table of it with this row in it, in which loops are compared."""
    shown = figure.shown and figure.compared
    return shown and (not figure.latency or getattr(ROWS[row], "shows_latency", False))


def losses(rows: Sequence[dict[str, Any]], figure: Figure, subject: str) -> Iterator[str]:
    """The rows that the subject loses by this figure, with the ratio and the best rival."""
    for row in rows:
        own = summary_of(row, subject, figure) if is_shown(figure, row["name"]) else None
        if own is None:
            continue
        ratios = {
            rival: times_better(own, other, higher_is_better=figure.higher_is_better)
            for rival in RIVALS
            if (other := summary_of(row, rival, figure))
        }
        if not ratios:
            continue
        best = min(ratios, key=lambda rival: ratios[rival])
        other = summary_of(row, best, figure)
        if round(ratios[best], 2) < 1 and other and not within_noise(own, other):
            mark = " †" if row["disturbed_rounds_used"] else ""
            yield f"`{row['name']}`{mark} {ratios[best]:.2f}x {best}"


def table(figures: dict[str, Any]) -> str:
    """Of what `Report.to_json` wrote."""
    subjects = [loop for loop in figures["loops"] if loop in SUBJECTS]
    lines = []
    for kind, kinds_figures in FIGURES.items():
        rows = [row for row in figures["rows"] if ROWS[row["name"]].kind == kind]
        for figure in kinds_figures:
            cells = [", ".join(losses(rows, figure, subject)) for subject in subjects]
            if any(cells):
                lines.append([figure.title, *(cell or "-" for cell in cells)])
    return markdown(["figure", *subjects], lines)


def main(words: Sequence[str] | None = None) -> int:
    parse = argparse.ArgumentParser(prog="python -m benches.losses", description=__doc__)
    parse.add_argument("figures", type=arguments.figures, metavar="FULL.json")
    print(table(parse.parse_args(words).figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
