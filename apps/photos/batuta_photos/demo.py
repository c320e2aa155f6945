"""`demo`: sample pictures to a service on this machine, with what arrives on its page.

The service is a process of its own, so that it shares neither loop nor interpreter with the
uploader. With `--compare` the same upload is then measured quietly, each time with a fresh service:
one file after the other, on stock asyncio, and on Batuta.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from batuta_photos.pacing import Waits
from batuta_photos.progress import shown, size
from batuta_photos.report import print_outcome
from batuta_photos.settings import Account, RunOptions, Service
from batuta_photos.sources import Titles
from batuta_photos.stops import Exit, Stop
from batuta_photos.tally import Tally
from batuta_photos.upload import Run, Task

ALBUM = "Sample pictures"
FEW = 10  # files that are measured one after the other, and twice as many
ROUNDS = 3  # measurements of each loop, in turns
START = 20.0  # seconds that the service may take to start
# The service here forgives at once what Google's wants minutes for.
WAITS = Waits(after_429=0.5, after_5xx=0.1, longest=2.0)
QUICK = ("--wait-429", "0.5", "--wait-5xx", "0.1", "--writes-per-minute", "0", "--on-quota", "exit")


@dataclass(frozen=True)
class Local:
    """A service that runs: what it said of itself."""

    addresses: dict[str, str]

    @property
    def service(self) -> Service:
        return Service(self.addresses["base_url"], Path(self.addresses["ca_file"]))

    def sign_in(self, account: Account) -> None:
        """Put into an account what `login` would."""
        account.make()
        kept = {
            "client_id": self.addresses["client_id"],
            "client_secret": self.addresses["client_secret"],
            "refresh_token": self.addresses["refresh_token"],
            "token_uri": self.addresses["token_url"],
        }
        handle = os.open(account.token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(kept, file)


@contextlib.asynccontextmanager
async def local_service(latency: float, faults: str) -> AsyncIterator[Local]:
    """The local Google Photos in a process of its own, with TLS.

    Raises:
        Stop: it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "fake_google_photos",
        "--json",
        "--until-eof",  # it ends with us, however we end
        "--tls",
        "--latency",
        str(latency),
        "--faults",
        faults,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Ctrl-C is for the uploader; the service ends after it.
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        try:
            async with asyncio.timeout(START):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise Stop("the local service does not start; what it said stands above")
        yield Local(json.loads(line))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


def make_pictures(folder: Path, count: int) -> None:
    """Sample pictures. Blocking."""
    from fake_google_photos.samples import write_samples

    write_samples(folder, count)


@dataclass(frozen=True)
class Measured:
    """One way to upload, as its own summaries tell it: of the same upload several times or,
    `reckoned`, of a short one and a longer one."""

    way: str
    summaries: list[dict[str, Any]]
    reckoned: bool = False

    def of_all(self, name: str, files: int) -> float:
        """What so many files take, time for one; signing in and making the album are in it once."""
        if not self.reckoned:
            median = statistics.median(summary[name] for summary in self.summaries)
            return float(median) / max(1, self.up) * files
        short, longer = self.summaries
        each = (longer[name] - short[name]) / max(1, longer["done"] - short["done"])
        return float(short[name] + max(0.0, each) * (files - short["done"]))

    @property
    def up(self) -> int:
        return min(int(summary["done"]) for summary in self.summaries)

    @property
    def failed(self) -> int:
        return max(int(summary["failed"]) + int(summary["pending"]) for summary in self.summaries)


