"""Libraries that start, cancel, nest and look into tasks, each as a program of its own.

Each runs three times: on stock asyncio, by `batuta --no-accelerate`, and by `batuta`. The programs
check what the library does; the tests here, what kind the tasks were that took part.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
STOCK, NATIVE = "_asyncio", "batuta._batuta"
WAYS = {
    "stock": [sys.executable],
    "batuta": [sys.executable, "-m", "batuta", "--no-accelerate"],
    "accelerated": [sys.executable, "-m", "batuta"],
}
Kinds = dict[str, list[str]]


def execute(way: str, *words: str | Path, **extra: str) -> list[str]:
    """Run a program; it must exit with 0 and print nothing to stderr. Return its lines."""
    done = subprocess.run(
        [*WAYS[way], *words],
        env={**os.environ, **extra},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}\n{done.stderr}"
    return done.stdout.splitlines()


def kinds(lines: list[str]) -> Kinds:
    found: Kinds = json.loads(lines[-1])
    return found


def all_of(kind: str, *places: str) -> Kinds:
    return {place: [kind] for place in places}


def expected(way: str) -> str:
    """The kind of the tasks that a loop makes."""
    return STOCK if way == "stock" else NATIVE


def built(way: str) -> str:
    """The kind of the tasks that a library makes by the name `Task`, which it has imported."""
    return NATIVE if way == "accelerated" else STOCK


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.needs("anyio")
def test_anyio(way: str) -> None:
    found = kinds(execute(way, PROGRAMS / "anyio_tasks.py"))
    assert found == all_of(expected(way), "others", "start()", "task group")


@pytest.mark.needs("aiohttp")
def test_aiohttp(way: str) -> None:
    # On 3.12 and 3.13 aiohttp calls `asyncio.Task` itself, to start tasks eagerly.
    builds = (3, 12) <= sys.version_info < (3, 14)
    assert kinds(execute(way, PROGRAMS / "aiohttp_tasks.py")) == {
        "client": [expected(way)],
        "handler": [built(way) if builds else expected(way)],
    }


@pytest.mark.needs("sentry-sdk")
def test_sentry_sdk(way: str) -> None:
    # Its task factory makes tasks by the name.
    assert kinds(execute(way, PROGRAMS / "sentry_tasks.py")) == {
        "main": [expected(way)],
        "factory": [built(way)],
    }


@pytest.mark.needs("aiojobs")
def test_aiojobs(way: str) -> None:
    found = kinds(execute(way, PROGRAMS / "aiojobs_tasks.py"))
    assert found == all_of(expected(way), "job")


@pytest.mark.needs("tenacity")
def test_tenacity(way: str) -> None:
    found = kinds(execute(way, PROGRAMS / "tenacity_retries.py"))
    assert found == all_of(expected(way), "retried", "sleeping")


@pytest.mark.needs("distributed")
def test_distributed(way: str) -> None:
    found = kinds(execute(way, PROGRAMS / "distributed_cluster.py"))
    assert found == all_of(expected(way), "main", "cluster", "worker")


# nest_asyncio itself has no place in 3.14.
NESTING = ["nest-asyncio2", *(["nest-asyncio"] * (sys.version_info < (3, 14)))]


@pytest.mark.parametrize(
    "module",
    [pytest.param(name.replace("-", "_"), marks=pytest.mark.needs(name)) for name in NESTING],
)
def test_nested_runs(way: str, module: str) -> None:
    program = PROGRAMS / "nested_runs.py"
    lines = execute(way, program, module)
    assert lines[:-1] == execute("stock", program, module)[:-1]
    assert kinds(lines) == all_of(expected(way), "before")


@pytest.mark.needs("pytest-asyncio")
@pytest.mark.parametrize("factory", ["", "batuta:new_event_loop"])
def test_pytest_asyncio(way: str, factory: str) -> None:
    suite = PROGRAMS / "asyncio_suite"
    lines = execute(way, "-m", "pytest", "-q", "-c", suite / "pytest.ini", suite,
                    SUITE_LOOP_FACTORY=factory)  # fmt: skip
    kind = expected("batuta" if way == "stock" and factory else way)
    assert kinds(lines) == all_of(kind, "fixture", "test", "background")
