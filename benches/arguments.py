"""Types of command-line arguments: what is wrong is said before anything is measured."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def names(text: str) -> list[str]:
    """Parted by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


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
    """A file that can be written; its folder is made."""
    path = Path(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as problem:
        raise argparse.ArgumentTypeError(f"cannot be written: {problem}") from None
    return path
