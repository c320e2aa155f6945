"""What a server could gain by io_uring: the plain epoll server against the same by io_uring.

    python -m benches.uring [--rounds N] [--seconds S]

No loop has a part in it: both are servers of `crates/load` with nothing in them but the system
calls, so the difference is the most that a driver could bring. Prints a Markdown table of the
server's processor time per request.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from benches import arguments, load
from benches.child import Worker
from benches.settings import ForeignTime, Settings, settings_for
from benches.stats import Summary, summarize

ROWS = (
    (64, 1, 1),
    (64, 10, 1),
    (64, 100, 1),
    (64, 1000, 1),
    (64, 10, 16),
    (1024, 10, 1),
    (1024, 100, 1),
    (10240, 10, 1),
    (10240, 100, 1),
    (102400, 10, 1),
    (102400, 100, 1),
)
"""Bytes per request, connections, requests in flight on each."""
PLACES = ("tcp", "uring")
TRIES = 3
"""Times the wanted rounds that may be made because others disturb them."""


@dataclass(frozen=True)
class Compared:
    """Processor time per request, in microseconds."""

    size: int
    connections: int
    in_flight: int
    epoll: Summary
    uring: Summary

    @property
    def gain(self) -> float:
        return self.epoll.value / self.uring.value


def sample(place: str, row: tuple[int, int, int], settings: Settings) -> float | None:
    """One measurement, None if others disturbed it. Errors: `LoadFailed`, `WorkerFailed`."""
    size, connections, in_flight = row
    with Worker.of_command(load.serve_command(place=place, core=settings.server_core)) as server:
        where: dict[str, str | Path] = {
            "address": f"{server.identity['host']}:{server.identity['port']}"
        }
        before = server.ask(settings.timeout)
        foreign = ForeignTime(settings)
        report = load.run(
            where,
            seconds=settings.seconds,
            warm_up=settings.warm_up,
            connections=connections,
            size=size,
            in_flight=in_flight,
            server_pid=server.pid,
            core=settings.client_core,
        )
        after = server.ask(settings.timeout)
        used = sum(after[name] - before[name] for name in ("user_s", "system_s"))
        if foreign.complaint(used, report["client_total_s"]):
            return None
        cost: float = report["server_cpu_ns"] / 1e3 / report["requests"]
        return cost


def compare(row: tuple[int, int, int], settings: Settings) -> Compared:
    """Rounds of both, in changing order. A ValueError if none was undisturbed."""
    costs: dict[str, list[float]] = {place: [] for place in PLACES}
    for _ in range(TRIES * settings.rounds):
        for place in random.sample(PLACES, len(PLACES)):
            if len(costs[place]) < settings.rounds:
                cost = sample(place, row, settings)
                if cost is not None:
                    costs[place].append(cost)
    return Compared(*row, summarize(costs["tcp"]), summarize(costs["uring"]))


def table(results: list[Compared]) -> str:
    lines = [
        "| request | connections | in flight | epoll, µs | io_uring, µs | epoll / io_uring |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.size:,} B | {one.connections:,} | {one.in_flight} | {one.epoll.value:.2f} "
        f"±{one.epoll.spread / 2:.0%} | {one.uring.value:.2f} ±{one.uring.spread / 2:.0%} "
        f"| {one.gain:.2f}x |"
        for one in results
    ]
    return "\n".join(lines)


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.uring")
    parser.add_argument(
        "--rounds", type=arguments.count, default=5, help="undisturbed rounds per row"
    )
    parser.add_argument(
        "--seconds", type=arguments.seconds, default=0.4, help="length of a measurement"
    )
    options = parser.parse_args(words)
    settings = settings_for(quick=False, rounds=options.rounds, seconds=options.seconds)
    results = []
    for row in ROWS:
        print(f"{row[0]} B, {row[1]} connections, {row[2]} in flight …", file=sys.stderr)
        results.append(compare(row, settings))
    print(table(results))


if __name__ == "__main__":
    main(sys.argv[1:])
