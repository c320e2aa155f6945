"""Runs one file of tests with the subject as the loop, announcing each test over a pipe.

Role: the child side.  `python -m tests.conformance.child JOB.json`; the job names the module, the
subject, the tests wanted (all if none are named) and the number of the pipe to write to.

Ownership: the pipe belongs to this process alone: a process forked by a test must never write to
it, so every write checks the process id, and it is not inheritable across exec.

Protocol, one JSON object per line: `plan` (the ids to be run, in order), `start` and `end` per
test, `extra` (a failure that belongs to no test, such as tearDownClass), `nothing` (the module or
the subject asks to be left out, or cannot be imported), `done`.

Thread: main thread only.
"""

from __future__ import annotations

import collections
import faulthandler
import importlib
import json
import os
import sys
import time
import traceback
import unittest
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from . import slots, subject
from .outcomes import FAIL, PASS, SKIP, Outcome

DETAIL_LIMIT = 8000


class Channel:
    """The writing end of the pipe to the parent."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pid = os.getpid()
        os.set_inheritable(fd, False)

    def send(self, event: str, **fields: Any) -> None:
        if os.getpid() != self._pid:
            # A forked child of a test came back into the runner: it has no business here.
            os._exit(70)
        data = json.dumps({"event": event, **fields}).encode() + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]


class Collector(unittest.TestResult):
    """Gathers what happens to the test that is running, and to fixtures between tests."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel
        self.running = False
        self.problems: list[str] = []
        self.skip_reason: str | None = None
        self.skipped_subtests = 0
        self.verdict_given = False
        self.on_fixture: Callable[[str, str, str], None] = lambda name, verdict, detail: None

    def begin(self) -> None:
        self.running = True
        self.problems = []
        self.skip_reason = None
        self.skipped_subtests = 0
        self.verdict_given = False

    def finish(self) -> tuple[str, str]:
        self.running = False
        if self.problems:
            return FAIL, "\n".join(self.problems)[-DETAIL_LIMIT:]
        if self.skip_reason is not None:
            return SKIP, self.skip_reason
        if not self.verdict_given and not self.skipped_subtests:
            return FAIL, "the test ended without a verdict"
        return PASS, ""

    def _text(self, err: Any) -> str:
        return "".join(traceback.format_exception(*err))

    def _trouble(self, test: Any, err: Any) -> None:
        text = self._text(err)
        if self.running:
            self.problems.append(text)
            return
        name = str(test)
        self.on_fixture(name, FAIL, text)
        if name.startswith("tearDown"):
            self._channel.send("extra", test=f"<{name}>", detail=text[-DETAIL_LIMIT:])

    def addSuccess(self, test: Any) -> None:
        self.verdict_given = True

    def addError(self, test: Any, err: Any) -> None:
        self._trouble(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._trouble(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self.problems.append(f"sub-test {subtest}\n{self._text(err)}")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self.verdict_given = True

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.problems.append("unexpected success: the test is marked as an expected failure")

    def addSkip(self, test: Any, reason: str) -> None:
        if not self.running:
            self.on_fixture(str(test), SKIP, reason)
        elif isinstance(test, unittest.TestCase) and hasattr(test, "test_case"):
            self.skipped_subtests += 1
        else:
            self.skip_reason = reason


def flatten(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def load(module_name: str, package: str, wanted: list[str] | None) -> dict[str, unittest.TestCase]:
    """The tests of a module by their id without the package; a repeated id gets a number."""
    module = importlib.import_module(module_name)
    loader = unittest.TestLoader()
    seen: collections.Counter[str] = collections.Counter()
    tests: dict[str, unittest.TestCase] = {}
    for test in flatten(loader.loadTestsFromModule(module)):
        name = test.id().removeprefix(package + ".")
        seen[name] += 1
        tests[name if seen[name] == 1 else f"{name}#{seen[name]}"] = test
    if loader.errors:
        raise ImportError(loader.errors[0])
    if wanted is None:
        return tests
    return {name: tests[name] for name in wanted if name in tests}


def announced(
    name: str,
    test: unittest.TestCase,
    collector: Collector,
    channel: Channel,
    made: Callable[[], int],
    ended: set[str],
) -> None:
    """Make `test` announce its start and its end, whatever happens in between."""
    original = test.run

    def run(result: Any = None) -> Any:
        del test.run  # the instance's own; the class's is untouched
        channel.send("start", test=name)
        collector.begin()
        before, began = made(), time.monotonic()
        try:
            original(result)
        except BaseException:  # KeyboardInterrupt too: it must not end the whole file
            collector.problems.append(traceback.format_exc())
        seconds = time.monotonic() - began
        verdict, detail = collector.finish()
        ended.add(name)
        outcome = Outcome(
            name, verdict, seconds, made() - before, collector.skipped_subtests, detail
        )
        channel.send("end", **outcome.to_json())
        return result

    test.run = run  # type: ignore[method-assign]


def run_tests(
    tests: dict[str, unittest.TestCase], channel: Channel, made: Callable[[], int]
) -> None:
    collector = Collector(channel)
    ended: set[str] = set()
    classes: dict[str, str] = {}
    for name, test in tests.items():
        kind = type(test)
        classes[name] = f"{kind.__module__}.{kind.__qualname__}"
        announced(name, test, collector, channel, made, ended)

    def unable(fixture: str, verdict: str, detail: str) -> None:
        """A fixture failed or skipped: its tests will not be run and are reported at once."""
        for name, class_name in classes.items():
            concerned = fixture == f"setUpClass ({class_name})" or fixture.startswith("setUpModule")
            if concerned and name not in ended:
                ended.add(name)
                outcome = Outcome(name, verdict, detail=detail[-DETAIL_LIMIT:])
                channel.send("end", **outcome.to_json())

    collector.on_fixture = unable
    suite = unittest.TestSuite(tests.values())
    channel.send("plan", tests=list(tests))
    tests.clear()  # the suite drops each test when it has run, as a plain runner would
    suite.run(collector)


def prepare_support() -> Any:
    """Set up `test.support` as CPython's own runner does by default; returns a temporary folder."""
    from test import support  # type: ignore[import-not-found]  # not in typeshed
    from test.support import os_helper  # type: ignore[import-not-found]

    support.verbose = 0
    support.use_resources = {}  # none: tests that need the network, much CPU, ... are left out
    support.record_original_stdout(sys.stdout)
    return os_helper.temp_cwd("conformance", quiet=True)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as job_file:
        job = json.load(job_file)
    channel = Channel(job["pipe"])
    os.set_inheritable(job["dump"], False)
    faulthandler.enable(all_threads=True)
    faulthandler.register(job["dump_signal"], file=job["dump"], all_threads=True)
    # The tests look up packages by name: nothing of the project's tree may come first.
    sys.path.append(sys.path.pop(0))
    sys.path[:0] = job["path"]
    sys.argv[1:] = []
    os.chdir(job["tmp"])
    warnings.simplefilter("default")
    try:
        made = subject.install(job["subject"])
        slots.install(job["subject"], job["mode"], job["file"])
    except subject.SubjectError as exc:
        channel.send("nothing", outcome="subject", detail=str(exc))
        return
    with prepare_support():
        try:
            module = job["package"] + "." + job["file"]
            tests = load(module, job["package"], job["tests"])
        except unittest.SkipTest as exc:
            channel.send("nothing", outcome=SKIP, detail=str(exc))
            return
        except Exception:
            channel.send("nothing", outcome=FAIL, detail=traceback.format_exc()[-DETAIL_LIMIT:])
            return
        run_tests(tests, channel, made)
    channel.send("done")


if __name__ == "__main__":
    main()
