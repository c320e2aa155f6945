"""The last word of a run, the list of failed files, and `status`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console

from batuta_photos.files import shown
from batuta_photos.journal import Journal
from batuta_photos.progress import duration, size
from batuta_photos.quota import REQUESTS_PER_DAY, pacific_day, requests_for
from batuta_photos.redact import redact
from batuta_photos.rows import JobRow
from batuta_photos.states import Job
from batuta_photos.stops import QuotaReached, UsageError
from batuta_photos.upload import Run

LISTED = 20  # failed files that are printed
PAGE = 256


async def failed_rows(journal: Journal, run: int | None = None) -> AsyncIterator[JobRow]:
    """The failed files of a run, or all of them."""
    where, parameters = "state = ?", [Job.FAILED]
    if run is not None:
        where, parameters = "state = ? AND run = ?", [Job.FAILED, run]  # type: ignore[list-item]
    last: tuple[str, str] | None = None
    while page := await journal.page(where, parameters, last, PAGE):
        last = (page[-1].path, page[-1].album)
        for row in page:
            yield row


async def write_failed(journal: Journal, run: int | None, file: Path) -> int:
    """One line for each failed file: path, album and reason, with tabs between; returns how many.

    Paths are written as their bytes, so that other programs find the files.

    Raises:
        UsageError: the file cannot be written.
    """
    count = 0
    try:
        with file.open("wb") as out:
            async for row in failed_rows(journal, run):
                reason = " ".join((row.error or "").split())
                out.write(os.fsencode(row.path) + f"\t{row.album}\t{reason}\n".encode())
                count += 1
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
    return count


def summary(run: Run) -> dict[str, Any]:
    """A run's outcome as JSON has it."""
    outcome, tally = run.outcome, run.tally
    found: dict[str, Any] = {
        "event": "summary",
        "exit_code": int(outcome.exit_code),
        **{state.value: outcome.counts.get(state, 0) for state in Job},
        "unchanged": tally.unchanged,
        "duplicates": tally.duplicates,
        "bytes_sent": tally.sent_bytes,
        "items_made": tally.contents,
        "deleted": tally.deleted,
        "seconds": round(time.monotonic() - tally.began, 3),
        "cpu_seconds": round(time.process_time() - tally.cpu_began, 3),
        "requests": outcome.requests,
        "requests_today": run.usage.today,
        "most_uploads_at_once": outcome.most_at_once,
    }
    if run.task.options.dry_run:
        found["would_upload"] = tally.to_upload
        found["would_upload_bytes"] = tally.wanted_bytes
        found["would_need_requests"] = requests_for(tally.to_upload, tally.to_upload_requests)
    if outcome.unreadable:
        found["unreadable_folders"] = [[shown(place), why] for place, why in outcome.unreadable]
    if outcome.stop is not None:
        found["stopped"] = redact(str(outcome.stop))
        if isinstance(outcome.stop, QuotaReached):
            found["goes_on_at"] = outcome.stop.until.isoformat()
    return found


def print_json(event: dict[str, Any], out: TextIO) -> None:
    """One line of JSON; paths that are no UTF-8 are shown as well as can be."""
    safe = {
        key: shown(value) if key == "path" and isinstance(value, str) else value
        for key, value in event.items()
    }
    out.write(json.dumps(safe, ensure_ascii=False) + "\n")
    out.flush()


def print_dry_run(run: Run, console: Console) -> None:
    tally = run.tally
    needed = requests_for(tally.to_upload, tally.to_upload_requests)
    console.print(
        f"Would upload {tally.to_upload:,} pictures and videos, {size(tally.wanted_bytes)}, with "
        f"about {needed:,} requests.",
        highlight=False,
    )
    if (days := run.usage.days_for(needed)) > 1:
        console.print(f"The quota of requests makes that {days} days.", highlight=False)
    _print_counts(run, console, "would be up")


