"""The results pages: what was measured, as files that the documentation shows.

    python -m benches.page FULL.json... --out docs/benchmarks

Each FULL.json is what `python -m benches --json` wrote. Several are put together when they are of
one Python and one revision of Batuta: a full run takes long and may be made in parts. Written are,
for each Python, a page with all tables (`3.13.md`), its figures (`3.13.json`) and charts, and the
part of `docs/benchmarks.md` between its two marks.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches import aims, arguments, charts, losses
from benches.child import ROOT
from benches.figures import FIGURES
from benches.report import Report, heading

BEGIN = "<!-- results begin: written by `python -m benches.page` -->"
END = "<!-- results end -->"
FOLDER = ROOT / "docs" / "benchmarks"
EMBEDDING = ROOT / "docs" / "benchmarks.md"


class NotTogether(Exception):
    """Runs that do not belong on one page; the message says why."""


def put_together(parts: Sequence[dict[str, Any]]) -> Report:
    """One report of several runs; a row that was measured twice counts as it was measured last."""
    reports = [Report.from_json(part) for part in parts]
    first = reports[0]
    for other in reports[1:]:
        for key in ("python", "revision", "cpu", "kernel"):
            if other.machine[key] != first.machine[key]:
                raise NotTogether(
                    f"of different {key}: {first.machine[key]!r} and {other.machine[key]!r}"
                )
        if other.conditions["summary"] != first.conditions["summary"]:
            raise NotTogether("measured under different conditions")
    rows = {result.row.name: result for report in reports for result in report.results}
    slow = [one for report in reports if (one := report.machine.get("slow_share")) is not None]
    dates = sorted(report.machine["date"] for report in reports)
    loops = list(dict.fromkeys(loop for report in reports for loop in report.loops))
    absent = {name: why for report in reports for name, why in report.absent.items()}
    return Report(
        machine={
            **first.machine,
            "date": dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
            "load_before": max(report.machine["load_before"] for report in reports),
            "busy_before": any(report.machine["busy_before"] for report in reports),
            "slow_share": max(slow) if slow else None,
        },
        conditions=first.conditions,
        loops=loops,
        absent={name: why for name, why in absent.items() if name not in loops},
        environments={
            name: text for report in reports for name, text in report.environments.items()
        },
        results=in_table_order(list(rows.values())),
    )


def in_table_order(results: list[Any]) -> list[Any]:
    from benches.rows import ROWS

    order = list(ROWS)
    return sorted(results, key=lambda result: order.index(result.row.name))


def write(report: Report, folder: Path) -> Path:
    """Write page, figures and charts of one Python; the page."""
    folder.mkdir(parents=True, exist_ok=True)
    version = ".".join(report.machine["python"].split()[0].split(".")[:2])
    for stale in folder.glob(f"{version}-*.svg"):
        stale.unlink()
    pictures = charts.write(report, folder, version)
    figures = report.to_json(rounds=False)
    (folder / f"{version}.json").write_text(json.dumps(figures, indent=1) + "\n")
    parts = [f"# Results on Python {version}", introduction(), report.conditions_text()]
    if "" in pictures:
        parts.append(picture(pictures[""], "all groups"))
    if reached := aims.table(figures):
        parts.append(f"## Aims\n\n{reached}")
    parts.append(f"## Behind the best rival by more than the noise\n\n{losses.table(figures)}")
    for group in dict.fromkeys(result.row.group for result in report.results):
        title, *sections = report.group(group)
        parts.append(title)
        if group in pictures:
            parts.append(picture(pictures[group], heading(group)))
        parts += sections
    page = folder / f"{version}.md"
    page.write_text("\n\n".join(part for part in parts if part) + "\n")
    if folder.resolve() == FOLDER.resolve():
        embed(version, summary(report, version, pictures))
    return page


def introduction() -> str:
    return (
        "Written by the benchmark suite; [Benchmarks](../benchmarks.md) says what each row and "
        "each column means, and how to repeat it."
    )


def picture(name: str, what: str, place: str = "") -> str:
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{place}{name}-dark.svg">'
        f'<img alt="Chart: {what}, times better than stock asyncio" src="{place}{name}-light.svg">'
        "</picture>"
    )


def summary(report: Report, version: str, pictures: dict[str, str]) -> str:
    """What the embedding page shows of one Python."""
    machine = report.machine
    busy = "; **the machine was busy before the start**" if machine["busy_before"] else ""
    parts = [
        f"### Python {version}",
        f"{machine['date']}, Batuta at {machine['revision']}, {machine['cpu']}, cores "
        f"{machine['cores']}, Python {machine['python'].split()[0]} ({machine['python_build']})"
        f"{busy}. All tables and charts: [benchmarks/{version}.md](benchmarks/{version}.md); the "
        f"figures: [benchmarks/{version}.json](benchmarks/{version}.json).",
    ]
    if "" in pictures:
        parts.append(picture(pictures[""], "all groups", "benchmarks/"))
    if reached := aims.table(report.to_json(rounds=False)):
        parts += ["**Aims**, and the rows that miss them:", reached]
    for group in dict.fromkeys(result.row.group for result in report.results):
        results = [result for result in report.results if result.row.group == group]
        figure = FIGURES[results[0].row.kind][0]
        title = f"<b>{heading(group)}</b>: {figure.title}"
        parts += [
            f"<details><summary>{title}</summary>",
            report.table(figure, results),
            "</details>",
        ]
    return "\n\n".join(parts) + "\n"


def embed(version: str, section: str, embedding: Path = EMBEDDING) -> None:
    """Put the section of one Python between the marks, in the place of its former one."""
    text = embedding.read_text()
    before, begin, rest = text.partition(BEGIN)
    middle, end, after = rest.partition(END)
    if not begin or not end:
        raise NotTogether(f"{embedding} lacks the marks {BEGIN!r} and {END!r}")
    _, *known = re.split(r"^### Python ", middle, flags=re.MULTILINE)
    sections = {one.partition("\n")[0].strip(): f"### Python {one.strip()}" for one in known}
    sections[version] = section.strip()
    newest_first = sorted(
        sections, key=lambda one: [int(part) for part in one.split(".")], reverse=True
    )
    middle = "\n\n".join(sections[one] for one in newest_first)
    embedding.write_text(f"{before}{begin}\n\n{middle}\n\n{end}{after}")


def main(words: Sequence[str] | None = None) -> int:
    parse = argparse.ArgumentParser(prog="python -m benches.page", description=__doc__)
    parse.add_argument("runs", type=arguments.run, nargs="+", metavar="FULL.json")
    parse.add_argument("--out", type=arguments.folder, default=FOLDER)
    options = parse.parse_args(words)
    try:
        report = put_together(options.runs)
        print(write(report, options.out))
    except NotTogether as problem:
        print(f"benches.page: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
