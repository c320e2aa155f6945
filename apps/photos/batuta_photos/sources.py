"""Where the files of a run come from: a folder, the failed ones of earlier runs, a watch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence

from batuta_photos.album_template import AlbumTemplate
from batuta_photos.files import Disk, Stamp
from batuta_photos.journal import Journal
from batuta_photos.scan import Found, Listing, selected
from batuta_photos.settings import Selection
from batuta_photos.states import Job
from batuta_photos.stops import Stop, UsageError

PAGE = 256


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
        except (UsageError, OSError) as trouble:
            # Its album cannot be told; it must appear among the failed ones all the same.
            return Found(path, self._album or "(no album)", None, error or str(trouble))


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
    """The files that failed in runs before `run` and have not come up since."""
    last: tuple[str, str] | None = None
    where = "state = ? AND run < ?"
    while page := await journal.page(where, (Job.FAILED, run), last, PAGE):
        last = (page[-1].path, page[-1].album)

        def look(rows: Sequence[tuple[str, str]]) -> list[Found]:
            return [_looked_at(path, album) for path, album in rows]

        yield await disk.run(look, [(row.path, row.album) for row in page])


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
        self.waiting = False
        self.on_wait: Callable[[], None] = lambda: None
        self.ready = asyncio.Event()

    async def observe(self) -> None:
        """Note what changes; until cancelled."""
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
        try:
            async for group in changes:
                self.ready.set()
                for change, path in group:
                    if change is Change.deleted:
                        self._changed.pop(path, None)
                    else:
                        self._changed[path] = loop.time()
                        self._news.set()
        except (OSError, RuntimeError) as error:  # such as no more watches for this user
            self._failure = Stop(f"the folder cannot be watched: {error}")
            self.ready.set()
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
                # A folder that was moved here tells nothing of what is in it.
                below = os.path.relpath(path, self._folder)
                for batch in Listing(path, self._selection).batches():
                    for inner, name, stamp, error in batch:
                        name = f"{below}/{name}"
                        if selected(self._selection, name):
                            found.append(self._titles.found(inner, name, stamp, error))
                continue
            below = os.path.relpath(path, self._folder)
            if not os.path.isfile(path) or not selected(self._selection, below):
                continue
            looked = _looked_at(path, "")
            found.append(self._titles.found(path, below, looked.stamp, looked.error))
        return found
