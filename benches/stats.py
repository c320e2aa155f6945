"""Middle, spread and ratio: the only arithmetic between the measurements and the tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """What some measurements come to and how far they scatter."""

    value: float
    spread: float
    """Interquartile range over the value: 0.02 means the middle half lies within 2 %. Of a lower
    quartile the range of the lower half, in whose middle it is."""
    count: int


def summarize(values: Sequence[float], *, lower_quartile: bool = False) -> Summary:
    """The median, or what a quarter of the values stay below; a ValueError without values:
    nothing must not look like something."""
    if not values:
        raise ValueError("nothing was measured")
    if len(values) == 1:
        return Summary(values[0], 0.0, 1)
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    if lower_quartile:
        value, width = first, median - min(values)
    else:
        value, width = median, third - first
    return Summary(value, width / value if value else 0.0, len(values))


def percentile(ordered: Sequence[int], per_mille: int) -> int:
    """The value below or at which so many thousandths of the values lie, as the load generator
    counts them."""
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[max(1, -(-len(ordered) * per_mille // 1000)) - 1]


def times_better(subject: Summary, other: Summary, *, higher_is_better: bool) -> float:
    """How many times better the subject is than the other: 2.0 for half the cost or twice the
    rate, below 1 when it is behind."""
    if higher_is_better:
        return subject.value / other.value
    return other.value / subject.value


def geometric_mean(ratios: Sequence[float]) -> float:
    """The middle of ratios: twice as good on one row and half as good on another make 1."""
    return statistics.geometric_mean(ratios)


def within_noise(subject: Summary, other: Summary) -> bool:
    """Whether the two differ by no more than the wider of their two ranges.

    In their own unit, not in shares: the spread of a small value, taken as a share of it, would
    forgive a loss of any size.
    """
    ranges = (one.spread * one.value for one in (subject, other))
    return abs(subject.value - other.value) <= max(ranges)
