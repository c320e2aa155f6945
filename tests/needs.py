"""Programs and packages that a test may need: whether they are there, and how to install them."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path


def postgres_program(name: str) -> str | None:
    """The path of a PostgreSQL program, newest version first; Debian keeps them out of PATH."""
    installed = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = sorted(installed, key=lambda path: int("0" + path.parts[-3].partition(".")[0]))
    return str(newest[-1]) if newest else shutil.which(name)


def browser_program() -> str | None:
    """The path of Chromium, by the names that distributions give it."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "chrome"))
    return next(filter(None, found), None)


def is_there(name: str) -> tuple[bool, str]:
    """Whether a test can have what it needs; a name that is no program is a package of PyPI."""
    if name == "redis-server":
        return shutil.which(name) is not None, "apt-get install redis-server"
    if name == "postgresql":
        return postgres_program("initdb") is not None, "apt-get install postgresql"
    if name == "chromium":
        return browser_program() is not None, "apt-get install chromium"
    module = name.replace("-", "_")
    return importlib.util.find_spec(module) is not None, f"pip install {name}"
