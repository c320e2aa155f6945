"""Task groups: native bookkeeping under asyncio's own handling of errors and cancellation."""

import asyncio

from batuta import _batuta

# Looked up once: a program may put another class there later.
_TaskGroup = asyncio.TaskGroup


class TaskGroup(_batuta.NativeTaskGroup, _TaskGroup):
    """asyncio's task group, native. See "Task Groups" in asyncio's documentation."""
