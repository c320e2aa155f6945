"""Verdicts, table, tracebacks and the closing line.

Role: compare what the subject did with what stock did and say so.  Every counted test gets one of
three verdicts: passed, failed, or expected (it failed, and the list of expected failures says so).
A skip where stock runs the test is a failure; so are a hang and a crash, listed or not; so is a
listed test that passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .expected import Entry
from .outcomes import CRASH, FAIL, HANG, LOST, PASS, SKIP, Outcome
from .reference import Reference
from .watchdog import FileRun

PASSED, FAILED, EXPECTED = "passed", "failed", "expected"
DETAIL_LINES = 15
TITLES = {
    FAIL: "FAIL",
    SKIP: "SKIPPED (stock runs it)",
    HANG: "HANG",
    CRASH: "CRASH",
    LOST: "NOT RUN",
}


@dataclass
class Verdict:
    test: str
    verdict: str
    title: str
    outcome: Outcome


@dataclass
class FileReport:
    """One line of the table and what stands behind it."""

    file: str
    stock_total: int
    verdicts: list[Verdict] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, verdict: str) -> int:
        return sum(1 for v in self.verdicts if v.verdict == verdict)


def judge(stock: Outcome, outcome: Outcome, entries: list[Entry]) -> Verdict:
    """The verdict on one test."""
    listed = any(entry.covers(outcome.test) for entry in entries)
    word, title = outcome.outcome, TITLES.get(outcome.outcome, "")
    if word == PASS and outcome.skipped_subtests > stock.skipped_subtests:
        word, title = SKIP, "SKIPPED sub-tests (stock runs them)"
    if word == PASS:
        if listed:
            return Verdict(outcome.test, FAILED, "PASSED, but listed as expected failure", outcome)
        return Verdict(outcome.test, PASSED, "", outcome)
    if listed and word in (FAIL, SKIP):
        return Verdict(outcome.test, EXPECTED, title, outcome)
    if listed:
        title += " (listed as an expected failure, which may not hang or crash)"
    return Verdict(outcome.test, FAILED, title, outcome)


def judge_file(
    reference: Reference, run: FileRun, selected: list[str], entries: list[Entry]
) -> FileReport:
    """The verdicts on one file: on its selected tests and on its process as a whole."""
    report = FileReport(reference.file, len(reference.outcomes), seconds=run.seconds)
    for test in selected:
        outcome = run.outcomes.get(test) or Outcome(test, LOST, detail="the run has no result")
        report.verdicts.append(judge(reference.outcomes[test], outcome, entries))
    known = {extra.test for extra in reference.extras}
    for extra in run.extras:
        if extra.test not in known:
            title = TITLES[extra.outcome]
            report.verdicts.append(Verdict(extra.test, FAILED, title, extra))
    return report


def table(reports: list[FileReport]) -> str:
    """One line per file that has counted tests, and a total."""
    head = ("file", "tests", "counted", "passed", "failed", "expected", "seconds")
    rows = [
        (
            r.file,
            str(r.stock_total),
            str(len(r.verdicts)),
            *(str(r.count(v)) for v in (PASSED, FAILED, EXPECTED)),
            f"{r.seconds:.1f}",
        )
        for r in reports
        if r.verdicts
    ]
    totals = [sum(int(row[i]) for row in rows) for i in range(1, 6)]
    rows.append(("total", *(str(n) for n in totals), f"{sum(r.seconds for r in reports):.1f}"))
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row: tuple[str, ...]) -> str:
        first, *rest = row
        cells = [first.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(rest, widths[1:], strict=True)]
        return "  ".join(cells)

    rule = "-" * len(line(head))
    return "\n".join([line(head), rule, *(line(row) for row in rows[:-1]), rule, line(rows[-1])])


def failure(verdict: Verdict, *, verbose: bool) -> str:
    """A failure with the end of its traceback."""
    lines = verdict.outcome.detail.rstrip().splitlines()
    if not verbose and len(lines) > DETAIL_LINES and verdict.outcome.outcome != HANG:
        lines = ["...", *lines[-DETAIL_LINES:]]
    body = "\n".join("    " + text for text in lines)
    return f"{verdict.title}: {verdict.test}\n{body}".rstrip()


def closing_line(reports: list[FileReport]) -> str:
    passed = sum(r.count(PASSED) for r in reports)
    failed = sum(r.count(FAILED) for r in reports)
    return f"{passed} passed, {failed} failed"


def as_json(reports: list[FileReport], about: dict[str, Any], errors: list[str]) -> dict[str, Any]:
    """Everything a later comparison may want."""
    return {
        **about,
        "errors": errors,
        "totals": {v: sum(r.count(v) for r in reports) for v in (PASSED, FAILED, EXPECTED)},
        "files": [
            {
                "file": r.file,
                "tests_on_stock": r.stock_total,
                "seconds": round(r.seconds, 3),
                "verdicts": [
                    {"verdict": v.verdict, "title": v.title, **v.outcome.to_json()}
                    for v in r.verdicts
                ],
            }
            for r in reports
        ],
    }
