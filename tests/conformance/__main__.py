"""The command line: `python -m tests.conformance`, from the root of the repository.

Role: choose files and tests, count on stock what is to be counted, run the subject, report.
Exit code: 0 when every counted test passed or failed as listed, 1 when not, 2 when nothing could
be run (no tests installed, no such subject, a bad option).

Thread: the main thread waits; up to `-j` worker threads follow one child process each.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, TypeVar

from . import expected, reference, report, slots
from .outcomes import Outcome
from .reference import Reference
from .watchdog import ROOT, FileJob, SubjectMissing, kill_all, run_file

T = TypeVar("T")
BUILD = ROOT / "build" / "conformance"
PACKAGE = "test.test_asyncio"
VERSION = sys.version_info[:2]


class Unusable(Exception):
    """Nothing can be run; the message says why and what to do."""


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description="Run CPython's own asyncio tests with another event loop (docs/conformance.md)",
    )
    add = parser.add_argument
    add("--subject", default="batuta", help="batuta, stock or MODULE:FACTORY (default batuta)")
    kinds = parser.add_mutually_exclusive_group()
    for mode, what in slots.MODES.items():
        kinds.add_argument(f"--{mode}", action="store_const", const=mode, dest="mode", help=what)
    kinds.add_argument(
        "--all", action="store_const", const=slots.ALL, dest="mode",
        help="the tests of the loop, then these two kinds",
    )  # fmt: skip
    parser.set_defaults(mode=slots.GENERIC)
    add("--files", default="", help="only these test files, separated by commas")
    add("--tests", default="", help="only tests whose id matches this pattern (* as usual)")
    add("-j", "--jobs", type=int, default=2, help="test files at once (default 2)")
    add("--timeout", type=float, default=60.0, help="seconds a test may take (default 60)")
    add("--json", type=Path, help="write every verdict to this file")
    add("-v", "--verbose", action="store_true", help="print every test and whole tracebacks")
    add("--recount", action="store_true", help="count on stock again, whatever is cached")
    add("--list", action="store_true", help="print the counted tests and stop")
    add("--expected", type=Path, help="list of expected failures (default: Batuta's own)")
    add("--package", default=PACKAGE, help=f"package of tests (default {PACKAGE})")
    add("--build", type=Path, default=BUILD, help="folder for counts and logs")
    add("--path", action="append", default=[], help="folder to import the package from")
    options = parser.parse_args(arguments)
    if options.mode == slots.ALL and (options.json or options.files or options.tests):
        parser.error("--all takes neither --json nor --files nor --tests")
    options.path = [os.path.abspath(folder) for folder in options.path]
    return options


def find_package(package: str) -> Path:
    """The folder of the tests; says how to install them if the interpreter came without."""
    for name in ("test.support", package):
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            spec = None
        if spec is None:
            version = f"{VERSION[0]}.{VERSION[1]}"
            raise Unusable(
                f"{sys.executable} (Python {version}) comes without the package {name}.\n"
                "CPython's own tests are a separate package on most systems:\n"
                f"  Debian, Ubuntu   apt-get install libpython{version}-testsuite\n"
                f"  Fedora           dnf install python3-test (or python{version}-test)\n"
                "  Alpine           apk add python3-tests\n"
                "  own builds       install CPython without --disable-test-modules\n"
            )
    if spec is None or not spec.submodule_search_locations:
        raise Unusable(f"{package} is not a package of tests")
    return Path(next(iter(spec.submodule_search_locations)))


def choose_files(folder: Path, wanted: str) -> list[str]:
    present = sorted(path.stem for path in folder.glob("test_*.py"))
    names = [name.strip().removesuffix(".py") for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in present]
    if unknown:
        raise Unusable(f"no such test file: {', '.join(unknown)}; there are {', '.join(present)}")
    return [name for name in present if not names or name in names]


def at_once(jobs: int, work: dict[str, Callable[[], T]], done: Callable[[str, T], None]) -> None:
    """Do the work of each file, several at a time, reporting as each is done."""
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        futures = {pool.submit(task): file for file, task in work.items()}
        try:
            for future in as_completed(futures):
                done(futures[future], future.result())
        except BaseException:
            kill_all()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class Session:
    """One run: the options, and the steps in their order."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        sys.path[:0] = options.path
        self.folder = find_package(options.package)
        self.files = choose_files(self.folder, options.files)
        self.files = [file for file in self.files if slots.concerns(options.mode, file)]
        self.kind = {slots.SLOTS: "slot"}.get(options.mode, options.mode)

    def job(self, subject: str, file: str, tests: list[str] | None, log_name: str) -> FileJob:
        version = f"{VERSION[0]}.{VERSION[1]}"
        mode = "" if self.options.mode == slots.GENERIC else f"-{self.options.mode}"
        name = "".join(c if c.isalnum() else "-" for c in f"{subject}-{version}{mode}")
        return FileJob(
            package=self.options.package,
            file=file,
            subject=subject,
            tests=tests,
            timeout=self.options.timeout,
            log=self.options.build / "logs" / name / f"{log_name}.log",
            path=self.options.path,
            mode=self.options.mode,
        )

    def counts(self) -> dict[str, Reference]:
        """What stock does with each file, from the cache or by running it."""
        found: dict[str, Reference] = {}
        work: dict[str, Callable[[], Reference]] = {}
        for file in self.files:
            path = reference.cache_path(self.options.build, self.folder, file)
            known = None if self.options.recount else reference.load(path)
            if known is not None:
                found[file] = known
                continue

            def count(file: str = file, path: Path = path) -> Reference:
                def job(tests: list[str] | None, log_name: str) -> FileJob:
                    return self.job("stock", file, tests, f"count.{log_name}")

                return reference.take(job, file, path)[0]

            work[file] = count

        def done(file: str, taken: Reference) -> None:
            found[file] = taken
            note = f" (left out: {taken.left_out})" if taken.left_out else ""
            total, counted = len(taken.outcomes), len(taken.counted(self.options.mode))
            print(f"  {file}: {counted} {self.kind} of {total} tests{note}", flush=True)

        if work:
            print(f"Counting on stock asyncio, once for this interpreter ({len(work)} files):")
            at_once(self.options.jobs, work, done)
            print()
        return {file: found[file] for file in self.files}

    def select(self, counts: dict[str, Reference]) -> dict[str, list[str]]:
        """The tests of each file that the subject is asked."""
        pattern = self.options.tests
        if pattern and "*" not in pattern:
            pattern = f"*{pattern}*"
        selected: dict[str, list[str]] = {}
        for file, stock in counts.items():
            tests = list(stock.counted(self.options.mode))
            if self.options.subject == "stock":  # what stock could not pass, it is asked again
                tests += [o.test for o in stock.failed(self.options.mode)]
            tests = [t for t in tests if not pattern or fnmatch.fnmatchcase(t, pattern)]
            if tests:
                selected[file] = tests
        return selected

    def run(
        self,
        counts: dict[str, Reference],
        selected: dict[str, list[str]],
        entries: list[expected.Entry],
    ) -> list[report.FileReport]:
        total = sum(len(tests) for tests in selected.values())
        subject, files = self.options.subject, len(selected)
        print(f"Running {total} {self.kind} tests of {files} files on {subject}:")
        reports: dict[str, report.FileReport] = {}

        def note(outcome: Outcome) -> None:
            if self.options.verbose:
                took = f"{outcome.seconds:6.2f} s"
                print(f"    {outcome.outcome:5} {took}  {outcome.test}", flush=True)

        def work_of(file: str) -> Callable[[], report.FileReport]:
            def work() -> report.FileReport:
                tests = list(selected[file])
                run = run_file(self.job(self.options.subject, file, tests, file), note)
                return report.judge_file(counts[file], run, selected[file], entries)

            return work

        def done(file: str, made: report.FileReport) -> None:
            reports[file] = made
            passed, failed = made.count(report.PASSED), made.count(report.FAILED)
            print(f"  {file}: {passed} passed, {failed} failed in {made.seconds:.1f} s", flush=True)

        by_length = sorted(selected, key=lambda file: -_seconds(counts[file], selected[file]))
        at_once(self.options.jobs, {file: work_of(file) for file in by_length}, done)
        return [reports[file] for file in selected]


