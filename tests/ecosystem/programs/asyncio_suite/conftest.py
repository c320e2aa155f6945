"""A suite for pytest-asyncio: the loop it is told, and what kind of tasks its tests are."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from report import say

FACTORY = os.environ.get("SUITE_LOOP_FACTORY")

if FACTORY:

    def pytest_asyncio_loop_factories() -> dict[str, Callable[[], Any]]:
        module, _, name = str(FACTORY).partition(":")
        return {"chosen": getattr(importlib.import_module(module), name)}


def pytest_unconfigure(config: pytest.Config) -> None:
    say()
