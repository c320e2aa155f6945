"""Timeouts: entering, leaving and the timer native, the rest asyncio's own."""

from batuta._batuta import Timeout, timeout, timeout_at

__all__ = ["Timeout", "timeout", "timeout_at"]
