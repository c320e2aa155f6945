"""One project's suite, run in one of the three ways, each run in a process of its own.

A test has a minute, a run as long as it is told; whoever does not end is killed with all that it
started. What a run wrote is beside its record.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PLUGIN = Path(__file__).resolve().parent / "plugin"
WAYS: dict[str, tuple[list[str], str]] = {
    "stock": ([], "asyncio."),
    "batuta": (["-m", "batuta", "--no-accelerate"], "batuta."),
    "batuta+accelerate": (["-m", "batuta"], "batuta."),
}
"""How each way starts pytest, and the module in which its class of loop is."""
SECONDS_OF_A_TEST = 60
NOT_ENDED = "not ended"


class WrongLoop(Exception):
    """The suite did not run on the loop that it was meant for: its outcomes say nothing."""


@dataclass
class Outcomes:
    """What came of the tests of a run: "passed", "failed", "skipped" or "not ended"."""

    tests: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    """Of those that failed: pytest's."""
    over: bool = True
    """Whether the run came to its end."""


def run(
    way: str,
    interpreter: Path,
    sources: Path,
    arguments: list[str],
    logs: Path,
    *,
    seconds: float,
    only: Iterable[str] = (),
) -> Outcomes:
    """Runs pytest in the sources.

    Args:
        way: a key of `WAYS`.
        interpreter: has the project, its tests' packages and Batuta.
        sources: where pytest starts.
        arguments: of pytest.
        logs: the folder for the record and the output, named after the way.
        seconds: that the run may take.
        only: node ids; none for all tests.

    Raises:
        WrongLoop: asyncio gave the process another kind of loop than the way says.
    """
    prefix, module = WAYS[way]
    logs.mkdir(parents=True, exist_ok=True)
    record = logs / f"{way}.jsonl"
    record.unlink(missing_ok=True)
    pytest = ["-m", "pytest", "-p", "batuta_witness", "-p", "no:cacheprovider"]
    # The projects' own options ask for coverage, colours, random order.
    options = ["-o", "addopts=", "-o", f"timeout={SECONDS_OF_A_TEST}", "-q"]
    command = [str(interpreter), *prefix, *pytest, *options, *arguments]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "PYTHONPATH": str(PLUGIN),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BATUTA_SUITES_RECORD": str(record),
        "BATUTA_SUITES_ONLY": json.dumps(list(only)),
    }
    with (logs / f"{way}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=sources,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(seconds)
            over = process.returncode >= 0
        except subprocess.TimeoutExpired:
            over = False
        finally:
            _end(process)
    return _read(record, module, over)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The run and whatever is left of what its tests started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _read(record: Path, module: str, over: bool) -> Outcomes:
    outcomes = Outcomes(over=over)
    lines = record.read_text().splitlines() if record.exists() else []
    loop = None
    for line in map(json.loads, lines):
        if "loop" in line:
            loop = line["loop"]
        elif "begins" in line:
            outcomes.tests.setdefault(line["begins"], NOT_ENDED)
        else:
            outcomes.tests[line["test"]] = line["outcome"]
            if line["text"]:
                outcomes.texts[line["test"]] = line["text"]
    if loop is None:
        raise WrongLoop(f"the run wrote nothing down: see {record.with_suffix('.log')}")
    if not loop.startswith(module):
        raise WrongLoop(f"the tests got loops of {loop}, not of {module}*")
    return outcomes