def _seconds(stock: Reference, tests: list[str]) -> float:
    return sum(stock.outcomes[test].seconds for test in tests)


def conclude(
    session: Session,
    counts: dict[str, Reference],
    reports: list[report.FileReport],
    errors: list[str],
) -> int:
    options = session.options
    print("\n" + report.table(reports) + "\n")
    for made in reports:
        for verdict in made.verdicts:
            shown = verdict.verdict == report.FAILED
            if shown or (options.verbose and verdict.verdict == report.EXPECTED):
                print(report.failure(verdict, verbose=options.verbose) + "\n")
    if options.subject != "stock":
        for stock in counts.values():
            for outcome in stock.failed(options.mode):
                print(f"not counted, stock fails it here: {outcome.test}")
    for error in errors:
        print(f"error: {error}")
    about: dict[str, Any] = {
        "subject": options.subject,
        "python": platform.python_version(),
        "package": options.package,
    }
    if options.json:
        data = report.as_json(reports, about, errors)
        options.json.write_text(json.dumps(data, indent=1), encoding="utf-8")
    expected_failures = sum(made.count(report.EXPECTED) for made in reports)
    print(
        f"{about['subject']} on Python {about['python']}: "
        f"{sum(len(made.verdicts) for made in reports)} {session.kind} tests, "
        f"{expected_failures} expected failures; logs under {os.path.relpath(options.build)}/logs"
    )
    print(report.closing_line(reports))
    failed = any(made.count(report.FAILED) for made in reports)
    return 1 if failed or errors else 0


def run_once(options: argparse.Namespace) -> tuple[int, str]:
    """One kind of run: its exit code and its last line."""
    session = Session(options)
    own = expected.OWN.get(options.mode, []) if options.subject == "batuta" else []
    lists = [options.expected] if options.expected else own
    entries = [entry for path in lists for entry in expected.read(path, VERSION)]
    counts = session.counts()
    selected = session.select(counts)
    if options.list:
        print("\n".join(test for tests in selected.values() for test in tests))
        return 0, ""
    if not selected:
        raise Unusable("no counted test matches")
    all_counted = [test for stock in counts.values() for test in stock.counted(options.mode)]
    errors = expected.check(entries, all_counted, VERSION, whole_suite=not options.files)
    reports = session.run(counts, selected, entries)
    return conclude(session, counts, reports, errors), report.closing_line(reports)


def run_all(options: argparse.Namespace) -> int:
    """The three kinds of run, one after the other; the last line names them all."""
    codes, lines = [], []
    for mode in (slots.GENERIC, *slots.MODES):
        code, line = run_once(argparse.Namespace(**{**vars(options), "mode": mode}))
        codes.append(code)
        lines.append(f"{mode}: {line}")
        print()
    print("; ".join(lines))
    return max(codes)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        return run_all(options) if options.mode == slots.ALL else run_once(options)[0]
    except (Unusable, SubjectMissing, expected.BadList) as exc:
        print(f"conformance: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("conformance: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
