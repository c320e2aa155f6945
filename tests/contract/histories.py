"""What random programs note of all that happens to them, to be compared entry by entry."""

from __future__ import annotations

import re
from typing import Any

History = list[tuple[Any, ...]]


def bare_repr(thing: Any) -> str:
    """Its repr without module and address."""
    return re.sub(r"^<.*?(\w+) object at 0x[0-9a-f]+", r"<\1", repr(thing))


def assert_same(history: History, expected: History, seed: int) -> None:
    for index, (entry, wanted) in enumerate(zip(history, expected, strict=False)):
        assert entry == wanted, f"seed {seed}, entry {index}: {history[:index][-8:]}"
    assert len(history) == len(expected) > 20
