"""What the project aims at, and which rows of a run get there.

    python -m benches.aims docs/benchmarks/3.14.json

Reads the figures of a results page, or all that `--json` wrote, and prints a table: one line for
each aim, with the rows that miss it.
"""

from __future__ import annotations

import argparse
import enum
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from benches import arguments
from benches.contestants import CONTESTANTS, LIMIT, SUBJECTS
from benches.figures import FIGURES, Figure
from benches.rows import ROWS
from benches.stats import Summary, times_better, within_noise

RIVALS = tuple(name for name, loop in CONTESTANTS.items() if loop.is_rival)


@dataclass(frozen=True)
class Aim:
    """To be so many times better than the best of some loops on some rows."""

    about: str
    rows: tuple[str, ...]
    """Patterns of names."""
    against: tuple[str, ...] = RIVALS
    factor: float = 1.0
    """At least so many times better; below 1 for the limit, which nobody beats."""
    level: bool = False
    """Whether a small difference within the noise is none."""
    figure: str | None = None
    """Of the row; None for its main one."""

    def figure_of(self, row: str) -> Figure:
        figures = FIGURES[ROWS[row].kind]
        return next((one for one in figures if one.key == self.figure), figures[0])

    def means(self, row: str) -> bool:
        if self.figure and self.figure_of(row).key != self.figure:
            return False
        return any(fnmatchcase(row, pattern) for pattern in self.rows)


ECHO = ("echo_64", "echo_1k", "echo_10k", "echo_64_c100", "echo_1k_c100", "echo_10k_c100")
TO_THE_LIMIT = 1.12

AIMS = (
    Aim(
        f"protocol echo, 64 B to 10 KiB, 10 and 100 connections: at most {TO_THE_LIMIT}x the limit",
        ECHO,
        (LIMIT,),
        1 / TO_THE_LIMIT,
    ),
    Aim("the same: at least 1.15x uvloop", ECHO, ("uvloop",), 1.15),
    Aim("protocol echo, all rows: not behind the best rival", ("echo_*",), level=True),
    Aim(
        "streams: at least 1.5x uvloop",
        ("stream_*", "unix_stream_*", "tls_stream_*"),
        ("uvloop",),
        1.5,
    ),
    Aim("`sock_*`: at least 3x uvloop", ("sock_*",), ("uvloop",), 3.0),
    Aim(
        "`add_reader`, UDP, Unix sockets, pipes: not behind the best rival",
        ("add_reader_*", "udp_*", "unix_*", "pipes_*"),
        level=True,
    ),
    Aim(
        "processes and executors: ahead of uvloop",
        ("subprocess*", "run_in_executor", "to_thread", "executor_burst"),
        ("uvloop",),
    ),
    Aim(
        "web servers and clients: not behind uvloop and zuvloop",
        ("uvicorn_*", "aiohttp_*", "websockets_*", "redis_*", "asyncpg_*"),
        ("uvloop", "zuvloop"),
        level=True,
    ),
    Aim(
        "99.9th percentile of latency, 100 connections: not behind the best rival",
        ("*_c100",),
        level=True,
        figure="p999_us",
    ),
    Aim("memory of an idle connection: no more than uvloop's", ("idle_*",), ("uvloop",)),
)


def summary_of(row: dict[str, Any], loop: str, figure: Figure) -> Summary | None:
    """None for a loop that failed on the row, or was not there."""
    found = row["summary"].get(loop, {}).get(figure.key)
    return Summary(**found) if found and loop not in row["failures"] else None


FORGIVEN = 0.95
"""So far behind a row may be within the noise and count as level. Further behind, the samples
scatter too widely to tell."""


class Reached(enum.Enum):
    """What the samples say of one subject on one row."""

    YES = enum.auto()
    LEVEL = enum.auto()
    """Behind by no more than the noise, and by little: it counts."""
    OPEN = enum.auto()
    """Behind by no more than the noise, but far: it does not count."""
    NO = enum.auto()


@dataclass(frozen=True)
class Standing:
    """One subject on one row."""

    reached: Reached
    text: str


def standing(aim: Aim, row: dict[str, Any], subject: str) -> Standing | None:
    """None where the subject has no figure, or none of the loops that it is compared with."""
    figure = aim.figure_of(row["name"])

    def times(of: Summary, other: Summary) -> float:
        return times_better(of, other, higher_is_better=figure.higher_is_better)

    own = summary_of(row, subject, figure)
    others = [one for loop in aim.against if (one := summary_of(row, loop, figure))]
    if own is None or not others:
        return None
    best = others[0]
    for other in others:
        best = other if times(other, best) > 1 else best
    ratio = times(own, best)
    # As it is shown: nobody should read that 1.15x misses 1.15x.
    if LIMIT in aim.against:
        shown = 1 / ratio
        ahead = round(shown, 2) <= round(1 / aim.factor, 2)
    else:
        shown = ratio
        ahead = round(shown, 2) >= round(aim.factor, 2)
    if ahead:
        reached = Reached.YES
    elif aim.level and within_noise(own, best):
        reached = Reached.LEVEL if round(ratio, 2) >= FORGIVEN else Reached.OPEN
    else:
        reached = Reached.NO
    mark = " †" if row["disturbed_rounds_used"] else ""
    text = f"`{row['name']}`{mark} {shown:.2f}x"
    limit = None if LIMIT in aim.against else summary_of(row, LIMIT, figure)
    if limit and round(times(limit, best), 2) < aim.factor:
        text += f" (the limit {times(limit, best):.2f}x)"
    return Standing(reached, text)


def cell(aim: Aim, rows: Sequence[dict[str, Any]], subject: str) -> str | None:
    """How many rows reach the aim, which of them only within the noise, of which nothing can be
    said, and which do not; None where none says anything. Marked rows have disturbed samples."""
    found = [one for row in rows if aim.means(row["name"]) and (one := standing(aim, row, subject))]
    if not found:
        return None
    by = {way: [one.text for one in found if one.reached is way] for way in Reached}
    there = len(by[Reached.YES]) + len(by[Reached.LEVEL])
    text = f"{there} of {len(found)}"
    parts = [f"**{text}**" if there == len(found) else text]
    for way, words in (
        (Reached.LEVEL, "within the noise"),
        (Reached.OPEN, "too scattered to tell"),
        (Reached.NO, "not"),
    ):
        if by[way]:
            parts.append(f"{words} {', '.join(by[way])}")
    return "; ".join(parts)


def table(figures: dict[str, Any]) -> str:
    """The aims on which the run says something, from what `Report.to_json` wrote; empty without
    any."""
    subjects = [loop for loop in figures["loops"] if loop in SUBJECTS]
    lines = []
    for aim in AIMS:
        cells = [cell(aim, figures["rows"], subject) for subject in subjects]
        if any(cells):
            lines.append([aim.about, *(one or "-" for one in cells)])
    if not lines:
        return ""
    return markdown(["aim", *(f"rows that get there: {subject}" for subject in subjects)], lines)


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def main(words: Sequence[str] | None = None) -> int:
    parse = argparse.ArgumentParser(prog="python -m benches.aims", description=__doc__)
    parse.add_argument("figures", type=arguments.figures, metavar="FULL.json")
    print(table(parse.parse_args(words).figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
