"""The Markdown report: conditions, one table per figure, and in words what was lost or failed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from benches.contestants import BASELINE, CONTESTANTS, LIMIT, SUBJECTS
from benches.figures import FIGURES, Figure
from benches.runner import RowResult, shortened
from benches.stats import Summary, geometric_mean, times_better, within_noise

FORMAT = 3
"""Of the JSON."""

WIDE_SPREAD = 0.10

RELEASE = "release"
"""How the description of a build begins whose figures may be read."""

AIM = 1.5
"""A row below this many times the best rival is named in the verdict, even where it is ahead."""


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

    def to_json(self, rounds: bool = True) -> dict[str, Any]:
        """Everything; without the rounds no more than what the tables are made of."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "conditions": self.conditions,
            "loops": list(self.loops),
            "absent": self.absent,
            "environments": self.environments,
            "rows": [result.to_json(rounds) for result in self.results],
        }

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> Report:
        """What `to_json` wrote, with its rounds."""
        if written.get("format") != FORMAT:
            raise ValueError(f"format {written.get('format')!r}, not {FORMAT}: written by another")
        return cls(
            machine=written["machine"],
            conditions=written["conditions"],
            loops=written["loops"],
            absent=written["absent"],
            environments=written["environments"],
            results=[RowResult.from_json(row) for row in written["rows"]],
        )

    def to_markdown(self) -> str:
        parts = [self.conditions_text()]
        for group in dict.fromkeys(result.row.group for result in self.results):
            parts += self.group(group)
        return "\n\n".join(part for part in parts if part) + "\n"

    def group(self, group: str) -> list[str]:
        """The sections of one group: a table for each figure, the verdict, the remarks."""
        results = [result for result in self.results if result.row.group == group]
        figures = FIGURES[results[0].row.kind]
        parts = [f"## {heading(group)}"]
        for figure in figures:
            shown = [
                result
                for result in results
                if figure.shown
                and (not figure.latency or getattr(result.row, "shows_latency", False))
            ]
            if shown:
                parts.append(f"### {figure.title}\n\n{self.table(figure, shown)}")
        return [*parts, self._verdict(figures[0], results), self._remarks(results)]

    def _pace_text(self) -> list[str]:
        """Nothing of a run that did not look at it."""
        slow = self.machine.get("slow_share")
        if slow is None:
            return []
        return [f"- before {slow:.0%} of the samples the core was found slower than at its best"]

    def conditions_text(self) -> str:
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
            *self._pace_text(),
            f"- {self.conditions['summary']}",
        ]
        for loop in self.loops:
            if loop != LIMIT or self._is_limited(self.results):
                lines.append(f"- {loop}: {self._described(loop)}")
        lines += [f"- {loop}: **not measured**: {why}" for loop, why in self.absent.items()]
        return "## Conditions\n\n" + "\n".join(lines)

    def _described(self, loop: str) -> str:
        for result in self.results:
            if who := result.identities.get(loop):
                parts = [f"`{who['type']}`" + (f" {who['version']}" if who["version"] else "")]
                if environment := self.environments.get(loop):
                    parts.append(f"({environment})")
                if build := who.get("build"):
                    parts.append(
                        f"({build} build)"
                        if build.startswith(RELEASE)
                        else f"(**{build} build: its figures say nothing**)"
                    )
                if replaced := who.get("accelerated"):
                    parts.append("with its own " + ", ".join(f"`{name}`" for name in replaced))
                return " ".join(parts)
        return "**started on no row**"

    def table(self, figure: Figure, results: Sequence[RowResult]) -> str:
        rivals = self._rivals() if figure.compared else []
        subjects = self._subjects() if rivals else []
        limited = self._is_limited(results)
        loops = [loop for loop in self.loops if loop != LIMIT or limited]
        distances = self._subjects() if limited and figure is FIGURES["echo"][0] else []
        head = [
            "row",
            *loops,
            *(f"{subject} against the best rival" for subject in subjects),
            *(f"{subject} to the limit" for subject in distances),
        ]
        lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
        for result in results:
            name = f"`{result.row.name}`" + (" †" if result.marked else "")
            cells = [f"{name} {result.row.about}{_restriction(result)}"]
            summaries = {loop: result.summary(loop, figure) for loop in loops}
            found = [one.value for loop, one in summaries.items() if one and loop != LIMIT]
            best = (max if figure.higher_is_better else min)(found, default=None)
            for loop, summary in summaries.items():
                if summary is None:
                    cells.append(_empty_cell(result, loop))
                else:
                    cells.append(_cell(figure, summary, summaries.get(BASELINE), best, loop))
            cells += [_against(figure, summaries, subject, rivals) for subject in subjects]
            cells += [_distance(summaries, subject) for subject in distances]
            lines.append(_line(cells))
        return "\n".join(lines)

    def _verdict(self, figure: Figure, results: Sequence[RowResult]) -> str:
        """How each subject stands against the best rivals, by the group's main figure."""
        subjects = self._subjects() if self._rivals() else []
        return "\n\n".join(
            text for subject in subjects if (text := self._standing(figure, results, subject))
        )

    def _standing(self, figure: Figure, results: Sequence[RowResult], subject: str) -> str:
        """Geometric mean over the rows, then the rows that are lost and those that are close."""
        rivals = self._rivals()
        ratios, behind, close = [], [], []
        for result in results:
            summaries = {loop: result.summary(loop, figure) for loop in self.loops}
            pair = _pair(figure, summaries, subject, rivals)
            if pair is None:
                continue
            ratio = times_better(pair.own, pair.other, higher_is_better=figure.higher_is_better)
            ratios.append(ratio)
            text = _against(figure, summaries, subject, rivals).replace("**", "")
            if ratio < 1:
                behind.append(f"- `{result.row.name}`: {text}")
            elif ratio < AIM:
                close.append(f"- `{result.row.name}`: {text}")
        if not ratios:
            return ""
        rows = "1 row" if len(ratios) == 1 else f"{len(ratios)} rows"
        parts = [
            f"**{subject}** against the best rival of each row: {geometric_mean(ratios):.2f}x "
            f"in the geometric mean over {rows}, {min(ratios):.2f}x to {max(ratios):.2f}x."
        ]
        if behind:
            parts.append(
                f"Rows on which {subject} is behind the best rival:\n\n" + "\n".join(behind)
            )
        else:
            parts.append(f"{subject} is behind the best rival on no row of this run.")
        if close:
            parts.append(f"Rows on which it is ahead by less than {AIM}x:\n\n" + "\n".join(close))
        return "\n\n".join(parts)

    def _remarks(self, results: Sequence[RowResult]) -> str:
        lines = []
        for result in results:
            if result.skipped:
                lines.append(f"- `{result.row.name}` was not measured: {result.skipped}")
            for loop, why in result.failures.items():
                lines.append(f"- {loop} failed on `{result.row.name}`: {shortened(why)}")
            for loop, remarks in result.remarks().items():
                lines += [f"- {loop} on `{result.row.name}`: {remark}" for remark in remarks]
            samples = [sample for one in result.rounds for sample in one.samples.values()]
            if reasons := [sample.disturbed for sample in samples if sample.disturbed]:
                kept = "kept for want of enough others" if result.marked else "left out"
                lines.append(
                    f"- `{result.row.name}`: {len(reasons)} of {len(samples)} samples disturbed "
                    f"({_mostly(reasons)}), {kept}"
                )
        return "Remarks:\n\n" + "\n".join(lines) if lines else ""

    @staticmethod
    def _is_limited(results: Sequence[RowResult]) -> bool:
        """Whether at least one of the rows has the limit: it is not shown where none has."""
        return any(LIMIT in result.identities for result in results)

    def _subjects(self) -> list[str]:
        return [loop for loop in self.loops if loop in SUBJECTS]

    def _rivals(self) -> list[str]:
        return [loop for loop in self.loops if CONTESTANTS[loop].is_rival]


