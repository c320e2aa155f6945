"""Which files there are: a folder's tree, in batches, so that its size never matters.

Directory links are not followed (they may lead in circles), links to files are. Patterns look at
the name, or, with a slash in them, at the path below the folder; case does not matter.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass

from batuta_photos.files import Stamp, shown
from batuta_photos.settings import Selection

BATCH = 256


@dataclass(frozen=True)
class Found:
    """A file that is wanted in an album.

    `stamp` is None where the file could not even be looked at; the error then says why.
    """

    path: str
    album: str
    stamp: Stamp | None
    error: str = ""


def _matches(patterns: tuple[str, ...], name: str, below: str) -> bool:
    for pattern in patterns:
        subject = below if "/" in pattern else name
        if fnmatch.fnmatchcase(subject.lower(), pattern.lower().removeprefix("/")):
            return True
    return False


def selected(selection: Selection, below: str) -> bool:
    """Whether a file is taken, by its path below the folder."""
    *parents, name = below.split("/")
    if not selection.hidden and any(part.startswith(".") for part in (*parents, name)):
        return False
    if parents and not selection.recursive:
        return False
    text = shown(below)
    if _matches(selection.exclude, shown(name), text):
        return False
    return not selection.include or _matches(selection.include, shown(name), text)


@dataclass
class Listing:
    """One walk through a folder.

    Attributes:
        unreadable: folders below that could not be listed, with the reason.
        left_out: files that the selection does not take.
    """

    folder: str
    selection: Selection

    def __post_init__(self) -> None:
        self.unreadable: list[tuple[str, str]] = []
        self.left_out = 0

    def batches(self) -> Iterator[list[tuple[str, str, Stamp | None, str]]]:
        """Lists of (path, path below the folder, stamp, error); blocking, for a thread."""
        batch: list[tuple[str, str, Stamp | None, str]] = []
        waiting = [self.folder]
        while waiting:
            directory = waiting.pop()
            try:
                entries = os.scandir(directory)
            except OSError as error:
                self.unreadable.append((directory, error.strerror or str(error)))
                continue
            with entries:
                try:
                    for entry in entries:
                        below = os.path.relpath(entry.path, self.folder)
                        if entry.is_dir(follow_symlinks=False):
                            if self.selection.recursive and (
                                self.selection.hidden or not entry.name.startswith(".")
                            ):
                                waiting.append(entry.path)
                            continue
                        if not selected(self.selection, below):
                            self.left_out += 1
                            continue
                        if (item := self._look(entry, below)) is not None:
                            batch.append(item)
                        if len(batch) >= BATCH:
                            yield batch
                            batch = []
                except OSError as error:  # in the middle of it
                    self.unreadable.append((directory, error.strerror or str(error)))
        if batch:
            yield batch

    def _look(
        self, entry: os.DirEntry[str], below: str
    ) -> tuple[str, str, Stamp | None, str] | None:
        try:
            if not entry.is_file():
                # A link to a folder, a broken link, a socket: only what is named like a picture
                # is worth a word.
                if entry.is_symlink() and not os.path.exists(entry.path):
                    return (entry.path, below, None, "a link to nothing")
                return None
            return (entry.path, below, Stamp.of(entry.stat()), "")
        except OSError as error:
            return (entry.path, below, None, f"cannot be looked at: {error.strerror}")
