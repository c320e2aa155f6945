"""Scheduling rows: what it costs the loop's thread to run callbacks, timers, tasks and wake-ups."""

from __future__ import annotations

from benches.rows import callbacks, request, sync, tasks
from benches.rows.row import SchedulingRow

__all__ = ["ROWS", "SchedulingRow"]

ROWS = (*callbacks.ROWS, *tasks.ROWS, *sync.ROWS, *request.ROWS)
