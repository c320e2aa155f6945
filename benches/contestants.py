"""The loops that can be compared, and where each one comes from.

A further rival is one more entry in `CONTESTANTS`, and a colour in `charts`. Beside that only
`aims` knows names: those of the rivals that an aim speaks of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BASELINE = "stock"
SUBJECT = "batuta"
ACCELERATED = "batuta+accelerate"
SUBJECTS = (SUBJECT, ACCELERATED)
"""What the rivals are compared with, each for itself: the loop alone, and the loop with Batuta's
own classes behind asyncio's names."""

LIMIT = "limit (Rust epoll)"
"""No loop: the plain epoll server of `crates/load`, on the rows that have such a limit. Nothing is
compared with it as with a rival; how far a loop is from it is shown by itself."""


@dataclass(frozen=True)
class Contestant:
    """One event loop: `package.new_event_loop()` makes it, and its type must live in `package`."""

    name: str
    package: str
    distribution: str | None = None
    version: str | None = None
    """The release to install from PyPI; None for what the project's own environment holds."""
    accelerate: bool = False
    """Whether `package.install(accelerate=True)` comes before the loop is made."""
    oldest_python: tuple[int, int] = (3, 11)
    oldest_glibc: tuple[int, int] = (2, 17)
    """What the release's wheels on PyPI need."""

    @property
    def requirement(self) -> str | None:
        return f"{self.distribution}=={self.version}" if self.version else None

    @property
    def start(self) -> dict[str, Any]:
        """What a worker must be told to run this loop."""
        return {
            "package": self.package,
            "distribution": self.distribution,
            "accelerate": self.accelerate,
        }

    @property
    def is_rival(self) -> bool:
        """Stock asyncio is one, too: on some rows none of the others is faster."""
        return self.name not in (*SUBJECTS, LIMIT)


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("stock", "asyncio"),
        Contestant("batuta", "batuta", "batuta"),
        Contestant(ACCELERATED, "batuta", "batuta", accelerate=True),
        Contestant("uvloop", "uvloop", "uvloop", "0.23.0"),
        Contestant("rloop", "rloop", "rloop", "0.5.0"),
        Contestant("zuvloop", "zuvloop", "zuvloop", "0.0.17", oldest_python=(3, 14)),
        Contestant("rsloop", "rsloop", "rsloop", "0.1.66", oldest_glibc=(2, 39)),
        Contestant(LIMIT, "batuta_load"),
    )
}
