"""`python -m benches`."""

import signal
import sys
from types import FrameType

from benches.cli import main


def ended(number: int, _frame: FrameType | None) -> None:
    """Told to end: as an exception, so that workers, servers and folders are cleaned up."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, ended)
    sys.exit(main())
