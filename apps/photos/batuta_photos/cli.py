"""The command line of `batuta-photos`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    from batuta_photos.commands import run_command
    from batuta_photos.options import parser

    return run_command(parser().parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
