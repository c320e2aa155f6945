"""The command line of the suite: what to run on which loops, then the report."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from benches import arguments, machine, page
from benches.child import Worker, WorkerFailed
from benches.contestants import BASELINE, CONTESTANTS, LIMIT, SUBJECTS, Contestant
from benches.environments import NotInstallable, python_for
from benches.load import LoadFailed, binary
from benches.pace import Pace, pace_of
from benches.peers import Peers
from benches.report import RELEASE, Report
from benches.rows import ROWS, Row, Tier, select
from benches.runner import TAIL_ROUNDS, RowResult, run_row
from benches.settings import Settings, settings_for


def parser() -> argparse.ArgumentParser:
    parse = argparse.ArgumentParser(
        prog="python -m benches",
        description="Batuta beside stock asyncio and its rivals, in one interleaved run.",
    )
    parse.add_argument(
        "--only",
        type=arguments.names,
        metavar="ROW,…",
        help="these rows: names, patterns or groups",
    )
    parse.add_argument(
        "--loops",
        type=arguments.names,
        metavar="LOOP,…",
        default=list(CONTESTANTS),
        help=f"these loops; `limit` is the last (default: {','.join(CONTESTANTS)})",
    )
    parse.add_argument(
        "--all", action="store_true", help="every combination of size, connections and window"
    )
    parse.add_argument("--seconds", type=arguments.seconds, help="length of the windows under load")
    parse.add_argument(
        "--rounds",
        type=arguments.count,
        help="undisturbed samples of each loop wanted (default: 5)",
    )
    parse.add_argument(
        "--quick",
        action="store_true",
        help="a tenth of the work and 3 rounds of a few rows: rough figures",
    )
    parse.add_argument(
        "--json", type=arguments.output, metavar="OUT", help="write everything measured here"
    )
    parse.add_argument(
        "--markdown", type=arguments.output, metavar="OUT", help="write the report here as well"
    )
    parse.add_argument(
        "--page",
        type=arguments.folder,
        metavar="DIR",
        help="write the results page and its charts there",
    )
    parse.add_argument("--list", action="store_true", help="name the rows and end")
    return parse


def describe(settings: Settings) -> str:
    cores = (
        f"server and single-threaded rows on core {settings.server_core}, "
        f"load on core {settings.client_core}"
        if settings.server_core is not None
        else "**server and load share one core: requests per second and latency say little**"
    )
    return (
        f"{settings.rounds} rounds in changing order ({TAIL_ROUNDS * settings.rounds} where "
        f"latencies are shown), {settings.scale:g} of the fixed numbers of operations, windows of "
        f"{settings.seconds:g} s under load; {cores}"
    )


def enter(
    names: Sequence[str], needs: Sequence[str] = ()
) -> tuple[dict[str, tuple[Contestant, Path]], dict[str, str], dict[str, str | None]]:
    """The loops that can run, those that cannot with the reason, and what each one stands on."""
    entrants: dict[str, tuple[Contestant, Path]] = {}
    absent: dict[str, str] = {}
    environments: dict[str, str | None] = {}
    for name in names:
        contestant = CONTESTANTS[name]
        if name == LIMIT:
            try:
                entrants[name] = (contestant, binary())
            except LoadFailed as problem:
                absent[name] = str(problem)
            continue
        if contestant.requirement is None and not importlib.util.find_spec(contestant.package):
            absent[name] = f"{contestant.package} is not installed in this environment"
            continue
        try:
            python, environments[name] = python_for(contestant, say, needs=needs)
        except NotInstallable as problem:
            absent[name] = f"cannot be installed: {problem}"
            continue
        try:
            with Worker(python, "benches.worker", {**contestant.start, "cores": []}) as worker:
                build = worker.identity["build"]
        except WorkerFailed as problem:
            absent[name] = f"does not start: {str(problem).splitlines()[-1]}"
            continue
        if build and not build.startswith(RELEASE):
            say(f"{name} is a {build} build: its figures say nothing (`make bench` builds release)")
        entrants[name] = (contestant, python)
    return entrants, absent, environments


def measure(
    rows: Sequence[Row],
    entrants: dict[str, tuple[Contestant, Path]],
    settings: Settings,
    pace: Pace | None,
) -> Iterator[RowResult]:
    """One row after the other, on all loops that can run."""
    with Peers(settings.client_core) as peers:
        for number, row in enumerate(rows, 1):
            say(f"[{number}/{len(rows)}] {row.name}: {row.about}")
            yield run_row(row, entrants, settings, say, peers=peers, pace=pace)


def packages_of(rows: Sequence[Row]) -> list[str]:
    """What these rows need from PyPI beside the loops."""
    found = [package for row in rows for package in getattr(row, "needs", ())]
    return list(dict.fromkeys(found))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def list_rows() -> int:
    try:
        for row in ROWS.values():
            print(f"{row.name:28} {row.group:22} {row.tier.name.lower():6} {row.about}")
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """0 when stock and Batuta ran on every row; a rival that fails is reported, no more."""
    parse = parser()
    options = parse.parse_args(words)
    if options.list:
        return list_rows()
    tier = Tier.ALL if options.all else Tier.QUICK if options.quick else Tier.USUAL
    try:
        rows = select(options.only, max(tier, Tier.USUAL) if options.only else tier)
    except ValueError as problem:
        parse.error(str(problem))
    options.loops = [LIMIT if name == "limit" else name for name in options.loops]
    if unknown := [name for name in options.loops if name not in CONTESTANTS]:
        parse.error(f"no loop is called {', '.join(unknown)}; there are: {', '.join(CONTESTANTS)}")
    names = list(dict.fromkeys(options.loops))
    if options.page and (options.only or options.quick or set(names) != CONTESTANTS.keys()):
        parse.error(
            "--page shows all rows and loops, measured in full; parts of a run, each with its "
            "--json, are put together by `python -m benches.page`"
        )

    facts = machine.facts()
    if facts["busy_before"]:
        say("the machine is busy: expect disturbed rounds")
    settings = settings_for(options.quick, options.rounds, options.seconds)
    entrants, absent, environments = enter(names, packages_of(rows))
    for name, reason in absent.items():
        say(f"{name} is left out: {reason}")
    pace = pace_of(settings)
    results: list[RowResult] = []
    report = Report(
        machine=facts,
        conditions={"summary": describe(settings), **asdict(settings)},
        loops=list(entrants),
        absent=absent,
        environments=environments,
        results=results,
    )
    try:
        for result in measure(rows, entrants, settings, pace):
            results.append(result)
    finally:
        # Also of a run that ends early: its rows may be put together with those of another.
        facts["slow_share"] = pace.slow_share if pace else None
        if options.json and results:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    markdown = report.to_markdown()
    print(markdown)
    if options.markdown:
        options.markdown.parent.mkdir(parents=True, exist_ok=True)
        options.markdown.write_text(markdown)
    if options.page:
        say(f"{page.write(report, options.page)} is written")
    own = {BASELINE, *SUBJECTS}
    failed = any(own & result.failures.keys() for result in results)
    return 1 if failed or own & absent.keys() else 0
