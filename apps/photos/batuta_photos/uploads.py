"""Bytes to upload tokens: raw for small files, resumable sessions for large ones.

Both send the file from disk in blocks and make sure that what went up is what was hashed: a file
that changes under way ends in `Changed`, and its token is never used.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from functools import partial

from batuta_photos.errors import ApiError, Garbled, Verdict
from batuta_photos.files import BLOCK, Changed, Disk, OpenFile, Stamp
from batuta_photos.journal import Journal
from batuta_photos.redact import remember
from batuta_photos.rows import ContentRow
from batuta_photos.settings import CHUNK, LOOPBACK
from batuta_photos.states import Content
from batuta_photos.wire import Body, NoAnswer, Reply, Wire

log = logging.getLogger(__name__)
At = Callable[[int], None]  # is told how many bytes of this content have gone out


def _token(reply: Reply) -> str:
    token = reply.text.strip()
    # A token is one word; anything else is a page from something in between.
    if not token or token.startswith(("<", "{")) or any(blank in token for blank in " \n\t"):
        raise Garbled("an answer that is no upload token")
    remember(token)
    return token


async def _blocks(file: OpenFile, offset: int, end: int, at: At) -> AsyncIterator[bytes]:
    block = CHUNK if end - offset < 8 * BLOCK else BLOCK
    while offset < end:
        part = await file.read(offset, min(block, end - offset))
        yield part
        offset += len(part)
        at(offset)


class SessionLost(Exception):
    """The service does not take a chunk as it was sent; trying again begins with a question."""


class Uploader:
    """Uploads contents.

    Args:
        wire: the connections.
        journal: sessions are written down here.
        disk: reads the files.
        chunk: bytes of one request of a session; rounded to the service's unit.
    """

    def __init__(self, wire: Wire, journal: Journal, disk: Disk, chunk: int) -> None:
        self._wire = wire
        self._journal = journal
        self._disk = disk
        self._chunk = chunk

    async def raw(self, path: str, stamp: Stamp, sha: bytes, mime: str, at: At) -> str:
        """One request with all bytes; returns the upload token.

        Raises:
            FileTrouble: the file cannot be read or has changed.
            ApiError, NoAnswer, SessionLost, Garbled: it failed; trying again is harmless.
        """
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Goog-Upload-Content-Type": mime,
            "X-Goog-Upload-Protocol": "raw",
        }
        file = await self._disk.open(path, stamp)
        try:
            # What is read here is in the system's cache when it is sent.
            await file.hash_to(0, stamp.size)
            if not file.matches(sha):
                raise Changed("it changed before it was uploaded")
            body: Callable[[], Body]
            if stamp.size <= CHUNK:
                whole = await file.read(0, stamp.size)
                body = lambda: whole  # noqa: E731
            else:
                body = lambda: _blocks(file, 0, stamp.size, at)  # noqa: E731
            address = self._wire.address("uploads")
            reply = await self._wire.send(
                "POST", address, headers=headers, body=body, length=stamp.size
            )
            file.check()
            token = _token(reply)
            at(stamp.size)
            return token
        finally:
            file.close()

    async def resumable(self, path: str, stamp: Stamp, row: ContentRow, at: At) -> str:
        """A session: continues where the service stands, or begins one; returns the upload token.

        After `NoAnswer` or an `ApiError` to be retried, call it again with the content's new row.

        Raises:
            as `raw`.
        """
        file = await self._disk.open(path, stamp)
        try:
            url, unit, offset = row.session, row.granularity or CHUNK, 0
            if row.state is Content.SESSION and url:
                remember(url)
                state, offset, token = await self._standing(url)
                if state == "final" and token:
                    return token
                if state != "active" or offset > stamp.size:
                    log.info("a session has ended (%s): beginning again", state)
                    await self._journal.start_again([row.sha])
                    url = None
            if not url or row.state is not Content.SESSION:
                url, unit = await self._start(stamp.size, row.mime)
                offset = 0
                await self._journal.session_opened(row.sha, url, unit)
            at(offset)
            return await self._send_rest(file, url, unit, offset, stamp, row, at)
        finally:
            file.close()

    async def _standing(self, url: str) -> tuple[str, int, str]:
        """A session's state, how many bytes it has, and the token if it is complete."""
        headers = {"X-Goog-Upload-Command": "query"}
        try:
            reply = await self._wire.send("POST", url, headers=headers)
        except ApiError as error:
            if error.verdict in (Verdict.GONE, Verdict.REFUSED):
                return "gone", 0, ""
            raise
        state = reply.headers.get("X-Goog-Upload-Status", "").lower()
        try:
            received = int(reply.headers.get("X-Goog-Upload-Size-Received", "0"))
        except ValueError:
            return "unreadable", 0, ""
        token = ""
        if state == "final":
            try:
                token = _token(reply)
            except Garbled:
                pass  # complete, but its token went with an answer that was lost
        return state, received, token

    async def _start(self, size: int, mime: str) -> tuple[str, int]:
        headers = {
            "X-Goog-Upload-Command": "start",
            "X-Goog-Upload-Content-Type": mime,
            "X-Goog-Upload-Protocol": "resumable",
            "X-Goog-Upload-Raw-Size": str(size),
        }
        address = self._wire.address("uploads")
        reply = await self._wire.send("POST", address, headers=headers, body=lambda: b"")
        url = reply.headers.get("X-Goog-Upload-URL", "")
        if not url.startswith(("https://", *LOOPBACK)):
            raise Garbled("a session without an address to use")
        remember(url)
        try:
            unit = max(1, int(reply.headers.get("X-Goog-Upload-Chunk-Granularity", CHUNK)))
        except ValueError:
            unit = CHUNK
        return url, unit

    async def _send_rest(
        self,
        file: OpenFile,
        url: str,
        unit: int,
        offset: int,
        stamp: Stamp,
        row: ContentRow,
        at: At,
    ) -> str:
        chunk = max(unit, self._chunk // unit * unit)
        while True:
            end = min(offset + chunk, stamp.size)
            last = end == stamp.size
            await file.hash_to(offset, end)
            try:
                file.check()
                if last and not file.matches(row.sha):
                    raise Changed("it changed while it was uploaded")
            except Changed:
                await self._cancel(url)
                raise
            headers = {
                "X-Goog-Upload-Command": "upload, finalize" if last else "upload",
                "X-Goog-Upload-Offset": str(offset),
            }
            body = partial(_blocks, file, offset, end, at)
            try:
                reply = await self._wire.send(
                    "POST", url, headers=headers, body=body, length=end - offset
                )
            except ApiError as error:
                if error.verdict in (Verdict.GONE, Verdict.REFUSED):
                    # The service stands elsewhere than we thought: `query` will say where.
                    raise SessionLost(str(error)) from error
                raise
            if last:
                file.check()  # it may have changed while these bytes were read once more
                return _token(reply)
            offset = end
            await self._journal.session_at(row.sha, offset)

    async def _cancel(self, url: str) -> None:
        """Let the service throw away what it has; nothing depends on it."""
        try:
            await self._wire.send("POST", url, headers={"X-Goog-Upload-Command": "cancel"})
        except (ApiError, NoAnswer):
            pass
