"""The list of expected failures: which tests of this Python it covers, and its limits.

Role: read `expected_failures.toml`, refuse entries without a test, a version or a reason, and say
which entry (if any) covers a test.  The limits are part of the rule and live here.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from . import slots

# Batuta's own lists, by what is run.
_HERE = Path(__file__).parent
OWN = {
    slots.GENERIC: [_HERE / "expected_failures.toml"],
    slots.ACCELERATED: [_HERE / "expected_failures.toml", _HERE / "expected_accelerated.toml"],
}
_VERSION = re.compile(r"(\d+)\.(\d+)(\+?)")


class BadList(Exception):
    """The list of expected failures breaks its own rules."""


@dataclass(frozen=True)
class Entry:
    test: str
    versions: tuple[str, ...]
    reason: str

    def applies(self, version: tuple[int, int]) -> bool:
        for text in self.versions:
            match = _VERSION.fullmatch(text)
            if match is None:
                raise BadList(f"{self.test}: version {text!r} is neither like 3.11 nor like 3.14+")
            named = (int(match[1]), int(match[2]))
            if version == named or (match[3] and version > named):
                return True
        return False

    def covers(self, test: str) -> bool:
        return fnmatch.fnmatchcase(test, self.test)


def limit(version: tuple[int, int]) -> int:
    """How many tests the list may cover on one version of Python."""
    return 10 if version < (3, 14) else 20


def read(path: Path, version: tuple[int, int]) -> list[Entry]:
    """The entries that apply to `version`."""
    with open(path, "rb") as stream:
        data = tomllib.load(stream)
    if set(data) - {"expected"}:
        raise BadList(f"{path.name}: only [[expected]] entries are known")
    entries: list[Entry] = []
    for number, raw in enumerate(data.get("expected", []), 1):
        if set(raw) != {"test", "versions", "reason"}:
            raise BadList(f"{path.name}: entry {number} must have test, versions and reason")
        if not raw["reason"].strip() or not raw["versions"]:
            raise BadList(f"{path.name}: {raw['test']} has no reason or no versions")
        entries.append(Entry(raw["test"], tuple(raw["versions"]), raw["reason"]))
    return [entry for entry in entries if entry.applies(version)]


def check(
    entries: list[Entry], counted: list[str], version: tuple[int, int], *, whole_suite: bool
) -> list[str]:
    """What is wrong with the list, given the tests that are counted in this run."""
    errors: list[str] = []
    covered = [test for test in counted if any(entry.covers(test) for entry in entries)]
    if len(covered) > limit(version):
        errors.append(
            f"{len(covered)} tests are listed as expected failures; "
            f"at most {limit(version)} may be on Python {version[0]}.{version[1]}"
        )
    if whole_suite:
        for entry in entries:
            if not any(entry.covers(test) for test in counted):
                errors.append(f"expected failure {entry.test} is not one of the counted tests")
    return errors