Summaries = dict[str, Summary | None]


def heading(group: str) -> str:
    """Of the group's tables and charts; its name is one word, for the command line."""
    return {"tls": "TLS", "unix-udp-pipes": "Unix sockets, UDP, pipes"}.get(
        group, group.replace("-", " ").capitalize()
    )


def _mostly(reasons: Sequence[str]) -> str:
    """The kind of reason that is most frequent: the words, with the last sample's numbers."""
    by_kind = {re.sub(r"\d[\d.,]*", "", reason): reason for reason in reasons}
    kinds = Counter(re.sub(r"\d[\d.,]*", "", reason) for reason in reasons)
    [(kind, count)] = kinds.most_common(1)
    return by_kind[kind] if count == 1 else f"{count} times as: {by_kind[kind]}"


def _restriction(result: RowResult) -> str:
    """Of a row that could not be what its description says on this machine."""
    found = {one for remarks in result.remarks().values() for one in remarks}
    return f" (**{'; '.join(sorted(found))}**)" if result.row.kind == "idle" and found else ""


def _empty_cell(result: RowResult, loop: str) -> str:
    """Why there is no figure, in as many words as a cell has room for; the remarks say more."""
    if result.skipped:
        return "not measured"
    if loop not in result.failures:
        return "-"
    why = result.failures[loop]
    return "not supported" if "NotImplementedError" in why else "failed"


def _distance(summaries: Summaries, subject: str) -> str:
    """How many times the cost of the plain epoll server."""
    own, limit = summaries.get(subject), summaries.get(LIMIT)
    return f"{own.value / limit.value:.2f}x" if own and limit and limit.value else "-"


def _cell(
    figure: Figure, summary: Summary, stock: Summary | None, best: float | None, loop: str
) -> str:
    """Value, spread, and how many times better than stock."""
    text = f"{summary.value:,.{figure.digits}f}"
    if figure.compared and loop != LIMIT and summary.value == best:
        text = f"**{text}**"
    text += f" ±{summary.spread / 2:.0%}"
    if summary.spread > WIDE_SPREAD:
        text += " ~"
    if figure.compared and stock and loop not in (BASELINE, LIMIT):
        ratio = times_better(summary, stock, higher_is_better=figure.higher_is_better)
        text += f" ({ratio:.2f}x)"
    return text


class _Pair(NamedTuple):
    """A subject's figure and the best rival's."""

    own: Summary
    other: Summary
    rival: str


def _pair(figure: Figure, summaries: Summaries, subject: str, rivals: list[str]) -> _Pair | None:
    """What to compare; None unless the subject and a rival both have the figure."""
    found = {loop: summary for loop in rivals if (summary := summaries.get(loop))}
    own = summaries.get(subject)
    if not found or own is None:
        return None
    pick = max if figure.higher_is_better else min
    best = pick(found, key=lambda loop: found[loop].value)
    return _Pair(own, found[best], best)


def _against(figure: Figure, summaries: Summaries, subject: str, rivals: list[str]) -> str:
    pair = _pair(figure, summaries, subject, rivals)
    if pair is None:
        return "-"
    ratio = times_better(pair.own, pair.other, higher_is_better=figure.higher_is_better)
    text = f"{ratio:.2f}x {pair.rival}"
    if ratio < 1:
        text = f"**behind:** {text}"
    if within_noise(pair.own, pair.other):
        text += " (within the noise)"
    return text


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
