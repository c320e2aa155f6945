"""The progress of a run on the screen: a few lines that stay in place, or, where there is no
terminal, a line now and then.

Reads the tally from a task of its own; nothing waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from batuta_photos.quota import REQUESTS_PER_DAY, requests_for
from batuta_photos.states import Job
from batuta_photos.upload import Run

FRAMES = 8  # a second
PLAIN = 30.0  # seconds between two lines without a terminal
WINDOW = 15.0  # seconds that speed is measured over


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds for people."""
    whole = max(0, round(seconds))
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02}"
    if whole < 2 * 86400:
        return f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
    return f"{whole / 86400:.1f} days"


class Screen:
    """What is shown of a run."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._samples: deque[tuple[float, int, int]] = deque()

    def sample(self) -> None:
        """Note how far it is, for the speed."""
        tally = self._run.tally
        now = time.monotonic()
        self._samples.append((now, tally.sent_bytes, tally.files_ended))
        while self._samples[0][0] < now - WINDOW:
            self._samples.popleft()

    def speed(self) -> tuple[float, float]:
        """Bytes and files a second, lately."""
        if len(self._samples) < 2:
            return 0.0, 0.0
        first, last = self._samples[0], self._samples[-1]
        passed = max(last[0] - first[0], 1e-3)
        return max(0.0, (last[1] - first[1]) / passed), max(0.0, (last[2] - first[2]) / passed)

    def remaining(self) -> str:
        """How long it will take, as far as that can be told."""
        tally, usage = self._run.tally, self._run.usage
        files = tally.found - tally.files_ended
        if files <= 0:
            return ""
        if (days := usage.days_for(requests_for(files, files))) > 1:
            return f"about {days} days, because of the day's quota"
        by_bytes, by_files = self.speed()
        estimates = []
        if by_files:
            estimates.append(files / by_files)
        if by_bytes:
            estimates.append((tally.wanted_bytes - tally.sent_bytes) / by_bytes)
        return f"{duration(max(estimates))} left" if estimates else ""

    def facts(self) -> str:
        """The numbers behind the bars, in one line."""
        tally, usage = self._run.tally, self._run.usage
        parts = []
        pipeline = self._run.pipeline
        if pipeline is not None:
            limit = pipeline.sender.limit
            parts.append(f"{limit.in_use} uploads at once (up to {limit.limit})")
        parts.append(f"{tally.contents} items made")
        if tally.retries:
            parts.append(f"{tally.retries} tries again")
        for state, word in ((Job.FAILED, "failed"), (Job.SKIPPED, "left out")):
            if tally.ended[state]:
                parts.append(f"{tally.ended[state]} {word}")
        parts.append(f"{usage.today:,} of {usage.limit or REQUESTS_PER_DAY:,} requests today")
        return " · ".join(parts)

    def waiting(self) -> str:
        """Why nothing goes on, if that is so."""
        tally = self._run.tally
        left = tally.waiting_until - time.monotonic()
        if left <= 0:
            return ""
        return f"waiting {duration(left)}: {tally.waiting}"

    def __rich__(self) -> RenderableType:
        tally = self._run.tally
        by_bytes, _ = self.speed()
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=7)
        grid.add_column(width=30)
        grid.add_column()
        found = f"{tally.files_ended:,} of {tally.found:,}{'' if tally.scanned else '+'}"
        grid.add_row("files", ProgressBar(max(tally.found, 1), tally.files_ended, width=30), found)
        sent = f"{size(tally.sent_bytes)} of {size(tally.wanted_bytes)}"
        if by_bytes:
            sent += f"  {size(by_bytes)}/s"
        if remaining := self.remaining():
            sent += f"  {remaining}"
        grid.add_row(
            "bytes", ProgressBar(max(tally.wanted_bytes, 1), tally.sent_bytes, width=30), sent
        )
        lines: list[RenderableType] = [grid, Text(self.facts(), style="dim")]
        if waiting := self.waiting():
            lines.append(Text(waiting, style="yellow"))
        return Group(*lines)

    def plain(self) -> str:
        """All of it in one line."""
        tally = self._run.tally
        by_bytes, _ = self.speed()
        parts = [
            f"{tally.files_ended:,} of {tally.found:,}{'' if tally.scanned else '+'} files",
            f"{size(tally.sent_bytes)} at {size(by_bytes)}/s",
            self.remaining(),
            self.facts(),
            self.waiting(),
        ]
        return ", ".join(part for part in parts if part)


async def _draw(screen: Screen, console: Console, live: Live | None) -> None:
    drawn = time.monotonic()
    while True:
        await asyncio.sleep(1 / FRAMES)
        screen.sample()
        if live is not None:
            live.refresh()
        elif time.monotonic() - drawn >= PLAIN:
            drawn = time.monotonic()
            console.print(screen.plain(), highlight=False, markup=False)


@contextlib.asynccontextmanager
async def shown(run: Run, console: Console) -> AsyncIterator[None]:
    """Show the progress of a run while the block lasts."""
    screen = Screen(run)
    with contextlib.ExitStack() as stack:
        live = None
        if console.is_terminal:
            live = Live(screen, console=console, auto_refresh=False, transient=False)
            stack.enter_context(live)
        drawing = asyncio.get_running_loop().create_task(_draw(screen, console, live))
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait([drawing])
            run.tally.waiting_until = 0.0