async def measure(
    folder: Path, place: Path, given: argparse.Namespace, *words: str
) -> dict[str, Any]:
    """The summary of an upload by a process of its own, to a fresh service."""
    async with local_service(given.latency, given.faults) as local:
        with tempfile.TemporaryDirectory(dir=place) as home:
            local.sign_in(Account(Path(home) / "default"))
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "batuta_photos", "upload", str(folder), ALBUM, "--json", *QUICK, *words),
                *("--home", home, "--api-url", local.service.url),
                *("--ca-file", str(local.service.ca_file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await process.communicate()
    lines = out.decode().splitlines()
    if not lines:
        raise Stop(f"a measured upload ended with {process.returncode} and said nothing")
    summary: dict[str, Any] = json.loads(lines[-1])
    return summary


async def compare(
    folder: Path, few: Sequence[Path], place: Path, given: argparse.Namespace, console: Console
) -> list[Measured]:
    """All ways, the loops in turns."""
    with console.status("measuring one file after the other …"):
        single = [await measure(one, place, given, "--one-by-one") for one in few]
    loops: dict[str, list[dict[str, Any]]] = {"asyncio": [], "batuta": []}
    for number in range(ROUNDS):
        for loop, summaries in loops.items():
            with console.status(f"measuring on {loop}, {number + 1} of {ROUNDS} …"):
                summaries.append(await measure(folder, place, given, "--loop", loop))
    return [
        Measured("one by one*", single, reckoned=True),
        Measured("at once, asyncio", loops["asyncio"]),
        Measured("at once, Batuta", loops["batuta"]),
    ]


def table(measured: list[Measured], given: argparse.Namespace) -> Table:
    """What was measured, side by side."""
    drawn = Table(
        title=f"{given.pictures} pictures, {given.latency * 1000:.0f} ms for each request",
        caption=f"* measured on {measured[0].up} files and on twice as many, reckoned for all\n"
        f"the others: medians of {ROUNDS} runs in turns; CPU: of the uploader\n"
        "The service's latency is most of the time, on either loop.",
        caption_justify="left",
    )
    for name in ("", "up", "failed", "bytes", "time", "files/s", "faster", "CPU"):
        drawn.add_column(name, justify="left" if not name else "right")
    slow = measured[0].of_all("seconds", given.pictures)
    for way in measured:
        whole = way.of_all("seconds", given.pictures)
        drawn.add_row(
            way.way,
            str(way.up),
            str(way.failed),
            size(way.of_all("bytes_sent", given.pictures)),
            f"{whole:.2f} s",
            f"{given.pictures / whole:.0f}",
            f"{slow / whole:.1f}x",
            f"{way.of_all('cpu_seconds', given.pictures):.2f} s",
        )
    return drawn


async def demo(given: argparse.Namespace, console: Console) -> int:
    """The command; returns the exit code."""
    if given.latency < 0:
        raise Stop("--latency cannot be negative")
    with tempfile.TemporaryDirectory(prefix="batuta-photos-demo-") as name:
        place = Path(name)
        folder, few = place / "pictures", [place / "few", place / "twice as many"]
        with console.status(f"making {given.pictures} pictures …"):
            await asyncio.to_thread(make_pictures, folder, given.pictures)
            for times, one in enumerate(few, 1):
                await asyncio.to_thread(make_pictures, one, times * min(FEW, given.pictures))
        async with local_service(given.latency, given.faults) as local:
            loop = type(asyncio.get_running_loop())
            console.print(
                f"A Google Photos of its own at {local.service.url}; what arrives is shown at "
                f"{local.addresses['page_url']}",
                highlight=False,
                soft_wrap=True,
            )
            console.print(
                f"Uploading {given.pictures} pictures on {loop.__module__}.{loop.__qualname__}:",
                highlight=False,
            )
            account = Account(place / "home" / "default")
            local.sign_in(account)
            options = RunOptions(writes_per_minute=0, waits=WAITS, wait_for_quota=False)
            run = Run(
                Task(
                    account,
                    local.service,
                    options,
                    str(folder),
                    titles=Titles(ALBUM, None),
                    label=ALBUM,
                ),
                Tally(),
            )
            async with shown(run, console):
                outcome = await run.execute()
            print_outcome(run, console)
            if given.compare and outcome.exit_code is Exit.ALL_UP:
                measured = await compare(folder, few, place, given, console)
                Console().print(table(measured, given))
                if any(way.failed for way in measured):
                    return int(Exit.SOME_FAILED)
            if given.stay:
                console.print(
                    f"See the album at {local.addresses['page_url']} - Ctrl-C ends it.",
                    highlight=False,
                    soft_wrap=True,
                )
                await asyncio.Event().wait()
        return int(outcome.exit_code)
