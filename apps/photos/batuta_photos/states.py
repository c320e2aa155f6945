"""The states of what the journal holds, and every change between them that may happen.

A `Content` is a sequence of bytes, known by its SHA-256: it goes up once, however many files have
it.

    NEW ──> UPLOADED ──> CREATING ──> CREATED
     │ ^       │            │            │
     │ │       │            │            │  the service said no, or no such thing any more
     v │       v            v            v
   SESSION    NEW      NEW, FAILED      NEW

- NEW: none of it counts as up.
- SESSION: a resumable upload is open; the service knows how much it has.
- UPLOADED: all bytes are up; the upload token is held, good for a day.
- CREATING: written down before the request that makes the media item. Found at the start of a run,
  it means: the request may or may not have been carried out. It stays when the service's answer
  leaves that open.
- CREATED: the service named the media item by its id.
- FAILED: given up; the error says why.

How CREATING is resolved: the request is made again with the same upload token, and, where the
service refuses that, the bytes go up again. The service knows identical bytes and answers with the
item that it has, so there is one item in each case. It is never resolved by looking for a file
name: two pictures may share one, and the wrong item taken for ours would be a picture lost.

A `Placement` is a content in an album, a `Job` one file that somebody wants in one album.
"""

from __future__ import annotations

from enum import StrEnum


class Content(StrEnum):
    NEW = "new"
    SESSION = "session"
    UPLOADED = "uploaded"
    CREATING = "creating"
    CREATED = "created"
    FAILED = "failed"


class Placement(StrEnum):
    WANTED = "wanted"
    PLACED = "placed"


class Job(StrEnum):
    PENDING = "pending"
    DONE = "done"
    SKIPPED = "skipped"  # neither a picture nor a video, nor named like one
    FAILED = "failed"
    VANISHED = "vanished"  # not there any more when its turn came


# New state: the states it may follow. The journal refuses anything else.
CONTENT_BEFORE: dict[Content, frozenset[Content]] = {
    Content.NEW: frozenset(Content),
    Content.SESSION: frozenset({Content.NEW, Content.SESSION}),
    Content.UPLOADED: frozenset({Content.NEW, Content.SESSION}),
    Content.CREATING: frozenset({Content.UPLOADED, Content.CREATING}),
    Content.CREATED: frozenset({Content.CREATING}),
    Content.FAILED: frozenset(Content) - {Content.CREATED},
}
