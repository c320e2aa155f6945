"""Making items and putting them into albums: one task, one request at a time.

The service wants writes of a user one after the other, at most 50 items each. Works wait here until
a batch is full, until nothing else is on its way to us, or until the oldest has waited long enough.

The order of things: `creating` is on disk before the request is made, its result is on disk before
anybody is told. What a lost reply or a kill leaves behind is resolved as described in `states`: the
request again, with the same upload tokens. Afterwards such items are put into their album by a
request of its own, because the first one may have made them outside of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from batuta_photos.albums import AlbumBook, Target
from batuta_photos.errors import ApiError, Garbled, ItemResult, ItemVerdict, Verdict
from batuta_photos.journal import Journal
from batuta_photos.library import Library, NewItem
from batuta_photos.pacing import WriteRate
from batuta_photos.settings import RunOptions
from batuta_photos.stops import ServiceUnreachable, Stop, StorageFull
from batuta_photos.tally import Tally
from batuta_photos.wire import NoAnswer
from batuta_photos.work import Work

log = logging.getLogger(__name__)
NAMELESS = "the service has it, but named no id to put it into an album by"
LAST_WORDS = 10.0  # seconds that a request under way may take when the run is interrupted
MOST_ROUNDS = 3  # times that bytes are sent for one content in a run
_FULL = re.compile(r"more than \d+ media items|album.*\b(full|limit)\b", re.IGNORECASE)


class Owner(Protocol):
    """The pipeline, as far as the creator needs it."""

    async def finished(self, work: Work) -> None:
        """It is in all of its albums, and the journal knows of the file that it began with."""

    async def failed(self, work: Work, error: str, *, retryable: bool) -> None: ...
    async def send_again(self, work: Work) -> None:
        """Its upload token is not good."""

    def nothing_coming(self) -> bool:
        """Whether no work can arrive here before one leaves."""


class Creator:
    """Takes works whose bytes are up (`create`) or whose items exist (`place`)."""

    def __init__(
        self,
        library: Library,
        journal: Journal,
        albums: AlbumBook,
        rate: WriteRate,
        options: RunOptions,
        tally: Tally,
        owner: Owner,
    ) -> None:
        self._library = library
        self._journal = journal
        self._albums = albums
        self._rate = rate
        self._options = options
        self._tally = tally
        self._owner = owner
        self._new: dict[str, deque[Work]] = {}
        self._made: dict[str, deque[Work]] = {}
        self._batch = {"create": options.batch, "place": options.batch}
        self._lost: set[str] = set()  # albums that were not writable once in this run
        self._asking = False  # a request is under way, or its result not yet on disk
        self._stumbles = 0  # failed requests in a row
        self._wake = asyncio.Event()

    # What others call; no waiting.

    def create(self, work: Work) -> None:
        """Make an item of these bytes."""
        self._append(self._new, work.missing()[0], work)

    def place(self, work: Work) -> None:
        """Put this item into the albums that it is missing in."""
        for album in work.missing():
            if work not in self._made.get(album, ()):
                self._append(self._made, album, work)

    def look(self) -> None:
        """Something has changed that may let a batch go."""
        self._wake.set()

    def _append(self, into: dict[str, deque[Work]], album: str, work: Work) -> None:
        work.since = time.monotonic()
        into.setdefault(album, deque()).append(work)
        self._wake.set()

    # The task

    async def run(self) -> None:
        """Until cancelled. A request under way is given a moment to end, so that little is left
        uncertain."""
        while True:
            ready = self._next()
            if ready is None:
                await self._something()
                continue
            job = asyncio.get_running_loop().create_task(ready())
            try:
                await asyncio.shield(job)
            except asyncio.CancelledError:
                if self._asking:
                    await asyncio.wait([job], timeout=LAST_WORDS)
                job.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await job
                raise

    async def _something(self) -> None:
        self._wake.clear()
        waiting = [queue[0].since for queue in (*self._new.values(), *self._made.values())]
        left = min(waiting) + self._options.linger - time.monotonic() if waiting else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._wake.wait()

    def _next(self) -> Callable[[], Coroutine[None, None, None]] | None:
        """What to do now: full batches first, then what has waited too long, then the rest if
        nothing more is coming."""
        now = time.monotonic()
        best: tuple[int, float, Callable[[], Coroutine[None, None, None]]] | None = None
        last = self._owner.nothing_coming()
        for kind, queues, call in (
            ("create", self._new, self._create),
            ("place", self._made, self._place),
        ):
            for album, queue in queues.items():
                full = len(queue) >= self._options.batch
                old = now - queue[0].since >= self._options.linger
                if not (full or old or last):
                    continue
                rank = (2 if full else 1 if old else 0, len(queue))
                if best is None or rank > best[:2]:
                    works = (kind, album, queue, call)
                    best = (*rank, lambda works=works: self._take(*works))
        return best[2] if best else None

    async def _take(
        self,
        kind: str,
        album: str,
        queue: deque[Work],
        call: Callable[[str, Target, list[Work]], Awaitable[None]],
    ) -> None:
        target = await self._albums.target(album)
        size = min(self._batch[kind], self._albums.room(target), len(queue))
        taken = [queue.popleft() for _ in range(size)]
        # A work may wait for two albums, and one of them may have sent it to the beginning again:
        # the other has to wait for it to come back.
        works = [
            work
            for work in taken
            if not work.over and not work.albums.get(album) and (work.created or kind == "create")
        ]
        queues = self._new if kind == "create" else self._made
        if not queue:
            del queues[album]
        if not works:
            return
        await self._rate.turn()
        self._asking = True
        try:
            await call(album, target, works)
            self._asking = False
        except ApiError as error:
            self._asking = False
            await self._refused(kind, album, target, works, error)
        except (NoAnswer, Garbled) as error:
            self._asking = False
            for work in works:
                work.uncertain = True
            self._put_back(queues, album, works)
            await self._stumble(error)
        else:
            self._stumbles = 0
            self._batch[kind] = self._options.batch

    def _put_back(self, queues: dict[str, deque[Work]], album: str, works: list[Work]) -> None:
        queues.setdefault(album, deque()).extendleft(reversed(works))

    async def _stumble(self, error: Exception) -> None:
        """Wait before the next request; after too many failures in a row give up the run."""
        self._stumbles += 1
        self._tally.retries += 1
        log.info("making items failed (%d in a row): %s", self._stumbles, error)
        waits = self._options.waits
        if self._stumbles >= waits.tries:
            raise ServiceUnreachable(f"the service makes no items: {error}") from error
        slow_down = isinstance(error, ApiError) and error.verdict is Verdict.SLOW_DOWN
        if not slow_down:  # the gate waits for that
            await asyncio.sleep(waits.jittered(waits.after_5xx, self._stumbles))

    async def _refused(
        self, kind: str, album: str, target: Target, works: list[Work], error: ApiError
    ) -> None:
        """A request as a whole was answered with an error."""
        queues = self._new if kind == "create" else self._made
        verdict = error.verdict
        if verdict in (Verdict.RETRY, Verdict.SLOW_DOWN):
            if kind == "create" and verdict is Verdict.RETRY:
                for work in works:  # an error of a server on the way says nothing about the work
                    work.uncertain = True
            self._put_back(queues, album, works)
            await self._stumble(error)
        elif _FULL.search(error.message) and len(works) == 1:
            self._put_back(queues, album, works)
            self._albums.is_full(album)
            self._batch[kind] = self._options.batch
        elif (
            verdict in (Verdict.GONE, Verdict.FORBIDDEN) or "No permission to add" in error.message
        ):
            if album in self._lost:
                raise Stop(f"the album {album!r} cannot be written to: {error}") from error
            self._lost.add(album)
            self._put_back(queues, album, works)
            await self._albums.lost(album)
        elif len(works) > 1:
            # One of them is the reason, or all are too many: halves find out.
            self._batch[kind] = max(1, len(works) // 2)
            self._put_back(queues, album, works)
        elif kind == "place":
            await self._item_gone(works[0], error)
        else:
            await self._owner.failed(works[0], str(error), retryable=False)

    async def _item_gone(self, work: Work, error: ApiError) -> None:
        """An item cannot be put into an album: the service may not have it any more."""
        there = await self._library.existing([work.media_id])
        if there or work.rounds >= MOST_ROUNDS:
            await self._owner.failed(work, str(error), retryable=False)
        else:
            await self._owner.send_again(work)

    # Requests

    async def _create(self, album: str, target: Target, works: list[Work]) -> None:
        await self._journal.creating(work.sha for work in works)
        items = [NewItem(work.token, work.name) for work in works]
        results = await self._library.create_items(target.id, items)
        self._tally.creates += 1
        by_verdict: dict[ItemVerdict, list[tuple[Work, ItemResult]]] = {}
        for work, result in zip(works, results, strict=True):
            by_verdict.setdefault(result.verdict, []).append((work, result))
        await self._record(album, target, by_verdict)
        for work, result in by_verdict.get(ItemVerdict.BYTES_AGAIN, ()):
            if work.rounds >= MOST_ROUNDS:
                await self._owner.failed(work, result.message, retryable=True)
            else:
                await self._owner.send_again(work)
        for work, result in by_verdict.get(ItemVerdict.REFUSED, ()):
            await self._owner.failed(work, result.message, retryable=False)
        if full := by_verdict.get(ItemVerdict.STORAGE_FULL):
            raise StorageFull(full[0][1].message)

    async def _record(
        self,
        album: str,
        target: Target,
        by_verdict: dict[ItemVerdict, list[tuple[Work, ItemResult]]],
    ) -> None:
        """Write down which items there are now, and let the others try again."""
        made: list[tuple[bytes, str | None]] = []
        placed: list[Work] = []
        rest: list[Work] = []
        for verdict in (ItemVerdict.CREATED, ItemVerdict.EXISTS, ItemVerdict.EXISTS_SOMEWHERE):
            for work, result in by_verdict.get(verdict, ()):
                work.media_id = result.media_id
                work.created = True
                made.append((work.sha, result.media_id or None))
                sure = verdict is ItemVerdict.CREATED and not work.uncertain
                # Without an id there is nothing that could be put anywhere.
                (placed if sure or not result.media_id else rest).append(work)
        again = by_verdict.get(ItemVerdict.RETRY, ())
        await self._journal.created(made, [(work.sha, album, target.id) for work in placed])
        target.items += len(placed)
        self._tally.contents += len(made)
        await self._settle(album, placed)
        for work in rest:
            self.place(work)
        for work, result in again:
            await self._again(work, result)

    async def _again(self, work: Work, result: ItemResult) -> None:
        """The service stumbled over this one, or said nothing certain: it may have made it, so the
        journal goes on saying `creating`."""
        work.uncertain = True
        work.tries += 1
        self._tally.retries += 1
        waits = self._options.waits
        if work.tries >= waits.tries:
            await self._owner.failed(work, result.message, retryable=True)
        else:
            wait = waits.jittered(waits.after_5xx, work.tries)
            asyncio.get_running_loop().call_later(wait, self.create, work)

    async def _place(self, album: str, target: Target, works: list[Work]) -> None:
        nameless = [work for work in works if not work.media_id]
        for work in nameless:
            await self._owner.failed(work, NAMELESS, retryable=False)
        works = [work for work in works if work.media_id]
        if not works:
            return
        await self._library.add_to_album(target.id, [work.media_id for work in works])
        await self._journal.placed((work.sha, album, target.id) for work in works)
        target.items += len(works)
        await self._settle(album, works)

    async def _settle(self, album: str, works: list[Work]) -> None:
        """These are in this album; those that are in all of theirs are finished."""
        for work in works:
            work.albums[album] = True
        for work in works:
            if not work.missing():
                await self._owner.finished(work)
            elif work.media_id:
                self.place(work)
            else:
                await self._owner.failed(work, NAMELESS, retryable=False)
