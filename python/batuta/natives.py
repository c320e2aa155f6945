"""The one table of what Batuta has natively of asyncio's public names.

`import batuta as asyncio` offers these in the place of asyncio's own, and acceleration puts them
where asyncio keeps its own (`acceleration`). Whoever adds one imports it here and enters it.
Nothing here changes anything.
"""

import asyncio
import sys
from typing import Any, Final

from batuta import _batuta, locks, queues, streaming, taskgroups, timeouts

NATIVE: Final[dict[str, Any]] = {
    "Barrier": locks.Barrier,
    "BoundedSemaphore": locks.BoundedSemaphore,
    "Condition": locks.Condition,
    "Event": locks.Event,
    "Future": _batuta.Future,
    "LifoQueue": queues.LifoQueue,
    "Lock": locks.Lock,
    "PriorityQueue": queues.PriorityQueue,
    "Queue": queues.Queue,
    "Semaphore": locks.Semaphore,
    "StreamReader": streaming.StreamReader,
    "StreamReaderProtocol": streaming.StreamReaderProtocol,
    "StreamWriter": streaming.StreamWriter,
    "Task": _batuta.Task,
    "TaskGroup": taskgroups.TaskGroup,
    "Timeout": timeouts.Timeout,
    "gather": _batuta.gather,
    "open_connection": streaming.open_connection,
    "open_unix_connection": streaming.open_unix_connection,
    "sleep": _batuta.sleep,
    "start_server": streaming.start_server,
    "start_unix_server": streaming.start_unix_server,
    "timeout": timeouts.timeout,
    "timeout_at": timeouts.timeout_at,
    "wait": _batuta.wait,
    "wait_for": _batuta.wait_for,
}

if sys.version_info >= (3, 12):
    NATIVE["eager_task_factory"] = asyncio.create_eager_task_factory(_batuta.Task)
