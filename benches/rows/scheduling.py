"""Scheduling rows: what it costs the loop's thread to run callbacks, timers, tasks and wake-ups."""

from __future__ import annotations

from dataclasses import replace

from benches.rows import callbacks, request, sync, tasks
from benches.rows.row import SchedulingRow, Tier

__all__ = ["ROWS", "SchedulingRow"]

QUICK = {
    "call_soon",
    "call_later_cancel",
    "sleep0",
    "create_task_await",
    "gather",
    "queue_full",
    "web_request",
}

ROWS = tuple(
    replace(row, tier=Tier.QUICK) if row.name in QUICK else row
    for row in (*callbacks.ROWS, *tasks.ROWS, *sync.ROWS, *request.ROWS)
)
