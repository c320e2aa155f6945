"""Rows of what a loop costs while it does nothing."""

from __future__ import annotations

from benches.rows.row import FootprintRow, IdleRow, Tier

IDLE_ROWS = tuple(
    IdleRow(
        f"idle_{count // 1000}k",
        f"{count:,} connections that do nothing, and a timer that goes off 88 times a second",
        count,
        tier=tier,
    )
    for count, tier in ((1_000, Tier.ALL), (10_000, Tier.USUAL), (100_000, Tier.USUAL))
)
FOOTPRINT_ROWS = (FootprintRow("start", "a process that imports the loop and runs it once"),)
