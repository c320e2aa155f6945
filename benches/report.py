"""The Markdown report: conditions, one table per figure, and in words what was lost or failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benches.contestants import BASELINE, CONTESTANTS, SUBJECT
from benches.drivers import FIGURES, Figure
from benches.runner import RowResult
from benches.stats import Summary, times_better, within_noise

WIDE_SPREAD = 0.10


@dataclass(frozen=True)
class Report:
    """Everything one run found out. `loops` is in column order; `absent` says why one is not
    there."""

    machine: dict[str, Any]
    conditions: dict[str, Any]
    loops: Sequence[str]
    absent: dict[str, str]
    environments: dict[str, str | None]
    results: Sequence[RowResult]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": 1,
            "machine": self.machine,
            "conditions": self.conditions,
            "loops": list(self.loops),
            "absent": self.absent,
            "environments": self.environments,
            "rows": [result.to_json() for result in self.results],
        }

    def to_markdown(self) -> str:
        groups = dict.fromkeys(result.row.group for result in self.results)
        parts = [self._conditions()]
        for group in groups:
            results = [result for result in self.results if result.row.group == group]
            parts.append(f"## {group.capitalize()}")
            for figure in FIGURES[group]:
                parts.append(f"### {figure.title}\n\n{self._table(figure, results)}")
            parts.append(self._verdict(FIGURES[group][0], results))
            parts.append(self._remarks(results))
        return "\n\n".join(part for part in parts if part) + "\n"

    def _conditions(self) -> str:
        machine = self.machine
        load = " ".join(f"{one:.2f}" for one in machine["load_before"])
        place = " (virtual machine)" if machine["virtual"] else ""
        lines = [
            f"- {machine['date']}, Batuta at {machine['revision'] or 'an unknown revision'}",
            f"- {machine['cpu']}{place}, cores {machine['cores']}, {machine['kernel']}, "
            f"{machine['libc']}",
            f"- Python {' '.join(machine['python'].split())} ({machine['python_build']})",
            f"- load before the start: {load}"
            + (" — **the machine was busy**" if machine["busy_before"] else ""),
            f"- {self.conditions['summary']}",
        ]
        for loop in self.loops:
            lines.append(f"- {loop}: {self._described(loop)}")
        lines += [f"- {loop}: **not measured**: {why}" for loop, why in self.absent.items()]
        return "## Conditions\n\n" + "\n".join(lines)

    def _described(self, loop: str) -> str:
        for result in self.results:
            if who := result.identities.get(loop):
                version = f" {who['version']}" if who["version"] else ""
                environment = self.environments.get(loop)
                return f"`{who['type']}`{version}" + (f" ({environment})" if environment else "")
        return "**started on no row**"

    def _table(self, figure: Figure, results: Sequence[RowResult]) -> str:
        rivals = self._rivals() if SUBJECT in self.loops and figure.compared else []
        head = ["row", *self.loops]
        if rivals:
            head.append(f"{SUBJECT} against the best rival")
        lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
        for result in results:
            name = f"`{result.row.name}`" + (" †" if result.marked else "")
            cells = [f"{name} {result.row.about}"]
            summaries = {loop: result.summary(loop, figure.key) for loop in self.loops}
            found = [summary.median for summary in summaries.values() if summary]
            best = (max if figure.higher_is_better else min)(found, default=None)
            for loop, summary in summaries.items():
                cells.append(_cell(figure, summary, summaries.get(BASELINE), best, loop))
            if rivals:
                cells.append(_against(figure, summaries, rivals))
            lines.append(_line(cells))
        return "\n".join(lines)

    def _verdict(self, figure: Figure, results: Iterable[RowResult]) -> str:
        """The rows lost to the best rival, by the group's main figure."""
        if SUBJECT not in self.loops or not self._rivals():
            return ""
        behind, compared = [], 0
        for result in results:
            summaries = {loop: result.summary(loop, figure.key) for loop in self.loops}
            compared += _best_rival(figure, summaries, self._rivals()) is not None
            text = _against(figure, summaries, self._rivals())
            if "behind" in text:
                behind.append(f"- `{result.row.name}`: {text.replace('**', '')}")
        if behind:
            return "Rows on which Batuta is behind the best rival:\n\n" + "\n".join(behind)
        return "Batuta is behind the best rival on no row of this run." if compared else ""

    def _remarks(self, results: Sequence[RowResult]) -> str:
        lines = []
        for result in results:
            for loop, why in result.failures.items():
                lines.append(f"- {loop} failed on `{result.row.name}`: {_shortened(why)}")
            for loop, remarks in result.remarks().items():
                lines += [f"- {loop} on `{result.row.name}`: {remark}" for remark in remarks]
            if disturbed := sum(one.disturbed for one in result.rounds):
                kept = "kept for want of enough others" if result.marked else "left out"
                lines.append(
                    f"- `{result.row.name}`: {disturbed} of {len(result.rounds)} rounds disturbed, "
                    + kept
                )
        return "Remarks:\n\n" + "\n".join(lines) if lines else ""

    def _rivals(self) -> list[str]:
        return [loop for loop in self.loops if CONTESTANTS[loop].is_rival]


Summaries = dict[str, Summary | None]


def _cell(
    figure: Figure, summary: Summary | None, stock: Summary | None, best: float | None, loop: str
) -> str:
    """Median, spread, and how many times better than stock."""
    if summary is None:
        return "failed"
    text = f"{summary.median:,.{figure.digits}f}"
    if figure.compared and summary.median == best:
        text = f"**{text}**"
    text += f" ±{summary.spread / 2:.0%}"
    if summary.spread > WIDE_SPREAD:
        text += " ~"
    if figure.compared and stock and loop != BASELINE:
        ratio = times_better(summary, stock, higher_is_better=figure.higher_is_better)
        text += f" ({ratio:.2f}x)"
    return text


def _best_rival(figure: Figure, summaries: Summaries, rivals: list[str]) -> str | None:
    """The rival to compare with; None unless it and Batuta both have the figure."""
    found = {loop: summary for loop in rivals if (summary := summaries.get(loop))}
    if not found or summaries.get(SUBJECT) is None:
        return None
    pick = max if figure.higher_is_better else min
    return pick(found, key=lambda loop: found[loop].median)


def _against(figure: Figure, summaries: Summaries, rivals: list[str]) -> str:
    subject = summaries.get(SUBJECT)
    name = _best_rival(figure, summaries, rivals)
    other = summaries.get(name) if name else None
    if subject is None or other is None:
        return "-"
    ratio = times_better(subject, other, higher_is_better=figure.higher_is_better)
    text = f"{ratio:.2f}x {name}"
    if ratio < 1:
        text = f"**behind:** {text}"
    if within_noise(ratio, subject, other):
        text += " (within the noise)"
    return text


def _shortened(why: str) -> str:
    """Of a reason with a traceback: how it ended, and the error. The JSON has all of it."""
    first, *rest = why.splitlines()
    return f"{first.partition(':')[0]}: {rest[-1].strip()}" if rest else first


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
