"""Types of command-line arguments: what is wrong is said before anything is measured."""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path
from typing import Any

from benches.report import FORMAT


def names(text: str) -> list[str]:
    """Parted by commas; one at least."""
    if not (found := [name.strip() for name in text.split(",") if name.strip()]):
        raise argparse.ArgumentTypeError("names nothing")
    return found


def count(text: str) -> int:
    """A whole number from 1 on."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def seconds(text: str) -> float:
    """A length of time, longer than 0."""
    if not 0 < (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


def output(text: str) -> Path:
    """A file that can be written, there or not; its folders are made when it is written."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder")
    if path.exists():
        if not os.access(path, os.W_OK):
            raise argparse.ArgumentTypeError(f"{path} cannot be written")
    else:
        folder(str(path.parent))
    return path


def folder(text: str) -> Path:
    """A folder that can be written in, or made."""
    path = Path(text)
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise argparse.ArgumentTypeError(f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"nothing can be written in {there}")
    return path


def figures(text: str) -> dict[str, Any]:
    """What `--json` wrote, or that of a results page, which has no single samples."""
    try:
        found = json.loads(Path(text).read_text())
    except (OSError, ValueError) as problem:
        raise argparse.ArgumentTypeError(f"{text} cannot be read: {problem}") from None
    written = found.get("format") if isinstance(found, dict) else None
    if written != FORMAT:
        raise argparse.ArgumentTypeError(f"{text} is no run of this suite in format {FORMAT}")
    return dict(found)


def run(text: str) -> dict[str, Any]:
    """What `--json` wrote, with all samples."""
    found = figures(text)
    if not all("rounds" in row for row in found["rows"]):
        raise argparse.ArgumentTypeError(
            f"{text} has no single samples: what is wanted is the file of `--json`"
        )
    return found
