"""The interleaved run: for each row, every loop's worker in turn, round after round.

The order changes from round to round. A row whose latencies are shown has three times as many
rounds, for the sake of their tail. There are more rounds, up to twice as many as were asked for,
until each loop has enough undisturbed samples. The disturbed ones are left out; where a loop has
not enough others, all samples of the row are used, and the row is marked. A sample that a slow core
has spoilt is taken again at once, while there is patience (`pace`). A loop that fails on a row is
out of that row, with its reason, and the others go on.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benches.child import WorkerFailed
from benches.contestants import Contestant
from benches.drivers import Driver, driver_for, takes_part
from benches.figures import FIGURES, Figure, Sample
from benches.load import LoadFailed
from benches.pace import Pace
from benches.peers import Missing, Peers
from benches.rows import ROWS, Row
from benches.settings import Settings
from benches.stats import Summary, summarize

Say = Callable[[str], None]

TAIL_ROUNDS = 3
"""How many times as many rounds a row has whose latencies are shown: the 99.9th percentile of one
window is made by a handful of its requests."""


@dataclass(frozen=True)
class Round:
    """The samples of one round, in the order in which they were taken."""

    samples: dict[str, Sample]


def shortened(why: str) -> str:
    """Of a reason with a traceback: how it ended, and the error."""
    first, *rest = why.splitlines()
    return f"{first.partition(':')[0]}: {rest[-1].strip()}" if rest else first


@dataclass
class RowResult:
    """All that is known of one row after the run."""

    row: Row
    rounds: list[Round] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    skipped: str | None = None
    """Why nobody could run it: what it needs beside the loops is not there."""
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    wanted: int = 0

    def taken(self, loop: str) -> list[Sample]:
        return [one.samples[loop] for one in self.rounds if loop in one.samples]

    def undisturbed(self, loop: str) -> list[Sample]:
        return [sample for sample in self.taken(loop) if not sample.disturbed]

    def used(self, loop: str) -> list[Sample]:
        """The undisturbed samples of a loop, if all loops have enough of them; else all."""
        return self.taken(loop) if self.marked else self.undisturbed(loop)

    @property
    def marked(self) -> bool:
        """Whether disturbed samples had to be used."""
        enough = max(1, (self.wanted + 1) // 2)
        loops = self.identities.keys() - self.failures.keys()
        return any(len(self.undisturbed(loop)) < enough for loop in loops)

    def summary(self, loop: str, figure: Figure) -> Summary | None:
        """None for a loop that failed on this row, even if only in a late round."""
        if loop in self.failures:
            return None
        # Not every row of a kind has every figure.
        found = [one.figures[figure.key] for one in self.used(loop) if figure.key in one.figures]
        return summarize(found, lower_quartile=figure.lower_quartile) if found else None

    def remarks(self) -> dict[str, list[str]]:
        """By loop, those that any of the used samples has."""
        found = {
            loop: {remark for sample in self.used(loop) for remark in sample.remarks}
            for loop in self.identities
        }
        return {loop: sorted(remarks) for loop, remarks in found.items() if remarks}

    def short_failures(self) -> dict[str, str]:
        return {loop: shortened(why) for loop, why in self.failures.items()}

    def to_json(self, rounds: bool = True) -> dict[str, Any]:
        loops = list(self.identities)
        taken = [
            {loop: vars(sample) for loop, sample in one.samples.items()} for one in self.rounds
        ]
        return {
            "name": self.row.name,
            "group": self.row.group,
            "about": self.row.about,
            "skipped": self.skipped,
            "failures": self.failures if rounds else self.short_failures(),
            "identities": self.identities,
            "disturbed_rounds_used": self.marked,
            "summary": {
                loop: {
                    figure.key: vars(summary)
                    for figure in FIGURES[self.row.kind]
                    if (summary := self.summary(loop, figure))
                }
                for loop in loops
            },
            "wanted": self.wanted,
            **({"rounds": taken} if rounds else {}),
        }

    @classmethod
    def from_json(cls, written: dict[str, Any]) -> RowResult:
        """What `to_json` wrote, with its rounds."""
        return cls(
            ROWS[written["name"]],
            rounds=[
                Round({loop: Sample(**sample) for loop, sample in one.items()})
                for one in written["rounds"]
            ],
            failures=written["failures"],
            skipped=written["skipped"],
            identities=written["identities"],
            wanted=written["wanted"],
        )


def rounds_of(row: Row, settings: Settings) -> int:
    """How many undisturbed samples of each loop the row wants."""
    return settings.rounds * (TAIL_ROUNDS if getattr(row, "shows_latency", False) else 1)


def run_row(
    row: Row,
    entrants: dict[str, tuple[Contestant, Path]],
    settings: Settings,
    say: Say,
    seed: int = 1,
    peers: Peers | None = None,
    pace: Pace | None = None,
) -> RowResult:
    """Measure one row on every entrant (name to contestant and interpreter).

    `peers` keeps servers that client rows talk to for the rows that follow, `pace` what it knows of
    the server's core; without it no look is taken at that.
    """
    wanted = rounds_of(row, settings)
    result = RowResult(row, wanted=wanted)
    order = random.Random(f"{seed} {row.name}")
    with contextlib.ExitStack() as stack:
        peers = peers or stack.enter_context(Peers(settings.client_core))
        drivers: dict[str, Driver] = {}

        def attempt(loop: str, work: Callable[[], Any]) -> Any:
            """What the work gives; None when it fails, which ends the loop's part in this row."""
            try:
                return work()
            except (WorkerFailed, LoadFailed) as failure:
                result.failures[loop] = str(failure)
                if failed := drivers.pop(loop, None):
                    failed.close()  # it must not run on beside the others
                say(f"  {loop} failed on {row.name}: {str(failure).splitlines()[-1]}")
                return None

        def start(loop: str) -> Driver:
            contestant, python = entrants[loop]
            return driver_for(row, contestant, python, settings, peers)

        def enter(started: Future[Driver]) -> Driver:
            driver = started.result()
            stack.callback(driver.close)
            return driver

        taking_part = [loop for loop, (who, _) in entrants.items() if takes_part(row, who)]
        # Together: most of the time goes into the imports of interpreters that start.
        with ThreadPoolExecutor(max(1, len(taking_part))) as pool:
            starting = {loop: pool.submit(start, loop) for loop in taking_part}
        for loop, started in starting.items():
            try:
                driver = attempt(loop, partial(enter, started))
            except Missing as lack:
                result.skipped = str(lack)
                say(f"  {row.name} is left out: {lack}")
                return result
            if driver:
                drivers[loop] = driver
                result.identities[loop] = driver.identity
        for loop, driver in list(drivers.items()):
            attempt(loop, driver.warm_up)

        def sample(loop: str) -> Sample:
            take = drivers[loop].sample
            return pace.steady(take) if pace else take()

        if pace:
            pace.patience = len(drivers) * (settings.seconds + settings.warm_up)
        for _ in range(2 * wanted):
            if all(len(result.undisturbed(loop)) >= wanted for loop in drivers):
                break
            names = list(drivers)
            order.shuffle(names)
            samples = {name: attempt(name, partial(sample, name)) for name in names}
            result.rounds.append(Round({loop: one for loop, one in samples.items() if one}))
    return result
