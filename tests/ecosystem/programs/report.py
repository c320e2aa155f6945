"""What the programs of this folder say to the test that has started them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

KINDS: dict[str, set[str]] = {}


def note(place: str, task: asyncio.Task[Any] | None = None) -> None:
    """Note the kind of a task, by default of the one that runs, under a word for where it is."""
    task = asyncio.current_task() if task is None else task
    if task is not None:
        KINDS.setdefault(place, set()).add(type(task).__module__)


def say() -> None:
    """Print all that was noted."""
    print(json.dumps({place: sorted(kinds) for place, kinds in KINDS.items()}))
