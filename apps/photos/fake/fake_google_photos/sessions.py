"""The headers of uploads, and the session of a resumable one.

A resumable session keeps whole granules only. Where a connection ends in the middle of a chunk,
the granules that arrived stay, the rest is dropped, and `query` says from where to go on. Two
readers of one session cannot be: a later chunk ends the connection of an earlier one, as when a
client was killed and its old connection is still half open.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from .errors import ApiError, invalid
from .storage import Sink

COMMAND = "X-Goog-Upload-Command"
PROTOCOL = "X-Goog-Upload-Protocol"
CONTENT_TYPE = "X-Goog-Upload-Content-Type"
FILE_NAME = "X-Goog-Upload-File-Name"
RAW_SIZE = "X-Goog-Upload-Raw-Size"
OFFSET = "X-Goog-Upload-Offset"
STATUS = "X-Goog-Upload-Status"
SIZE_RECEIVED = "X-Goog-Upload-Size-Received"
GRANULARITY = "X-Goog-Upload-Chunk-Granularity"
URL = "X-Goog-Upload-URL"


@dataclass
class Session:
    """A resumable upload.

    `status` is active, final or cancelled. `reader` counts the chunks, so that one can see that it
    is not the latest any more; `transport` is the connection of the latest while it arrives.
    """

    id: str
    client_id: str
    raw_size: int
    file_name: str
    sink: Sink
    started: float
    status: str = "active"
    token: str = ""
    reader: int = 0
    transport: asyncio.Transport | None = None

    @property
    def received(self) -> int:
        """Bytes that are kept."""
        return self.sink.size

    def headers(self) -> dict[str, str]:
        """What every answer says of the session."""
        return {STATUS: self.status, SIZE_RECEIVED: str(self.received)}

    def take_over(self, transport: asyncio.Transport | None) -> int:
        """Ends the chunk that is arriving, if there is one, for a new one; gives its number."""
        if self.transport is not None:
            self.transport.abort()
        self.transport = transport
        self.reader += 1
        return self.reader

    def leave(self, reader: int) -> None:
        """Says that this chunk does not arrive any more."""
        if self.reader == reader:
            self.transport = None


def commands(request: web.Request) -> set[str]:
    """The words of the command header: `upload, finalize` with or without the space."""
    words = request.headers.get(COMMAND, "").lower().split(",")
    return {word.strip() for word in words} - {""}


def number(text: str | None, header: str) -> int:
    """The number that a header says.

    Raises:
        ApiError: the header is missing, or is no number.
    """
    if text is None or not text.isascii() or not text.isdigit():
        raise invalid(f"Invalid or missing {header} header.", bare=True)
    return int(text)


def refused(session: Session, message: str) -> ApiError:
    """400, with the state that the session stays in."""
    return ApiError("INVALID_ARGUMENT", message, headers=session.headers(), bare=True)
