"""What the outcomes of a suite say of Batuta.

A test counts if it passes on stock. If it does not pass on Batuta, both run it alone three times
more: it differs if stock passes all three and Batuta passes none; passes it now and then, it is
unsteady, and named as such with how often.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .runs import Outcomes

AGAIN = 3
Again = Callable[[str, list[str]], Outcomes]
"""Runs these tests once more in this way."""


@dataclass
class Verdict:
    """Of one project in one way."""

    tests: int
    """That stock has run, those that it skips among them."""
    counted: int
    """Tests that pass on stock."""
    passed: int
    differ: dict[str, str] = field(default_factory=dict)
    """Tests to what they end with."""
    departures: dict[str, str] = field(default_factory=dict)
    """Those of them that are listed, to the reason."""
    unsteady: dict[str, str] = field(default_factory=dict)
    """Tests to how often they passed, on stock and here."""
    stale: list[str] = field(default_factory=list)
    """Listed departures that no differing test matches."""

    @property
    def good(self) -> bool:
        return self.counted > 0 and not self.differ and not self.stale


def judge(
    way: str, stock: Outcomes, here: Outcomes, departures: Mapping[str, str], again: Again
) -> Verdict:
    """Compares, and runs again what does not agree."""
    counted = [test for test, outcome in stock.tests.items() if outcome == "passed"]
    suspects = [test for test in counted if here.tests.get(test, "not run") != "passed"]
    verdict = Verdict(len(stock.tests), len(counted), passed=len(counted) - len(suspects))
    passes = {"stock": dict.fromkeys(suspects, 0), way: dict.fromkeys(suspects, 0)}
    for _ in range(AGAIN if suspects else 0):
        for each in passes:
            found = again(each, suspects).tests
            for test in suspects:
                passes[each][test] += found.get(test) == "passed"
    for test in suspects:
        if passes["stock"][test] == AGAIN and not passes[way][test]:
            reason = next((why for glob, why in departures.items() if _matches(test, glob)), None)
            if reason:
                verdict.departures[test] = reason
            else:
                verdict.differ[test] = here.tests.get(test, "not run")
        else:
            verdict.unsteady[test] = (
                f"passes {passes['stock'][test]} of {AGAIN} on stock, {passes[way][test]} here"
            )
    verdict.stale = [
        glob for glob in departures if not any(_matches(test, glob) for test in suspects)
    ]
    return verdict


def _matches(test: str, glob: str) -> bool:
    # Square brackets are part of a test's name, not of a pattern.
    return fnmatch.fnmatchcase(test, glob.replace("[", "[[]"))
