"""What a server could gain by io_uring: the plain epoll server against the same by io_uring.

    python -m benches.uring [--rounds N] [--seconds S]

No loop has a part in it: both are servers of `crates/load` with nothing in them but the system
calls, so the difference is the most that a driver could bring. Prints a Markdown table of the
server's processor time per request; † marks rows that others disturbed.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any

from benches import arguments, load
from benches.child import Worker
from benches.figures import Sample
from benches.pace import Pace, pace_of
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
MOST = 2
"""Times the wanted rounds that there may be because others disturb them."""


@dataclass(frozen=True)
class Compared:
    """Processor time per request, in microseconds."""

    size: int
    connections: int
    in_flight: int
    epoll: Summary
    uring: Summary
    marked: bool = False
    """Whether disturbed samples had to be used."""

    @property
    def gain(self) -> float:
        return self.epoll.value / self.uring.value


def sample(place: str, row: tuple[int, int, int], settings: Settings) -> Sample:
    """One measurement on a new server. Errors: `LoadFailed`, `WorkerFailed`."""
    size, connections, in_flight = row
    with Worker.of_command(load.serve_command(place=place, core=settings.server_core)) as server:
        address = f"{server.identity['host']}:{server.identity['port']}"

        def run(seconds: float, *flags: str) -> dict[str, Any]:
            return load.run(
                {"address": address},
                flags=flags,
                seconds=seconds,
                warm_up=settings.warm_up,
                connections=connections,
                size=size,
                in_flight=in_flight,
                server_pid=server.pid,
                core=settings.client_core,
            )

        run(settings.warm_up, "verify")
        before = server.ask(settings.timeout)
        foreign = ForeignTime(settings)
        report = run(settings.seconds)
        after = server.ask(settings.timeout)
        used = sum(after[name] - before[name] for name in ("user_s", "system_s"))
        return Sample(
            {"server_cpu_us": report["server_cpu_ns"] / 1e3 / report["requests"]},
            report,
            foreign.complaint(server=used, client=report["client_total_s"]),
        )


def compare(row: tuple[int, int, int], settings: Settings, pace: Pace | None) -> Compared:
    """Rounds of both, in changing order; disturbed samples count only where others are too few."""
    taken: dict[str, list[Sample]] = {place: [] for place in PLACES}
    if pace:
        pace.patience = len(PLACES) * (settings.seconds + settings.warm_up)

    def undisturbed(place: str) -> list[Sample]:
        return [one for one in taken[place] if not one.disturbed]

    for _ in range(MOST * settings.rounds):
        if all(len(undisturbed(place)) >= settings.rounds for place in PLACES):
            break
        for place in random.sample(PLACES, len(PLACES)):
            take = partial(sample, place, row, settings)
            taken[place].append(pace.steady(take) if pace else take())
    marked = any(2 * len(undisturbed(place)) < settings.rounds for place in PLACES)

    def summary(place: str) -> Summary:
        used = taken[place] if marked else undisturbed(place)
        return summarize([one.figures["server_cpu_us"] for one in used])

    return Compared(*row, summary("tcp"), summary("uring"), marked)


def table(results: list[Compared]) -> str:
    lines = [
        "| request | connections | in flight | epoll, µs | io_uring, µs | epoll / io_uring |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.size:,} B{' †' if one.marked else ''} | {one.connections:,} | {one.in_flight} "
        f"| {one.epoll.value:.2f} ±{one.epoll.spread / 2:.0%} "
        f"| {one.uring.value:.2f} ±{one.uring.spread / 2:.0%} | {one.gain:.2f}x |"
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
    pace = pace_of(settings)
    results = []
    for row in ROWS:
        print(f"{row[0]} B, {row[1]} connections, {row[2]} in flight …", file=sys.stderr)
        results.append(compare(row, settings, pace))
    print(table(results))
    if pace and pace.slow_share is not None:
        print(
            f"\nBefore {pace.slow_share:.0%} of the samples the core was slower than at its best."
        )


if __name__ == "__main__":
    main(sys.argv[1:])
