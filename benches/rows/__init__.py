"""What there is to measure. Each kind of row is a module; `ROWS` is all of them, in table order.

A new row is an entry in its module's `ROWS`. A new kind of row is a class in `row.py`, a driver in
`benches.drivers` that measures it, its figures in `benches.figures`, and a line in `ROWS` below.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from benches.rows import clients, echo, idle, scheduling, system
from benches.rows.echo import EchoRow
from benches.rows.row import ClientRow, FootprintRow, IdleRow, SchedulingRow, SystemRow, Tier

Row = SchedulingRow | EchoRow | IdleRow | FootprintRow

__all__ = [
    "ROWS",
    "ClientRow",
    "EchoRow",
    "FootprintRow",
    "IdleRow",
    "Row",
    "SchedulingRow",
    "SystemRow",
    "Tier",
    "select",
]

_ALL: list[Row] = [
    *scheduling.ROWS,
    *echo.ROWS,
    *clients.ROWS,
    *system.ROWS,
    *idle.IDLE_ROWS,
    *idle.FOOTPRINT_ROWS,
]
ROWS: dict[str, Row] = {row.name: row for row in _ALL}


def select(patterns: list[str] | None, tier: Tier = Tier.USUAL) -> list[Row]:
    """The rows whose name or group matches one of the patterns, in table order.

    Without patterns, of a whole group, and for a pattern of names those up to the tier; a row that
    is named is found in any. A pattern that matches nothing is a ValueError: a misspelt row must
    not pass as measured.
    """
    if not patterns:
        return [row for row in ROWS.values() if row.tier <= tier]

    def matches(row: Row, pattern: str) -> bool:
        if pattern == row.name:
            return True
        return row.tier <= tier and (pattern == row.group or fnmatchcase(row.name, pattern))

    for pattern in patterns:
        if not any(matches(row, pattern) for row in ROWS.values()):
            known = ", ".join(row.name for row in ROWS.values() if row.tier <= Tier.USUAL)
            raise ValueError(f"no row is called {pattern!r}; there are: {known}")
    return [row for row in ROWS.values() if any(matches(row, one) for one in patterns)]
