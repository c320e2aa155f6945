"""Where the files of a run come from: a folder, the failed ones of earlier runs, a watch."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from batuta_photos.album_template import AlbumTemplate
from batuta_photos.files import Disk, Stamp
from batuta_photos.journal import Journal
from batuta_photos.rows import JobRow
from batuta_photos.scan import Found, Listing, selected
from batuta_photos.settings import Selection
from batuta_photos.states import Job
from batuta_photos.stops import Stop, UsageError

log = logging.getLogger(__name__)
PAGE = 256
NO_ALBUM = ""  # stands for the album of a file whose album cannot be told; no title is empty


class Titles:
    """Gives each file its album: one for all, or by a template. Blocking, for a thread."""

    def __init__(self, album: str, template: AlbumTemplate | None) -> None:
        self._album = album
        self._template = template

    def found(self, path: str, below: str, stamp: Stamp | None, error: str) -> Found:
        if self._template is None:
            return Found(path, self._album, stamp, error)
        try:
            return Found(path, self._template.title(path, below), stamp, error)
        except (UsageError, OSError, ValueError, OverflowError) as trouble:
            # Its album cannot be told (a date in the year 30,000 is a ValueError); it must appear
            # among the failed ones all the same.
            return Found(path, NO_ALBUM, None, error or str(trouble))


async def from_folder(
    folder: str, selection: Selection, titles: Titles, disk: Disk, unreadable: list[tuple[str, str]]
) -> AsyncIterator[Sequence[Found]]:
    """All files of a folder.

    Args:
        unreadable: is given the folders below that could not be listed, and why.

    Raises:
        UsageError: the folder itself cannot be listed.
    """
    listing = Listing(folder, selection)
    batches = listing.batches()

    def following() -> list[Found] | None:
        batch = next(batches, None)
        return None if batch is None else [titles.found(*item) for item in batch]

    while (batch := await disk.run(following)) is not None:
        yield batch
    for place, why in listing.unreadable:
        if place == folder:
            raise UsageError(f"cannot read {folder}: {why}")
        unreadable.append((place, why))


def _looked_at(path: str, album: str) -> Found:
    try:
        return Found(path, album, Stamp.of(os.stat(path)))
    except FileNotFoundError:
        return Found(path, album, Stamp(-1, 0, 0))  # who opens it will see that it has vanished
    except OSError as error:
        return Found(path, album, None, f"cannot be looked at: {error.strerror}")


async def failed_before(journal: Journal, disk: Disk, run: int) -> AsyncIterator[Sequence[Found]]:
    """The files that failed in runs before `run` and have not come up since.

    Those that such a run had begun with when it ended, or this one when the quota did, are theirs,
    too: such a run has no folder.
    """
    last: tuple[str, str] | None = None
    where = (
        "(state = ? AND run < ?) OR "
        "(state = ? AND run <= ? AND run IN (SELECT id FROM run WHERE folder = x''))"
    )
    parameters = (Job.FAILED, run, Job.PENDING, run)
    while page := await journal.page(where, parameters, last, PAGE):
        last = (page[-1].path, page[-1].album)

        def look(rows: Sequence[JobRow]) -> list[Found]:
            return [
                _looked_at(row.path, row.album)
                if row.album
                else Found(row.path, NO_ALBUM, None, row.error or "")
                for row in rows
            ]

        yield await disk.run(look, page)


SETTLED = 2.0  # seconds without a change after which a file counts as written


class FolderWatch:
    """New and changed files of a folder, as they come. `waiting` while there are none.

    Must be begun before the folder is listed, so that nothing falls in between.
    """

    def __init__(self, folder: str, selection: Selection, titles: Titles, disk: Disk) -> None:
        self._folder = folder
        self._selection = selection
        self._titles = titles
        self._disk = disk
        self._changed: dict[str, float] = {}  # path: when it last changed
        self._news = asyncio.Event()
        self._failure: Stop | None = None
        self._missed = False  # changes since the last watch ended
        self.waiting = False
        self.on_wait: Callable[[], None] = lambda: None
        self.ready = asyncio.Event()

    async def observe(self) -> None:
        """Note what changes; until cancelled."""
        failure: Exception | None = None
        while failure is None:
            try:
                await self._observe()
            except* RuntimeError as errors:
                # One name that is no UTF-8 ends it: watch anew, and look at everything then.
                log.info("the watch has ended: %s", errors.exceptions[0])
                self._missed = self.ready.is_set()
                failure = None if self._missed else errors.exceptions[0]
            except* Exception as errors:  # such as no more watches for this user
                failure = errors.exceptions[0]
            await asyncio.sleep(0 if failure else SETTLED)
        self._failure = Stop(f"the folder cannot be watched: {failure}")
        self.ready.set()
        self._news.set()

    async def _observe(self) -> None:
        from watchfiles import Change, awatch

        loop = asyncio.get_running_loop()
        changes = awatch(
            self._folder,
            recursive=self._selection.recursive,
            watch_filter=None,
            step=100,
            rust_timeout=500,
            yield_on_timeout=True,  # the first one says that the watch stands
            ignore_permission_denied=True,
        )
        async for group in changes:
            self.ready.set()
            if self._missed:
                self._missed = False
                self._changed[self._folder] = loop.time()
                self._news.set()
            for change, path in group:
                if change is Change.deleted:
                    self._changed.pop(path, None)
                else:
                    self._changed[path] = loop.time()
                    self._news.set()

    async def batches(self) -> AsyncIterator[Sequence[Found]]:
        """Files that were left alone for a moment; without end."""
        loop = asyncio.get_running_loop()
        while True:
            if self._failure is not None:
                raise self._failure
            now = loop.time()
            settled = [path for path, when in self._changed.items() if now - when >= SETTLED]
            for path in settled:
                del self._changed[path]
            found = await self._disk.run(self._look, settled) if settled else []
            for start in range(0, len(found), PAGE):
                yield found[start : start + PAGE]
            self.waiting = True
            self.on_wait()
            if self._changed:
                await asyncio.sleep(SETTLED / 4)
            else:
                self._news.clear()
                await self._news.wait()
            self.waiting = False

    def _look(self, paths: Sequence[str]) -> list[Found]:
        found: list[Found] = []
        for path in paths:
            if os.path.isdir(path) and not os.path.islink(path):
                # A folder that was moved here tells nothing of what is in it. The patterns are for
                # the path below the watched folder, so they come after the listing.
                below = os.path.relpath(path, self._folder)
                every = replace(self._selection, include=(), exclude=())
                for batch in Listing(path, every).batches():
                    for inner, name, stamp, error in batch:
                        name = os.path.normpath(f"{below}/{name}")
                        if selected(self._selection, name):
                            found.append(self._titles.found(inner, name, stamp, error))
                continue
            below = os.path.relpath(path, self._folder)
            if not os.path.isfile(path) or not selected(self._selection, below):
                continue
            looked = _looked_at(path, "")
            found.append(self._titles.found(path, below, looked.stamp, looked.error))
        return found
