"""Small programs of the kind that users write, each run as a process of its own: on asyncio, on
Batuta, and on Batuta with everything native in place. They print the same.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))


def printed(*command: str) -> str:
    """What a program writes, without addresses and the counters in the names of tasks."""
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=40, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    modules = r"\b(?:batuta\._batuta|batuta\.[a-z]+|_asyncio|asyncio\.[a-z]+)\."
    return re.sub(rf"0x[0-9a-f]+|(?<=Task-)\d+|{modules}|(?<=\.py:)\d+", "", done.stdout)


@pytest.mark.parametrize("program", PROGRAMS, ids=[program.stem for program in PROGRAMS])
def test_a_program_prints_the_same(program: Path) -> None:
    stock = printed(str(program))
    assert stock.count("\n") > 5
    assert printed("-m", "batuta", "--no-accelerate", str(program)) == stock
    assert printed("-m", "batuta", str(program)) == stock
