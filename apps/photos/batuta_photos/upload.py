"""A whole run: `upload` and `retry-failed` from the journal's lock to the last count."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from batuta_photos.credentials import TokenSource, open_store
from batuta_photos.database import JournalLock, copy_journal
from batuta_photos.errors import ApiError
from batuta_photos.files import Disk
from batuta_photos.journal import Journal
from batuta_photos.library import Library
from batuta_photos.pipeline import Pipeline
from batuta_photos.quota import Usage, pacific_day
from batuta_photos.redact import redact
from batuta_photos.scan import Found
from batuta_photos.settings import Account, RunOptions, Selection, Service
from batuta_photos.sources import FolderWatch, Titles, failed_before, from_folder
from batuta_photos.states import Job
from batuta_photos.stops import Exit, QuotaReached, ServiceUnreachable, Stop
from batuta_photos.tally import Tally
from batuta_photos.verified_delete import delete_verified
from batuta_photos.wire import Wire

log = logging.getLogger(__name__)


@dataclass
class Task:
    """What a run is to do.

    `folder` is None for `retry-failed`, which takes the failed files of earlier runs.
    """

    account: Account
    service: Service
    options: RunOptions
    folder: str | None = None
    selection: Selection = field(default_factory=Selection)
    titles: Titles | None = None
    label: str = ""
    watch: bool = False


@dataclass
class Outcome:
    """What became of a run, by the journal.

    Attributes:
        counts: files by state, those of earlier runs that were met again included.
        unreadable: folders that could not be listed, with the reason.
        stop: why the run ended before its work was done, if it did.
        interrupted: it was cancelled, as by Ctrl-C.
    """

    run: int = 0
    counts: dict[Job, int] = field(default_factory=dict)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    stop: Stop | None = None
    interrupted: bool = False
    most_at_once: int = 0
    requests: int = 0

    @property
    def exit_code(self) -> Exit:
        if self.interrupted:
            return Exit.INTERRUPTED
        if self.stop is not None:
            return self.stop.code
        failed = self.counts.get(Job.FAILED, 0) + self.counts.get(Job.PENDING, 0)
        return Exit.SOME_FAILED if failed or self.unreadable else Exit.ALL_UP


class Run:
    """One run. `execute` may be cancelled at any time: the journal then knows how far it came."""

    def __init__(self, task: Task, tally: Tally) -> None:
        self.task = task
        self.tally = tally
        self.usage = Usage()
        self.pipeline: Pipeline | None = None
        self.outcome = Outcome()

    async def execute(self) -> Outcome:
        """Carry it out; a `Stop` becomes part of the outcome.

        Raises:
            UsageError: another process works with the account.
            JournalFailed: the journal cannot be opened.
        """
        task = self.task
        task.account.make()
        async with AsyncExitStack() as stack:
            stack.enter_context(JournalLock(task.account.lock_file))
            journal = await self._open_journal(stack)
            before = await journal.requests_of(pacific_day().isoformat())
            self.usage = Usage(before, task.options.daily_requests)
            journal.each_commit = self.usage.unsaved
            run = await journal.begin_run(task.folder or "", task.label)
            self.outcome.run = run
            end = "interrupted"
            try:
                await self._work(stack, journal, run)
                end = "finished"
            except Stop as stop:
                self.outcome.stop = stop
                end = redact(str(stop))
            except ApiError as error:  # of a request that concerns no single file
                self.outcome.stop = Stop(str(error))
                end = redact(str(error))
            except asyncio.CancelledError:
                self.outcome.interrupted = True
                raise
            finally:
                self.outcome.counts = await journal.counts(run)
                if self.pipeline is not None:
                    self.outcome.most_at_once = self.pipeline.sender.limit.highest
                self.outcome.requests = self.usage.of_run
                await journal.end_run(run, end)
        return self.outcome

    async def _open_journal(self, stack: AsyncExitStack) -> Journal:
        path = self.task.account.journal_file
        if self.task.options.dry_run:
            # A dry run writes to a copy, so that it counts duplicates exactly and changes nothing.
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="batuta-photos-"))
            path = await asyncio.to_thread(copy_journal, path, Path(place))
        return await stack.enter_async_context(Journal(path))

    async def _work(self, stack: AsyncExitStack, journal: Journal, run: int) -> None:
        task = self.task
        disk = Disk()
        stack.callback(disk.close)
        tokens = TokenSource(open_store(task.account), task.service.ca_file)
        options = task.options
        wire = Wire(task.service, tokens, self.usage, options.waits, options.stall)
        wire.on_wait = self.tally.wait
        await stack.enter_async_context(wire)
        if not options.dry_run:
            await wire.signed_in()
        while True:
            try:
                await self._pass(journal, disk, wire, run)
                if options.delete_after_verified and not options.dry_run:
                    await delete_verified(journal, Library(wire), disk, run, self.tally)
                break
            except QuotaReached as quota:
                if not options.wait_for_quota:
                    raise
                await self._wait_for_quota(wire, quota)
                self.tally.begin_again()

    async def _pass(self, journal: Journal, disk: Disk, wire: Wire, run: int) -> None:
        """Everything once; what was done before costs a look."""
        task = self.task
        pipeline = self.pipeline = Pipeline(
            journal, disk, wire, task.options, self.tally, run, retry_failed=task.folder is None
        )
        if task.folder is None or task.titles is None:
            await pipeline.run(failed_before(journal, disk, run))
            return
        self.outcome.unreadable.clear()
        folder = from_folder(
            task.folder, task.selection, task.titles, disk, self.outcome.unreadable
        )
        if not task.watch:
            await pipeline.run(folder)
            return
        watch = FolderWatch(task.folder, task.selection, task.titles, disk)
        watch.on_wait = pipeline.moved
        observer = asyncio.get_running_loop().create_task(watch.observe())
        try:
            ready = asyncio.get_running_loop().create_task(watch.ready.wait())
            await asyncio.wait([ready, observer], return_when=asyncio.FIRST_COMPLETED)
            ready.cancel()
            if observer.done():
                observer.result()
            await pipeline.run(_both(folder, watch), waits=lambda: watch.waiting)
        finally:
            observer.cancel()
            await asyncio.wait([observer])

    async def _wait_for_quota(self, wire: Wire, quota: QuotaReached) -> None:
        """Sleep until there is a quota again. Asking costs a request that is not counted while
        there is none, so it is asked before the day ends as well: our clock may be wrong."""
        check = self.task.options.quota_check
        while True:
            left = (quota.until - datetime.now(UTC)).total_seconds()
            wait = min(check, left + 5) if left > 0 else check
            self.tally.wait(wait if left <= 0 else left, f"the day's quota is used up: {quota}")
            log.warning("the day's quota is used up, waiting until %s", quota.until)
            await asyncio.sleep(wait)
            try:
                async for _ in Library(wire).albums():
                    break
                return
            except QuotaReached as again:
                quota = again
            except (ApiError, ServiceUnreachable) as error:
                log.info("cannot tell whether there is a quota: %s", error)


async def _both(
    folder: AsyncIterator[Sequence[Found]], watch: FolderWatch
) -> AsyncIterator[Sequence[Found]]:
    async for batch in folder:
        yield batch
    async for batch in watch.batches():
        yield batch


def real_folder(path: str) -> str:
    """The folder by the one name under which the journal knows it."""
    return os.path.realpath(path)
