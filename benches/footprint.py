"""A worker that says what it takes to import a loop and to run it once, and ends.

    python -m benches.footprint '{"package": "asyncio", …, "since_ns": …}'

Nothing is imported before the clock is read but what the interpreter has imported itself, and
`json` for the question.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

FURTHER_LOOPS = 50


def main(start: dict[str, Any]) -> None:
    if start["cores"]:
        os.sched_setaffinity(0, start["cores"])
    before = time.perf_counter_ns()
    __import__("asyncio")
    __import__(start["package"])
    imported = time.perf_counter_ns()

    from benches import wire

    aside = time.perf_counter_ns() - imported  # the suite's own, which no program imports
    replaced = wire.accelerate(start["package"]) if start["accelerate"] else []
    loop = wire.new_loop(start["package"])

    async def nothing() -> int:
        return time.monotonic_ns()

    first = loop.run_until_complete(nothing()) - start["since_ns"] - aside
    one = wire.rss_kib()
    further = [wire.new_loop(start["package"]) for _ in range(FURTHER_LOOPS)]
    for each in further:
        each.run_until_complete(nothing())
    many = wire.rss_kib()
    answers = wire.take_stdout()
    wire.answer(
        answers,
        identity={**wire.identity(loop, start["distribution"]), "accelerated": replaced},
        import_ms=(imported - before) / 1e6,
        first_ms=first / 1e6,
        rss_mib=one / 1024,
        loop_kib=(many - one) / FURTHER_LOOPS,
        cpu_s=time.process_time(),
    )
    for each in (loop, *further):
        each.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
