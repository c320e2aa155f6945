"""What numbers each kind of row yields, and what one measurement of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A kind of number that rows of one kind yield; the first of a kind is the one compared."""

    key: str
    title: str
    higher_is_better: bool = False
    digits: int = 0
    compared: bool = True
    latency: bool = False
    """Shown only for the rows that say they are worth it."""
    lower_quartile: bool = False
    """Whether a quarter of the samples counts, not their middle: for what a pause of the machine
    makes by itself, and never makes smaller."""
    shown: bool = True
    """Whether the report has a table of it; the JSON has all."""


_LATENCIES = (
    Figure("p50_us", "Median latency, µs", digits=1, latency=True),
    Figure("p90_us", "90th percentile of latency, µs", digits=1, latency=True, shown=False),
    Figure("p99_us", "99th percentile of latency, µs", digits=1, latency=True),
    Figure(
        "p999_us",
        "99.9th percentile of latency, µs (lower quartile of the windows)",
        digits=1,
        latency=True,
        lower_quartile=True,
    ),
)

FIGURES: dict[str, tuple[Figure, ...]] = {
    "scheduling": (
        Figure("cpu_ns", "CPU time of the loop's thread, ns per operation"),
        Figure("wall_ns", "Time on the clock, ns per operation"),
    ),
    "echo": (
        Figure("server_cpu_us", "CPU time of the server, µs per request", digits=2),
        Figure("requests_per_s", "Requests per second", higher_is_better=True),
        *_LATENCIES,
        Figure("mb_per_s", "MB per second", higher_is_better=True, shown=False),
        Figure("server_busy_pct", "How busy the server's core was with it, %", compared=False),
    ),
    "client": (
        Figure("cpu_us", "CPU time of the client's process, µs per operation", digits=2),
        Figure("per_s", "Operations per second", higher_is_better=True),
    ),
    "system": (
        Figure("wall_us", "Time on the clock, µs per operation or its median", digits=2),
        Figure("cpu_us", "CPU time of the process, all threads, µs per operation", digits=2),
        Figure("p99_us", "99th percentile of the time on the clock, µs", digits=1),
        Figure("p999_us", "99.9th percentile of it, µs", digits=1, shown=False),
    ),
    "idle": (
        Figure("rss_kib", "Memory of the server, KiB per connection", digits=2),
        Figure("tick_us", "CPU time of one tick of a timer, µs", digits=1),
    ),
    "footprint": (
        Figure("import_ms", "Time to import asyncio and the loop, ms", digits=1),
        Figure(
            "first_ms", "Time from the start of the process to the first callback, ms", digits=1
        ),
        Figure("rss_mib", "Memory of the process with one loop, MiB", digits=1),
        Figure("loop_kib", "Memory of each further loop, KiB", digits=1),
    ),
}


@dataclass(frozen=True)
class Sample:
    """One measurement: the figures by key, what they were made from, and what disturbed it."""

    figures: dict[str, float]
    raw: dict[str, Any]
    disturbed: str | None = None
    remarks: tuple[str, ...] = ()
