"""A worker for rows of one process: one loop, measured on demand.

    python -m benches.worker '{"package": "asyncio", "distribution": null, "accelerate": false,
                               "cores": [1]}'

Says who it is, then answers `{"row": NAME, "count": N}` with what N operations took; a client row
also gets its `peer`. The loop is made once and used for all rounds; only the main thread runs it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from typing import Any

from benches import stats, wire
from benches.rows import ROWS, SchedulingRow


def measure(
    loop: asyncio.AbstractEventLoop, row: SchedulingRow, count: int, *peer: dict[str, Any]
) -> dict[str, Any]:
    """Run the row once; a RuntimeError if it did not do exactly what was asked."""
    count = row.rounded(count)
    gc.collect()
    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
    wall = time.perf_counter_ns()
    process = time.process_time_ns()
    thread = time.thread_time_ns()
    result = loop.run_until_complete(row.run(loop, count, *peer))
    thread = time.thread_time_ns() - thread
    process = time.process_time_ns() - process
    wall = time.perf_counter_ns() - wall
    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw - switches
    done = len(result) if isinstance(result, list) else result
    if done != count:
        raise RuntimeError(f"{row.name}: {done} operations were done instead of {count}")
    return {
        "operations": count,
        "thread_cpu_ns": thread,
        "process_cpu_ns": process,
        "wall_ns": wall,
        "involuntary_switches": switches,
        **(_percentiles(result) if isinstance(result, list) else {}),
    }


def _percentiles(took_ns: list[int]) -> dict[str, int]:
    took_ns.sort()
    return {
        name: stats.percentile(took_ns, per_mille)
        for name, per_mille in (("p50_ns", 500), ("p90_ns", 900), ("p99_ns", 990), ("p999_ns", 999))
    }


def main(start: dict[str, Any]) -> None:
    answers = wire.take_stdout()
    wire.pin(start["cores"])
    loop, identity = wire.enter(start)
    wire.answer(answers, **identity)
    for line in sys.stdin:
        request = json.loads(line)
        row = ROWS[request["row"]]
        assert isinstance(row, SchedulingRow)
        peer = [request["peer"]] if "peer" in request else []
        wire.answer(answers, **measure(loop, row, request["count"], *peer))
    loop.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
