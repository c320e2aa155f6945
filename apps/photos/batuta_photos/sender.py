"""The stage that sends bytes: many uploads at once, as many as the service takes well.

Each upload is tried again by itself. What ends a work here is handed to the pipeline: the token,
the failure, or the news that the file is not what it was.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Protocol

from batuta_photos.errors import ApiError, Garbled, Verdict
from batuta_photos.files import FileTrouble
from batuta_photos.journal import Journal
from batuta_photos.pacing import AdaptiveLimit
from batuta_photos.settings import RunOptions
from batuta_photos.states import Content
from batuta_photos.stops import ServiceUnreachable
from batuta_photos.tally import Tally
from batuta_photos.uploads import SessionLost, Uploader
from batuta_photos.wire import NoAnswer, Wire
from batuta_photos.work import Work

log = logging.getLogger(__name__)
FIRST = 8  # uploads at once to begin with; many of them are short
LARGE_AT_ONCE = 4  # sessions: each fills the line by itself, and holds more memory


class Owner(Protocol):
    """The pipeline, as far as the sender needs it."""

    async def uploaded(self, work: Work) -> None: ...
    async def failed(self, work: Work, error: str, *, retryable: bool) -> None: ...
    async def file_lost(self, work: Work, trouble: FileTrouble) -> None: ...
    def moved(self) -> None:
        """A work has left the sender."""


class Sender:
    """Takes works without a limit of its own: the pipeline bounds how many there are."""

    def __init__(
        self,
        uploader: Uploader,
        wire: Wire,
        journal: Journal,
        options: RunOptions,
        tally: Tally,
        owner: Owner,
    ) -> None:
        first = options.concurrency or min(FIRST, options.most_uploads)
        ceiling = options.concurrency or options.most_uploads
        self.limit = AdaptiveLimit(first, ceiling)
        self._tasks = ceiling
        self.sending = 0
        self._uploader = uploader
        self._wire = wire
        self._journal = journal
        self._options = options
        self._tally = tally
        self._owner = owner
        # Two queues, so that a folder of videos does not keep the pictures waiting.
        self._small: asyncio.Queue[Work] = asyncio.Queue()
        self._large: asyncio.Queue[Work] = asyncio.Queue()

    def send(self, work: Work) -> None:
        """Upload its bytes when there is a place."""
        self.sending += 1
        self._tally.wanted_bytes += work.stamp.size - work.shown
        large = work.stamp.size >= self._options.resumable_from
        (self._large if large else self._small).put_nowait(work)

    def runners(self) -> list[Coroutine[None, None, None]]:
        """What is to run as tasks; until cancelled."""
        large = min(LARGE_AT_ONCE, self._tasks)
        return [
            *(self._run(self._small, False) for _ in range(self._tasks)),
            *(self._run(self._large, True) for _ in range(large)),
        ]

    async def _run(self, queue: asyncio.Queue[Work], large: bool) -> None:
        while True:
            work = await queue.get()
            try:
                await self._send(work, large)
            finally:
                self.sending -= 1
                self._owner.moved()

    async def _send(self, work: Work, large: bool) -> None:
        try:
            token = await self._persist(work, large)
        except FileTrouble as trouble:
            self._at(work, 0)
            self._tally.wanted_bytes -= work.stamp.size
            await self._owner.file_lost(work, trouble)
            return
        if token:
            work.token = token
            work.rounds += 1
            self._tally.uploads += 1
            await self._journal.uploaded(work.sha, token)
            await self._owner.uploaded(work)

    def _at(self, work: Work, position: int) -> None:
        self._tally.sent_bytes += position - work.shown
        work.shown = position

    async def _persist(self, work: Work, large: bool) -> str:
        """The upload token; empty if the work has failed."""
        began = time.monotonic()
        attempt = 0
        best = 0
        while True:
            attempt += 1
            try:
                return await self._try(work, large)
            except ApiError as error:
                trouble: Exception = error
                if error.verdict is Verdict.SLOW_DOWN:
                    if attempt < self._options.waits.tries:
                        continue  # the gate waits
                elif error.verdict is not Verdict.RETRY:
                    # What is not allowed, or not there, now says nothing about the file.
                    refused = error.verdict is Verdict.REFUSED
                    await self._owner.failed(work, str(error), retryable=not refused)
                    return ""
            except (NoAnswer, Garbled, SessionLost) as error:
                trouble = error
            self._tally.retries += 1
            if work.shown > best:  # a long upload may stumble often, as long as it moves
                best, attempt = work.shown, 1
            if attempt >= self._options.waits.tries:
                break
            await asyncio.sleep(
                self._options.waits.jittered(self._options.waits.after_5xx, attempt)
            )
        if isinstance(trouble, ApiError) and trouble.verdict is Verdict.SLOW_DOWN:
            raise ServiceUnreachable(f"the service takes no more for now: {trouble}")
        if isinstance(trouble, NoAnswer) and self._wire.last_success < began:
            # Nobody was answered all the while: nothing is wrong with this file.
            raise ServiceUnreachable(f"no answer from the service: {trouble}")
        await self._owner.failed(work, str(trouble), retryable=True)
        return ""

    async def _try(self, work: Work, large: bool) -> str:
        entered = await self.limit.enter()
        well: bool | None = None
        try:
            row = await self._journal.content(work.sha)
            if large or (row.state is Content.SESSION and row.session):
                token = await self._uploader.resumable(
                    work.path, work.stamp, row, lambda position: self._at(work, position)
                )
            else:
                token = await self._uploader.raw(
                    work.path,
                    work.stamp,
                    work.sha,
                    work.mime,
                    lambda position: self._at(work, position),
                )
            well = True
            return token
        except ApiError as error:
            if error.verdict is Verdict.SLOW_DOWN or error.status == 503:
                well = False
            raise
        except NoAnswer:
            well = False
            raise
        finally:
            self.limit.leave(entered, well=well)
