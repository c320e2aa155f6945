"""Who awaits whom, seen from inside and from another process, on both loops (Python 3.14)."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import Any

import pytest

from loops import Run

if sys.version_info < (3, 14):
    pytest.skip("the call graph is new in Python 3.14", allow_module_level=True)

PROGRAM = """
import asyncio, sys

async def leaf(): await asyncio.sleep(60)

async def branch():
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(), name="named leaf")
        group.create_task(leaf())

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(branch(), name="branch")
        await asyncio.sleep(0.05)
        print("ready", flush=True)

if sys.argv[1] == "batuta":
    import batuta
    batuta.run(main())
else:
    asyncio.run(main())
"""


def seen_from_outside(loop: str, command: str) -> str:
    """What `python -m asyncio ps` or `pstree` says of PROGRAM, without addresses and thread ids."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, loop], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        done = subprocess.run(
            [sys.executable, "-m", "asyncio", command, str(program.pid)],
            capture_output=True,
            text=True,
            timeout=20,
        )
        if "permission" in done.stderr.lower() or "ptrace" in done.stderr.lower():
            pytest.skip(f"this machine does not let one process read another: {done.stderr}")
        assert done.returncode == 0, done.stderr
        return re.sub(r"0x[0-9a-f]+|^\d+|[ -]{2,}", " ", done.stdout, flags=re.MULTILINE)
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize("command", ["ps", "pstree"])
def test_from_outside_native_tasks_look_like_asyncios(command: str) -> None:
    ours = seen_from_outside("batuta", command)
    assert "named leaf" in ours
    assert "Task-1" in ours
    assert "sleep" in ours
    assert "TaskGroup.__aexit__" in ours
    assert sorted(ours.splitlines()) == sorted(seen_from_outside("stock", command).splitlines())


def test_the_graph_from_inside(run: Run) -> None:
    async def leaf() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        leaves: list[asyncio.Task[None]] = []

        async def branch() -> None:
            async with asyncio.TaskGroup() as group:
                leaves.extend(group.create_task(leaf(), name=f"leaf {n}") for n in range(2))

        root = asyncio.create_task(branch(), name="root")
        await asyncio.sleep(0.01)
        graph: Any = asyncio.capture_call_graph(leaves[0])
        assert graph.future is leaves[0]
        assert [awaiter.future for awaiter in graph.awaited_by] == [root]
        assert "leaf()" in asyncio.format_call_graph(leaves[1])
        root.cancel()
        await asyncio.wait([root])
        assert not asyncio.capture_call_graph(leaves[0]).awaited_by

    run(main)
