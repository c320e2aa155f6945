"""The conformance harness reports what tests do to it, whatever that is.

A small suite is written for the occasion, together with a loop class that differs from stock in
one mark only; its tests pass on stock and misbehave where they see the mark.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        importlib.util.find_spec("test") is None
        or importlib.util.find_spec("test.support") is None,
        reason="this Python comes without CPython's test package (Debian: libpython3-testsuite)",
    ),
]

SUBJECT = """
import asyncio

class MarkedLoop(asyncio.SelectorEventLoop):
    marked = True
"""

TESTS = """
import asyncio, os, signal, time, unittest

def marked(loop):
    return getattr(loop, "marked", False)

class Base(unittest.TestCase):
    def setUp(self):
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)

class Behaviour(Base):
    def test_a_passes(self):
        self.loop.run_until_complete(asyncio.sleep(0))

    def test_b_fails(self):
        self.assertFalse(marked(self.loop), "the mark was seen")

    def test_c_hangs(self):
        while marked(self.loop):
            time.sleep(0.01)

    def test_d_crashes(self):
        if marked(self.loop):
            os.kill(os.getpid(), signal.SIGSEGV)

    def test_e_leaves(self):
        if marked(self.loop):
            os._exit(3)

    def test_f_skips(self):
        if marked(self.loop):
            self.skipTest("not on a marked loop")

    def test_g_fails_one_sub_test(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertFalse(marked(self.loop) and number == 1)

    def test_h_skips_one_sub_test(self):
        for number in range(3):
            with self.subTest(number=number):
                if marked(self.loop) and number == 1:
                    self.skipTest("not this one")

    def test_i_interrupts(self):
        if marked(self.loop):
            raise KeyboardInterrupt

    @unittest.expectedFailure
    def test_j_succeeds_unexpectedly(self):
        self.assertTrue(marked(self.loop))

    def test_k_forks(self):
        pid = os.fork()
        if pid == 0:
            raise SystemExit(0)  # unwinds into the runner of the forked child
        os.waitpid(pid, 0)

    def test_z_passes_after_all_that(self):
        self.assertFalse(self.loop.is_closed())

class Counting(unittest.TestCase):
    def test_a_factory_with_a_selector_counts(self):
        import selectors
        loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self.assertIsInstance(loop, asyncio.SelectorEventLoop)
        loop.close()

    def test_a_loop_made_by_hand_does_not_count(self):
        asyncio.BaseEventLoop().close()
        self.fail("would fail if it were asked")

    @unittest.skip("skipped everywhere")
    def test_a_test_that_stock_skips_does_not_count(self):
        asyncio.new_event_loop().close()

    def test_a_test_that_stock_fails_does_not_count(self):
        asyncio.new_event_loop().close()
        self.fail("always")

class AsyncCounting(unittest.IsolatedAsyncioTestCase):
    async def test_an_async_test_case_counts(self):
        await asyncio.sleep(0)
"""

FIXTURES = """
import asyncio, os, unittest

def marked():
    loop = asyncio.new_event_loop()
    loop.close()
    return getattr(loop, "marked", False)

class BadSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if marked():
            raise ValueError("set-up sees the mark")

    def test_one(self):
        marked()

    def test_two(self):
        marked()

class BadTearDown(unittest.TestCase):
    @classmethod
    def tearDownClass(cls):
        if marked():
            raise ValueError("tear-down sees the mark")

    def test_one(self):
        marked()

class CrashInSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if marked():
            os.abort()

    def test_one(self):
        marked()

class GoesOn(unittest.TestCase):
    def test_one(self):
        marked()

for number in range(20):  # so many that the list of expected failures may not cover them all
    setattr(GoesOn, f"test_again_{number}", GoesOn.test_one)
"""

AT_EXIT = """
import asyncio, atexit, os, unittest

def leave(loop):
    if getattr(loop, "marked", False):
        os.abort()

class Exit(unittest.TestCase):
    def test_one(self):
        loop = asyncio.new_event_loop()
        loop.close()
        atexit.register(leave, loop)
"""

KINDS = """
import asyncio, unittest
from asyncio import futures, tasks

class CTask_Tests(unittest.TestCase):
    def test_slots(self):
        self.assertEqual(tasks._CTask.__module__, "_asyncio", "a native class")

class Names(unittest.TestCase):
    def test_names(self):
        asyncio.new_event_loop().close()
        self.assertEqual(tasks._CTask.__module__, "_asyncio", "a native class")
        self.assertEqual(asyncio.Task.__module__, "_asyncio", "an accelerated name")

    def test_neither_slot_nor_loop(self):
        self.fail("would fail if it were asked")
"""


@dataclass
class Result:
    code: int
    text: str
    errors: str
    data: dict[str, Any]

    def verdict(self, name: str) -> dict[str, Any]:
        found = [
            verdict
            for file in self.data["files"]
            for verdict in file["verdicts"]
            if verdict["test"].endswith(name)
        ]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]

    @property
    def closing_line(self) -> str:
        return self.text.rstrip().splitlines()[-1]


Run = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the harness on the small suite; counts on stock are taken once and kept."""
    folder = tmp_path_factory.mktemp("conformance")
    package = folder / "small_suite"
    package.mkdir()
    (folder / "marked_loop.py").write_text(SUBJECT)
    (package / "__init__.py").write_text("")
    (package / "test_behaviour.py").write_text(TESTS)
    (package / "test_fixtures.py").write_text(FIXTURES)
    (package / "test_at_exit.py").write_text(AT_EXIT)
    (package / "test_locks.py").write_text(KINDS)
    (package / "test_tasks.py").write_text(KINDS)

    def run(
        *options: str, subject: str = "marked_loop:MarkedLoop", json_file: bool = True
    ) -> Result:
        output = folder / "result.json"
        output.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.conformance", "--subject", subject]
        command += ["--package", "small_suite", "--path", str(folder), "--timeout", "3"]
        command += ["--build", str(folder / "build"), *options]
        command += ["--json", str(output)] if json_file else []
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
        data = json.loads(output.read_text()) if output.exists() else {}
        return Result(done.returncode, done.stdout, done.stderr, data)

    return run


@pytest.fixture(scope="module")
def behaviour(run: Run) -> Result:
    return run("--files", "test_behaviour")


def listing(tmp_path: Path, *tests: str, reason: str = "replaces a private part") -> list[str]:
    entries = [
        f'[[expected]]\ntest = "{test}"\nversions = ["3.11+"]\nreason = "{reason}"\n'
        for test in tests
    ]
    path = tmp_path / "expected.toml"
    path.write_text("\n".join(entries))
    return ["--expected", str(path)]


@pytest.mark.parametrize(
    ("test", "verdict", "title", "words"),
    [
        ("test_a_passes", "passed", "", ""),
        ("test_b_fails", "failed", "FAIL", "the mark was seen"),
        ("test_c_hangs", "failed", "HANG", "in test_c_hangs"),
        ("test_d_crashes", "failed", "CRASH", "SIGSEGV"),
        ("test_e_leaves", "failed", "CRASH", "exit code 3"),
        ("test_f_skips", "failed", "SKIPPED (stock runs it)", "not on a marked loop"),
        ("test_g_fails_one_sub_test", "failed", "FAIL", "number=1"),
        ("test_h_skips_one_sub_test", "failed", "SKIPPED sub-tests (stock runs them)", ""),
        ("test_i_interrupts", "failed", "FAIL", "KeyboardInterrupt"),
        ("test_j_succeeds_unexpectedly", "failed", "FAIL", "unexpected success"),
        ("test_k_forks", "passed", "", ""),
        ("test_z_passes_after_all_that", "passed", "", ""),
    ],
)
def test_every_way_to_end_has_its_verdict(
    behaviour: Result, test: str, verdict: str, title: str, words: str
) -> None:
    found = behaviour.verdict("Behaviour." + test)
    assert (found["verdict"], found["title"]) == (verdict, title)
    assert words in found["detail"]
    if verdict == "failed":
        assert f"{title}: test_behaviour.Behaviour.{test}" in behaviour.text


def test_the_closing_line_counts_every_counted_test_once(behaviour: Result) -> None:
    assert behaviour.closing_line == "5 passed, 9 failed"
    assert behaviour.code == 1


def test_only_tests_that_stock_passes_with_a_loop_from_a_factory_are_counted(run: Run) -> None:
    listed = run("--files", "test_behaviour", "--tests", "Counting", "--list").text.split()
    assert [name.partition(".")[2] for name in listed] == [
        "AsyncCounting.test_an_async_test_case_counts",
        "Counting.test_a_factory_with_a_selector_counts",
    ]


def test_what_stock_fails_is_named_though_not_counted(behaviour: Result) -> None:
    name = "test_behaviour.Counting.test_a_test_that_stock_fails_does_not_count"
    assert f"not counted, stock fails it here: {name}" in behaviour.text


def test_stock_passes_what_is_counted(run: Run) -> None:
    result = run("--tests", "Behaviour", subject="asyncio:SelectorEventLoop")
    assert (result.code, result.closing_line) == (0, "12 passed, 0 failed")


def test_a_failing_class_fixture_fails_its_tests_and_the_others_go_on(run: Run) -> None:
    result = run("--files", "test_fixtures")
    for test in ("BadSetUp.test_one", "BadSetUp.test_two"):
        assert result.verdict(test)["verdict"] == "failed"
        assert "set-up sees the mark" in result.verdict(test)["detail"]
    assert result.verdict("BadTearDown.test_one")["verdict"] == "passed"
    assert "tear-down sees the mark" in result.verdict("BadTearDown)>")["detail"]
    assert result.verdict("CrashInSetUp.test_one")["title"] == "CRASH"
    assert result.verdict("GoesOn.test_one")["verdict"] == "passed"
    assert result.code == 1


def test_a_crash_after_the_last_test_is_a_failure(run: Run) -> None:
    result = run("--files", "test_at_exit")
    assert result.verdict("Exit.test_one")["verdict"] == "passed"
    assert "SIGABRT" in result.verdict("test_at_exit.<exit>")["detail"]
    assert (result.code, result.closing_line) == (1, "1 passed, 1 failed")


def test_a_listed_failure_is_expected(run: Run, tmp_path: Path) -> None:
    options = listing(tmp_path, "test_behaviour.Behaviour.test_b_*")
    result = run("--files", "test_behaviour", "--tests", "test_b_fails", *options)
    assert result.verdict("test_b_fails")["verdict"] == "expected"
    assert (result.code, result.closing_line) == (0, "0 passed, 0 failed")


@pytest.mark.parametrize("test", ["test_a_passes", "test_c_hangs", "test_d_crashes"])
def test_a_listed_test_must_fail_and_neither_pass_nor_hang_nor_crash(
    run: Run, tmp_path: Path, test: str
) -> None:
    options = listing(tmp_path, f"test_behaviour.Behaviour.{test}")
    result = run("--files", "test_behaviour", "--tests", test, *options)
    assert result.verdict(test)["verdict"] == "failed"
    assert "expected failure" in result.verdict(test)["title"]
    assert result.code == 1


def test_the_list_may_not_cover_too_many_tests(run: Run, tmp_path: Path) -> None:
    limit = 10 if sys.version_info < (3, 14) else 20
    result = run("--tests", "test_a_passes", *listing(tmp_path, "*"))
    assert f"at most {limit} may be" in result.text
    assert result.code == 1


def test_a_listed_test_that_is_not_counted_is_an_error(run: Run, tmp_path: Path) -> None:
    result = run("--tests", "test_a_passes", *listing(tmp_path, "test_behaviour.Gone.test_gone"))
    assert "Gone.test_gone is not one of the counted tests" in result.text
    assert result.code == 1


def test_an_entry_without_a_reason_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("--tests", "test_a_passes", *listing(tmp_path, "*", reason=" "))
    assert result.code == 2
    assert "has no reason" in result.errors


def test_a_missing_subject_is_named(run: Run) -> None:
    result = run("--tests", "test_a_passes", subject="no_such_module:Loop")
    assert result.code == 2
    assert "the subject no_such_module:Loop cannot be imported" in result.errors


def test_missing_tests_are_named_with_the_way_to_install_them(run: Run) -> None:
    result = run("--package", "no_such_suite")
    assert result.code == 2
    assert "no_such_suite" in result.errors
    assert "testsuite" in result.errors


def test_a_loop_that_takes_no_selector_gets_none_and_the_selector_is_closed() -> None:
    code = """
import asyncio, selectors
from tests.conformance import subject

class Loop(asyncio.BaseEventLoop):
    def __init__(self):
        super().__init__()

asyncio.Loop = Loop
made = subject.install("asyncio:Loop")
selector = selectors.SelectSelector()
loop = asyncio.SelectorEventLoop(selector)
assert selector.get_map() is None, "the selector is still open"
assert isinstance(loop, Loop)
policies = [asyncio.events._get_event_loop_policy, asyncio.new_event_loop] if hasattr(
    asyncio.events, "_get_event_loop_policy") else [asyncio.new_event_loop]
assert isinstance(policies[-1](), Loop)
assert made() == 2, made()
class Sub(asyncio.SelectorEventLoop):
    def __init__(self, one, two):
        super().__init__()
assert isinstance(Sub(1, two=2), Loop)
assert made() == 3, made()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


NATIVE_CLASS, ACCELERATED_NAME = "a native class", "an accelerated name"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], {"test_locks.Names.test_names": None, "test_tasks.Names.test_names": None}),
        (["--slots"], {"test_tasks.CTask_Tests.test_slots": NATIVE_CLASS}),
        (
            ["--accelerated"],
            {
                "test_locks.Names.test_names": ACCELERATED_NAME,
                "test_tasks.CTask_Tests.test_slots": NATIVE_CLASS,
                "test_tasks.Names.test_names": NATIVE_CLASS,
            },
        ),
    ],
)
def test_each_kind_of_run_puts_in_place_what_it_is_for(
    run: Run, options: list[str], wanted: dict[str, str | None]
) -> None:
    chosen = ["--files", "test_locks,test_tasks", *options]
    result = run(*chosen, subject="batuta")
    found = {v["test"]: v for file in result.data["files"] for v in file["verdicts"]}
    assert set(found) == set(wanted)
    for test, words in wanted.items():
        assert found[test]["verdict"] == ("passed" if words is None else "failed")
        assert words is None or words in found[test]["detail"]
    assert run(*chosen, subject="stock").code == 0


def test_all_kinds_in_one_run(run: Run) -> None:
    result = run("--all", subject="stock", json_file=False)
    assert [part.split(":")[0] for part in result.closing_line.split("; ")] == [
        "generic",
        "slots",
        "accelerated",
    ]
    assert " 0 failed" not in result.closing_line.split(";")[0]  # one test fails on stock, too
    assert "--all takes neither" in run("--all").errors