def print_outcome(run: Run, console: Console) -> None:
    """What a person wants to know at the end."""
    outcome, tally = run.outcome, run.tally
    passed = time.monotonic() - tally.began
    _print_counts(run, console, "are up")
    console.print(
        f"{tally.contents:,} items made, {size(tally.sent_bytes)} sent in {duration(passed)}, "
        f"{outcome.requests:,} requests ({run.usage.today:,} today).",
        highlight=False,
    )
    if tally.deleted:
        console.print(f"{tally.deleted:,} verified files removed from the disk.", highlight=False)
    if isinstance(outcome.stop, QuotaReached):
        local = outcome.stop.until.astimezone()
        console.print(
            f"The day's quota is used up. It goes on at {local:%H:%M on %A, %d %B}: run the same "
            "command again then.",
            highlight=False,
        )
    if outcome.stop is not None:
        text = f"Stopped: {redact(str(outcome.stop))}"
        console.print(text, style="red", highlight=False, markup=False)


def _print_counts(run: Run, console: Console, up: str) -> None:
    counts, tally = run.outcome.counts, run.tally
    done = counts.get(Job.DONE, 0)
    parts = [f"{done:,} files {up}"]
    if tally.unchanged:
        parts.append(f"{tally.unchanged:,} known from before")
    if tally.duplicates:
        parts.append(f"{tally.duplicates:,} with the same content as others")
    for state, word in (
        (Job.SKIPPED, "no pictures"),
        (Job.VANISHED, "vanished"),
        (Job.PENDING, "still to do"),
        (Job.FAILED, "failed"),
    ):
        if counts.get(state):
            parts.append(f"{counts[state]:,} {word}")
    console.print(", ".join(parts) + ".", highlight=False)
    for place, why in run.outcome.unreadable:
        console.print(
            f"Not read: {shown(place)}: {why}", style="red", highlight=False, markup=False
        )


async def print_failed(journal: Journal, run: int | None, console: Console) -> None:
    """The first failed files, with the service's own words."""
    count = 0
    async for row in failed_rows(journal, run):
        count += 1
        if count <= LISTED:
            text = f"  {shown(row.path)}: {row.error}"
            console.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
    if count > LISTED:
        console.print(f"  and {count - LISTED:,} more: --failed-to FILE writes all of them")


async def status(journal: Journal) -> dict[str, Any]:
    """Everything that the journal can tell in numbers."""
    runs = await journal.query(
        "SELECT began, ended, folder, album, outcome FROM run ORDER BY id DESC LIMIT 1"
    )
    contents = await journal.query("SELECT state, count(*), sum(size) FROM content GROUP BY state")
    albums = await journal.query(
        "SELECT album, count(*), sum(state = 'placed') FROM placement GROUP BY album ORDER BY album"
    )
    day = pacific_day().isoformat()
    found: dict[str, Any] = {
        "files": {state.value: count for state, count in (await journal.counts()).items()},
        "contents": {state: {"count": count, "bytes": total} for state, count, total in contents},
        "albums": {title: {"wanted": wanted, "in": placed} for title, wanted, placed in albums},
        "requests_today": await journal.requests_of(day),
        "requests_a_day": REQUESTS_PER_DAY,
    }
    if runs:
        began, ended, folder, album, outcome = runs[0]
        found["last_run"] = {
            "began": datetime.fromtimestamp(began).astimezone().isoformat(timespec="seconds"),
            "ended": ended
            and datetime.fromtimestamp(ended).astimezone().isoformat(timespec="seconds"),
            "folder": bytes(folder).decode("utf-8", "replace"),
            "album": album,
            "outcome": outcome or "did not end by itself",
        }
    return found


def print_status(found: dict[str, Any], console: Console) -> None:
    """`status` for people."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    words = {
        "done": "up",
        "pending": "still to do",
        "failed": "failed",
        "skipped": "no pictures",
        "vanished": "vanished",
    }
    files = found["files"]
    say(
        "files      "
        + (", ".join(f"{files[s]:,} {w}" for s, w in words.items() if s in files) or "none")
    )
    created = found["contents"].get("created", {"count": 0, "bytes": 0})
    say(f"items      {created['count']:,} made, {size(created['bytes'] or 0)}")
    if "session" in found["contents"]:
        open_ones = found["contents"]["session"]["count"]
        say(f"           {open_ones:,} uploads can be resumed in the middle")
    for title, album in found["albums"].items():
        say(f"album      {title}: {album['in']:,} of {album['wanted']:,}")
    say(f"requests   {found['requests_today']:,} of {found['requests_a_day']:,} today")
    if last := found.get("last_run"):
        what = f"{last['folder']} to {last['album']}" if last["folder"] else "retry-failed"
        say(f"last run   {last['began']}: {what}: {last['outcome']}")
