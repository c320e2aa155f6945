"""The command: `python -m tests.suites [PROJECT…]`, from the root of the repository.

Runs the suites on stock asyncio, on Batuta and on Batuta accelerated, prints a table, and ends
with 1 if a test that passes on stock does not pass on Batuta and is no listed departure; with 2 if
a suite could not be run.
"""

from __future__ import annotations

import argparse
import signal
import sys

from . import projects, runs, verdicts
from .projects import NotInstallable, Project
from .runs import WAYS, Outcomes, WrongLoop
from .verdicts import Verdict


def parser(known: list[str]) -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog="python -m tests.suites",
        description="Other projects' test suites on stock asyncio and on Batuta.",
    )
    parse.add_argument("project", nargs="*", help=f"of {', '.join(known)}; default: all")
    parse.add_argument("--minutes", type=float, default=10, help="of a suite in one way (10)")
    parse.add_argument("-v", "--verbose", action="store_true", help="show why tests failed")
    return parse


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def verdicts_of(project: Project, minutes: float, verbose: bool) -> dict[str, Verdict]:
    """Runs the suite in all ways. Raises NotInstallable or WrongLoop."""
    say(f"{project.release}: sources and environment")
    interpreter, sources = projects.python(project), projects.sources(project)
    logs = projects.HOME / "logs" / project.release

    def start(way: str, only: list[str]) -> Outcomes:
        say(f"{project.release}: {f'{len(only)} tests' if only else 'all tests'} on {way}")
        return runs.run(
            *(way, interpreter, sources, project.arguments),
            logs / "again" if only else logs,
            seconds=60 * minutes,
            only=only,
        )

    outcomes = {way: start(way, []) for way in WAYS}
    for way, found in outcomes.items():
        if not found.over:
            say(f"{project.release} on {way} did not come to its end: see {logs / way}.log")
    if verbose:
        for way, found in outcomes.items():
            for test, text in found.texts.items():
                say(f"--- {test} on {way}\n{text}")
    return {
        way: verdicts.judge(way, outcomes["stock"], found, project.departures, start)
        for way, found in outcomes.items()
        if way != "stock"
    }


def main(words: list[str] | None = None) -> int:
    known = projects.listed()
    parse = parser(list(known))
    options = parse.parse_args(words)
    if unknown := [name for name in options.project if name not in known]:
        parse.error(f"no project is called {', '.join(unknown)}; there are: {', '.join(known)}")
    # An end that lets the run under way be ended, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    code = 0
    ways = [way for way in WAYS if way != "stock"]
    table = [f"| project | tests | pass on stock | of these {' | of these '.join(ways)} |"]
    table.append("| --- " + "| ---: " * (2 + len(ways)) + "|")
    remarks: list[str] = []
    for name in options.project or known:
        project = known[name]
        try:
            found = verdicts_of(project, options.minutes, options.verbose)
        except (NotInstallable, WrongLoop) as problem:
            remarks.append(f"{name} could not be run: {problem}")
            code = 2
            continue
        first = found[ways[0]]
        cells = [first.tests, first.counted, *(found[way].passed for way in ways)]
        table.append(f"| {name} {project.version} | {' | '.join(map(str, cells))} |")
        for way, verdict in found.items():
            remarks += [f"{test} on {way} DIFFERS: {end}" for test, end in verdict.differ.items()]
            remarks += [
                f"{test} on {way} departs: {why}" for test, why in verdict.departures.items()
            ]
            remarks += [
                f"{test} on {way} is unsteady: {how}" for test, how in verdict.unsteady.items()
            ]
            remarks += [f"{name}: no test departs as {glob} on {way}" for glob in verdict.stale]
            if not verdict.good:
                code = max(code, 1)
    print("\n".join([*table, "", *remarks]))
    return code


if __name__ == "__main__":
    sys.exit(main())
