"""`--delete-after-verified`: removes files whose pictures the service has.

A file is removed only if all of this holds at that moment: its content has a media item whose id
the service gave us; the service, asked for that id now, has it; the item was put into every album
that the file was wanted in; the file is no link, and its bytes, read again now, are the ones that
were uploaded.
"""

from __future__ import annotations

import logging
import os
import stat

from batuta_photos.files import Disk, FileTrouble, Stamp
from batuta_photos.journal import Journal
from batuta_photos.library import BATCH, Library
from batuta_photos.tally import Tally

log = logging.getLogger(__name__)

_CANDIDATES = """
SELECT job.path, job.album, job.sha, job.size, job.mtime_ns, job.inode, content.media_id
FROM job JOIN content ON content.sha = job.sha
WHERE job.run = ? AND job.state = 'done' AND NOT job.deleted
  AND content.state = 'created' AND content.media_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM job AS other
                  WHERE other.path = job.path AND other.state NOT IN ('done', 'skipped'))
  AND EXISTS (SELECT 1 FROM placement
              WHERE placement.sha = job.sha AND placement.album = job.album
                AND placement.state = 'placed')
  AND (job.path, job.album) > (?, ?)
ORDER BY job.path, job.album LIMIT ?
"""


async def delete_verified(
    journal: Journal, library: Library, disk: Disk, run: int, tally: Tally
) -> None:
    """Remove the files of a run that are verified to be up."""
    after: tuple[bytes, str] = (b"", "")
    while rows := await journal.query(_CANDIDATES, (run, *after, BATCH)):
        after = (rows[-1][0], rows[-1][1])
        there = await library.existing({row[6] for row in rows})
        for raw_path, album, sha, size, mtime_ns, inode, media_id in rows:
            path = os.fsdecode(raw_path)
            if media_id not in there:
                log.warning("not deleted, because the service has no item %s: %s", media_id, path)
                continue
            stamp = Stamp(size, mtime_ns, inode)
            try:
                await delete_if_same(disk, path, stamp, sha)
            except (FileTrouble, OSError) as trouble:
                log.warning("not deleted: %s: %s", path, trouble)
                continue
            await journal.deleted(path, sha)
            tally.deleted += 1
            if tally.wants_events:
                tally.on_event({"event": "deleted", "path": path, "album": album, "id": media_id})


async def delete_if_same(disk: Disk, path: str, stamp: Stamp, sha: bytes) -> None:
    """Remove a file whose bytes are still these.

    Raises:
        FileTrouble: it is a link, or not the same any more.
        OSError: it cannot be removed.
    """
    whole = await disk.fingerprint(path)
    if whole.sha != sha:
        raise FileTrouble("its content is not what was uploaded")
    await disk.run(_unlink, path, whole.stamp)


def _unlink(path: str, expected: Stamp) -> None:
    found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise FileTrouble("it is a link")
    if Stamp.of(found) != expected:
        raise FileTrouble("it has just changed")
    os.unlink(path)
