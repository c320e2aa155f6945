"""Every program in examples/ does the same on stock asyncio and on Batuta, and what it promises.

The programs are discovered, so that a new one cannot be forgotten. Each runs as
a subprocess, as a user would start it. That Batuta really was the loop is seen
from outside the program: a `sitecustomize` module, which the interpreter
imports by itself at start-up, wraps `print` and notes the class of the loop
that runs while a line is printed. It asks asyncio, not Batuta, and changes no
loop.
"""

import ast
import functools
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
COMMANDS = {"stock": [sys.executable], "batuta": [sys.executable, "-m", "batuta"]}
TIME_LIMIT = 60.0

# The one program whose lesson is that there is no loop.
WITHOUT_LOOP = {"coroutine_by_hand.py"}

# What the issue asks for; more may be added freely, none may disappear.
TAUGHT = {
    "sequential_and_concurrent.py",
    "who_gives_way.py",
    "futures_by_hand.py",
    "homemade_sleep.py",
    "coroutine_by_hand.py",
    "gather_delays.py",
    "echo_streams.py",
    "echo_protocol.py",
    "cpu_bound.py",
    "debug_slow_callback.py",
    "confirmation_email.py",
}

WITNESS = """
import builtins, json, os, sys

_print = builtins.print
_seen = set()

def print(*args, **kwargs):
    _print(*args, **kwargs)
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio else None
    classes = tuple(f"{c.__module__}.{c.__qualname__}" for c in type(loop).__mro__)
    if loop is not None and classes not in _seen:
        _seen.add(classes)
        with open(os.environ["EXAMPLE_WITNESS"], "a") as file:
            file.write(json.dumps(classes) + "\\n")

builtins.print = print
"""


@dataclass(frozen=True)
class Outcome:
    """What one run of a program gave."""

    stdout: str
    stderr: str
    exit_code: int
    loops: tuple[tuple[str, ...], ...]
    """For each kind of loop that ran while a line was printed: its class and the bases."""


RunExample = Callable[[str, str], Outcome]


@pytest.fixture(scope="session")
def run_example(tmp_path_factory: pytest.TempPathFactory) -> RunExample:
    """Run an example on a loop; each pair runs once per session."""
    witness = tmp_path_factory.mktemp("witness")
    (witness / "sitecustomize.py").write_text(WITNESS)

    @functools.cache
    def run(program: str, loop: str) -> Outcome:
        notes = tmp_path_factory.mktemp("notes") / "loops"
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONWARNINGS"}
        }
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, [str(witness), os.environ.get("PYTHONPATH")])
        )
        environment["EXAMPLE_WITNESS"] = str(notes)
        finished = subprocess.run(
            [*COMMANDS[loop], str(Path("examples") / program)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
        seen = notes.read_text().splitlines() if notes.exists() else []
        return Outcome(
            finished.stdout,
            finished.stderr,
            finished.returncode,
            tuple(tuple(json.loads(line)) for line in seen),
        )

    return run


def syntax_tree(program: str) -> ast.Module:
    return ast.parse((EXAMPLES / program).read_text(), program)


def imported_packages(program: str) -> set[str]:
    """The top-level packages that a program imports, wherever in the file."""
    packages = set()
    for node in ast.walk(syntax_tree(program)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            packages.add((node.module or "").partition(".")[0])
    return packages


def promised_output(program: str) -> str:
    """The block that follows "It prints:" in the program's docstring."""
    description = ast.get_docstring(syntax_tree(program), clean=True) or ""
    match = re.search(r"^It prints:\n\n((?: {4}.*\n?)+)", description, re.MULTILINE)
    assert match, f"{program} does not say what it prints"
    return textwrap.dedent(match[1]).rstrip("\n") + "\n"


on_both_loops = pytest.mark.parametrize("loop", COMMANDS)
each_program = pytest.mark.parametrize("program", PROGRAMS)
# The same, for tests that run the programs: those need the packages that they import.
each_runnable_program = pytest.mark.parametrize(
    "program",
    [
        pytest.param(name, marks=pytest.mark.needs(*sorted(foreign)) if foreign else ())
        for name in PROGRAMS
        for foreign in [imported_packages(name) - sys.stdlib_module_names]
    ],
)
time_limit = pytest.mark.timeout(2 * TIME_LIMIT + 10)


def test_every_lesson_has_its_program() -> None:
    assert set(PROGRAMS) >= TAUGHT


@time_limit
@on_both_loops
@each_runnable_program
def test_prints_what_it_promises_and_nothing_else(
    program: str, loop: str, run_example: RunExample
) -> None:
    outcome = run_example(program, loop)
    assert outcome.stderr == ""
    assert outcome.stdout == promised_output(program)
    assert outcome.exit_code == 0


@time_limit
@each_runnable_program
def test_does_the_same_on_both_loops(program: str, run_example: RunExample) -> None:
    stock, batuta = (run_example(program, loop) for loop in COMMANDS)
    assert (batuta.stdout, batuta.stderr, batuta.exit_code) == (
        stock.stdout,
        stock.stderr,
        stock.exit_code,
    )


@time_limit
@each_runnable_program
def test_runs_on_the_loop_that_was_asked_for(program: str, run_example: RunExample) -> None:
    stock, batuta = (run_example(program, loop).loops for loop in COMMANDS)
    if program in WITHOUT_LOOP:
        assert (stock, batuta) == ((), ())
        return
    # One kind of loop in each run: stock's own class, and Batuta's.
    assert [classes[0].partition(".")[0] for classes in stock] == ["asyncio"]
    assert [classes[0].partition(".")[0] for classes in batuta] == ["batuta"]
    # Not Python's run loop under another name: the native one comes first.
    native = next(name for name in batuta[0] if name.endswith(".NativeLoop"))
    assert batuta[0].index(native) < batuta[0].index("asyncio.base_events.BaseEventLoop")


@each_program
def test_is_unmodified_asyncio(program: str) -> None:
    packages = imported_packages(program)
    assert "batuta" not in packages
    assert ("asyncio" in packages) == (program not in WITHOUT_LOOP)


def test_readme_lists_each_program_once() -> None:
    text = (EXAMPLES / "README.md").read_text()
    listed = re.findall(r"^\| \[([\w.]+)\]\(\1\) \|", text, re.MULTILINE)
    assert sorted(listed) == PROGRAMS
