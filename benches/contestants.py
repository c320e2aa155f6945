"""The loops that can be compared, and where each one comes from.

A further rival is one more entry in `CONTESTANTS`: nothing else knows the names.
"""

from __future__ import annotations

from dataclasses import dataclass

BASELINE = "stock"
SUBJECT = "batuta"


@dataclass(frozen=True)
class Contestant:
    """One event loop: `package.new_event_loop()` makes it, and its type must live in `package`."""

    name: str
    package: str
    distribution: str | None = None
    version: str | None = None
    """The release to install from PyPI; None for what the project's own environment holds."""

    @property
    def requirement(self) -> str | None:
        return f"{self.distribution}=={self.version}" if self.version else None

    @property
    def is_rival(self) -> bool:
        return self.name not in (BASELINE, SUBJECT)


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant("stock", "asyncio"),
        Contestant("batuta", "batuta", "batuta"),
        Contestant("uvloop", "uvloop", "uvloop", "0.23.0"),
        Contestant("rloop", "rloop", "rloop", "0.5.0"),
    )
}
