"""The tail of latency: how long one request of a thousand waits, with 100 connections.

    python -m benches.tails [--only ROW,…] [--loops LOOP,…] [--rounds N] [--seconds S]

A machine that pauses for a few milliseconds delays every request that is under way, and so makes
the 99.9th percentile of a window by itself. That only ever adds: the lower quartile of many windows
is what the loop has its part in. Prints a Markdown table of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence

from benches.cli import enter, measure, pace_of, packages_of, say, settings_for
from benches.contestants import CONTESTANTS, LIMIT, SUBJECTS
from benches.rows import ROWS, EchoRow, Tier
from benches.runner import RowResult

ROUNDS = 15
PERCENTILE = "p999_us"


def rows_with_tails() -> list[EchoRow]:
    """The usual rows whose latencies the results show."""
    found = (row for row in ROWS.values() if isinstance(row, EchoRow) and row.tier <= Tier.USUAL)
    return [row for row in found if row.shows_latency]


def quiet_quarter(values: Sequence[float]) -> float:
    """What a quarter of the windows stay below."""
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=4, method="inclusive")[0]


def tails(result: RowResult) -> dict[str, float]:
    """By loop, in microseconds; a loop that failed has none."""
    found = {}
    for loop in result.identities.keys() - result.failures.keys():
        found[loop] = quiet_quarter([one.figures[PERCENTILE] for one in result.used(loop)])
    return found


def against(found: Mapping[str, float], subject: str) -> str:
    """How many times shorter than that of the best rival."""
    rivals = {loop: tail for loop, tail in found.items() if CONTESTANTS[loop].is_rival}
    if subject not in found or not rivals:
        return "-"
    best = min(rivals, key=lambda loop: rivals[loop])
    return f"{rivals[best] / found[subject]:.2f}x {best}"


def table(loops: Sequence[str], results: Sequence[RowResult]) -> str:
    subjects = [loop for loop in loops if loop in SUBJECTS]
    head = ["row", *loops, *(f"{subject} against the best rival" for subject in subjects)]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for result in results:
        found = tails(result)
        cells = [f"{found[loop]:,.0f}" if loop in found else "-" for loop in loops]
        marked = " †" if result.marked else ""
        against_best = [against(found, subject) for subject in subjects]
        lines.append([f"`{result.row.name}`{marked}", *cells, *against_best])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benches.tails")
    parser.add_argument("--only", help="these rows; without it all usual ones of 100 connections")
    parser.add_argument("--loops", default=",".join(CONTESTANTS), help="`limit` is the last")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="undisturbed windows wanted")
    parser.add_argument("--seconds", type=float, help="length of a window")
    options = parser.parse_args(arguments)
    rows = rows_with_tails()
    if options.only:
        names = options.only.split(",")
        rows = [row for row in rows if row.name in names]
        if unknown := set(names) - {row.name for row in rows}:
            parser.error(f"no row with a tail is called {', '.join(sorted(unknown))}")
    loops = [LIMIT if name == "limit" else name for name in options.loops.split(",")]
    if unknown := set(loops) - CONTESTANTS.keys():
        parser.error(f"no loop is called {', '.join(sorted(unknown))}")
    settings = settings_for(False, options.rounds, options.seconds)
    entrants, absent, _ = enter(loops, packages_of(rows))
    for name, reason in absent.items():
        say(f"{name} is left out: {reason}")
    results = measure(rows, entrants, settings, pace_of(settings))
    print(table(list(entrants), results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
