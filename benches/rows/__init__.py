"""What there is to measure. Each kind of row is a module; `ROWS` is all of them, in table order.

A new row is an entry in its module's `ROWS`. A new kind of row is a module here, a driver in
`benches.drivers` that measures it, and a line in `ROWS` below.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from benches.rows import echo, scheduling
from benches.rows.echo import EchoRow
from benches.rows.scheduling import SchedulingRow

Row = SchedulingRow | EchoRow

ROWS: dict[str, Row] = {row.name: row for row in (*scheduling.ROWS, *echo.ROWS)}


def select(patterns: list[str] | None) -> list[Row]:
    """The rows whose name or group matches one of the patterns, in table order; all without any.

    A pattern that matches nothing is a ValueError: a misspelt row must not pass as measured.
    """
    if not patterns:
        return list(ROWS.values())

    def matches(row: Row, pattern: str) -> bool:
        return fnmatchcase(row.name, pattern) or row.group == pattern

    for pattern in patterns:
        if not any(matches(row, pattern) for row in ROWS.values()):
            known = ", ".join(ROWS)
            raise ValueError(f"no row is called {pattern!r}; there are: {known}")
    return [row for row in ROWS.values() if any(matches(row, one) for one in patterns)]
