"""A worker for scheduling rows: one loop in one process, measured on demand.

    python -m benches.worker '{"package": "asyncio", "distribution": null, "accelerate": false,
                               "cores": [1]}'

Says who it is, then answers `{"row": NAME, "count": N}` with what N operations took. The loop is
made once and used for all rounds; only the main thread runs it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from typing import Any

from benches import wire
from benches.rows.scheduling import ROWS, SchedulingRow


def measure(loop: asyncio.AbstractEventLoop, row: SchedulingRow, count: int) -> dict[str, int]:
    """Run the row once; a RuntimeError if it did not do exactly what was asked."""
    count = row.rounded(count)
    gc.collect()
    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    wall = time.perf_counter_ns()
    process = time.process_time_ns()
    thread = time.thread_time_ns()
    done = loop.run_until_complete(row.run(loop, count))
    thread = time.thread_time_ns() - thread
    process = time.process_time_ns() - process
    wall = time.perf_counter_ns() - wall
    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw - switches
    if done != count:
        raise RuntimeError(f"{row.name}: {done} operations were done instead of {count}")
    return {
        "operations": count,
        "thread_cpu_ns": thread,
        "process_cpu_ns": process,
        "wall_ns": wall,
        "involuntary_switches": switches,
    }


def main(start: dict[str, Any]) -> None:
    answers = wire.take_stdout()
    wire.pin(start["cores"])
    loop, identity = wire.enter(start)
    wire.answer(answers, **identity)
    rows = {row.name: row for row in ROWS}
    for line in sys.stdin:
        request = json.loads(line)
        wire.answer(answers, **measure(loop, rows[request["row"]], request["count"]))
    loop.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
