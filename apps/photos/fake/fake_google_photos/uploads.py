"""Bytes: raw uploads, resumable sessions, and the upload tokens that both end in."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from .errors import ApiError, invalid
from .faults import Fault, Kind
from .gate import Call, Cut
from .sessions import (
    COMMAND,
    CONTENT_TYPE,
    FILE_NAME,
    GRANULARITY,
    OFFSET,
    PROTOCOL,
    RAW_SIZE,
    STATUS,
    URL,
    Session,
    commands,
    number,
    refused,
)
from .storage import Received, Sink

if TYPE_CHECKING:
    from .service import FakeGooglePhotos

_SLOW_PIECE = 65_536


@dataclass(frozen=True)
class Upload:
    """Finished bytes that wait to become an item: what an upload token stands for."""

    client_id: str
    received: Received
    file_name: str
    finished: float


class Uploads:
    """Answers at /v1/uploads."""

    def __init__(self, service: FakeGooglePhotos) -> None:
        self._service = service
        self._limits = service.limits
        self.sessions: dict[str, Session] = {}
        self._finished: dict[str, Upload] = {}

    @staticmethod
    def kind(request: web.Request) -> Kind:
        """What a request at this address asks for, by its headers."""
        words = commands(request)
        if "upload_id" in request.query:
            if "query" in words:
                return Kind.UPLOAD_QUERY
            return Kind.UPLOAD_CANCEL if "cancel" in words else Kind.UPLOAD_CHUNK
        resumable = request.headers.get(PROTOCOL, "").lower() == "resumable"
        return Kind.UPLOAD_START if resumable or words else Kind.UPLOAD_RAW

    async def handle(self, call: Call) -> web.StreamResponse:
        """Answers a request of any of these kinds."""
        match call.kind:
            case Kind.UPLOAD_RAW:
                return await self._raw(call)
            case Kind.UPLOAD_START:
                return self._start(call)
            case Kind.UPLOAD_QUERY:
                return self._query(self._session(call))
            case Kind.UPLOAD_CANCEL:
                return self._cancel(self._session(call))
        return await self._chunk(call, self._session(call))

    def find(self, client_id: str, token: str) -> Upload | None:
        """The upload of a token; None if it is unknown, another application's or too old."""
        upload = self._finished.get(token)
        if upload is None or upload.client_id != client_id:
            return None
        age = self._service.clock.now() - upload.finished
        return None if age >= self._limits.upload_token_age else upload

    def close(self) -> None:
        """Drops what unfinished sessions have kept: they end with the service."""
        for session in self.sessions.values():
            if session.status == "active":
                session.sink.discard()

    async def _raw(self, call: Call) -> web.Response:
        headers = call.request.headers
        if headers.get(PROTOCOL, "").lower() != "raw":
            raise invalid(f"Invalid or missing {PROTOCOL} header.", bare=True)
        if call.request.content_type != "application/octet-stream":
            raise invalid("Content-Type must be application/octet-stream.", bare=True)
        self._check_type(headers.get(CONTENT_TYPE))
        self._check_size(call.request.content_length or 0, headers.get(CONTENT_TYPE))
        sink = self._service.media.sink()
        try:
            async for piece in self._pieces(call):
                sink.write(piece)
                self._check_size(sink.size, headers.get(CONTENT_TYPE))
            if sink.size == 0:
                raise invalid("The upload has no bytes.", bare=True)
        except BaseException:
            sink.discard()
            raise
        token = self._finish(call.client_id, sink, headers.get(FILE_NAME, ""))
        return web.Response(text=token)

    def _start(self, call: Call) -> web.Response:
        headers = call.request.headers
        if commands(call.request) != {"start"} or headers.get(PROTOCOL, "").lower() != "resumable":
            raise invalid(f"{COMMAND} must be start, {PROTOCOL} resumable.", bare=True)
        if call.request.content_length:
            raise invalid("Content-Length must be 0.", bare=True)
        size = number(headers.get(RAW_SIZE), RAW_SIZE)
        if size == 0:
            raise invalid("The upload has no bytes.", bare=True)
        self._check_type(headers.get(CONTENT_TYPE))
        self._check_size(size, headers.get(CONTENT_TYPE))
        session = Session(
            id=secrets.token_urlsafe(64),
            client_id=call.client_id,
            raw_size=size,
            file_name=headers.get(FILE_NAME, ""),
            sink=self._service.media.sink(),
            started=self._service.clock.now(),
        )
        self.sessions[session.id] = session
        url = f"{self._service.base_url}/v1/uploads?upload_id={session.id}"
        granularity = str(self._limits.granularity)
        answer = {URL: f"{url}&upload_protocol=resumable", GRANULARITY: granularity}
        return web.Response(headers={**answer, STATUS: session.status})

    def _session(self, call: Call) -> Session:
        session = self.sessions.get(call.request.query["upload_id"])
        if session is None or session.client_id != call.client_id or self._is_old(session):
            raise ApiError("NOT_FOUND", "The upload session does not exist.", bare=True)
        return session

    def _is_old(self, session: Session) -> bool:
        return self._service.clock.now() - session.started >= self._limits.session_age

    def _query(self, session: Session) -> web.Response:
        repeats = session.status == "final" and self._service.final_query_repeats_token
        return web.Response(text=session.token if repeats else "", headers=session.headers())

    def _cancel(self, session: Session) -> web.Response:
        if session.status == "final":
            raise refused(session, "The upload is final and cannot be cancelled.")
        session.status = "cancelled"
        session.take_over(None)
        session.sink.discard()
        return web.Response(headers={STATUS: session.status})

    async def _chunk(self, call: Call, session: Session) -> web.Response:
        words = commands(call.request)
        final = "finalize" in words
        if not words or not words <= {"upload", "finalize"}:
            raise refused(session, f"Invalid or missing {COMMAND} header.")
        if session.status != "active":
            raise refused(session, f"The upload is {session.status}.")
        # A lone `finalize` sends no bytes and needs no offset.
        offset = session.received
        if "upload" in words:
            offset = number(call.request.headers.get(OFFSET), OFFSET)
        if offset != session.received:
            raise refused(session, f"The offset is {offset}, not {session.received}.")
        self._check_chunk(session, call.request.content_length, final)
        reader = session.take_over(call.request.transport)
        try:
            rest = await self._granules(call, session, reader)
        finally:
            session.leave(reader)
        if not final:
            if rest:
                raise refused(session, "A chunk that is not the last one ends in a granule.")
            return web.Response(headers=session.headers())
        if session.received + len(rest) != session.raw_size:
            arrived = session.received + len(rest)
            raise refused(session, f"{arrived} bytes arrived of {session.raw_size}.")
        session.sink.write(rest)
        session.status = "final"
        session.token = self._finish(call.client_id, session.sink, session.file_name)
        return web.Response(text=session.token, headers=session.headers())

    def _check_chunk(self, session: Session, length: int | None, final: bool) -> None:
        """Refuses a chunk of a wrong size before its bytes arrive, where it tells its size."""
        if length is None:
            return
        if not final and length % self._limits.granularity:
            granule = self._limits.granularity
            raise refused(session, f"The size of the chunk is no multiple of {granule}.")
        if session.received + length > session.raw_size:
            raise refused(session, f"The upload is larger than {session.raw_size} bytes.")

    async def _granules(self, call: Call, session: Session, reader: int) -> bytes:
        """Takes a chunk: whole granules go to the session, what is left over is returned."""
        rest = bytearray()
        granule = self._limits.granularity
        async for piece in self._pieces(call, session):
            if session.reader != reader:
                raise Cut
            rest += piece
            if session.received + len(rest) > session.raw_size:
                raise refused(session, f"The upload is larger than {session.raw_size} bytes.")
            whole = len(rest) - len(rest) % granule
            if whole:
                session.sink.write(rest[:whole])
                del rest[:whole]
        if session.reader != reader:
            raise Cut
        return bytes(rest)

    async def _pieces(self, call: Call, session: Session | None = None) -> AsyncIterator[bytes]:
        """The body as it arrives; slowly, or not to its end, where the plan wants it."""
        service = self._service
        log = service.requests
        left: float = float("inf")
        if call.fault is Fault.CUT_BODY:
            share = service.faults.draw(f"cut {call.kind} {call.number}")
            left = int((call.request.content_length or 1) * share)
        slow = call.fault is Fault.SLOW_READ
        content = call.request.content
        while True:
            piece = await (content.read(_SLOW_PIECE) if slow else content.readany())
            if not piece and content.at_eof():
                break
            log.bytes_received += len(piece)
            if session is not None:
                log.session_bytes[session.id] += len(piece)
            if len(piece) >= left:
                yield piece[: int(left)]
                raise Cut
            left -= len(piece)
            yield piece
            if slow:
                await asyncio.sleep(service.faults.slow)

    def _check_type(self, declared: str | None) -> None:
        if declared is None or declared == "application/octet-stream":
            return
        if not declared.startswith(("image/", "video/")):
            raise invalid(f"Unsupported {CONTENT_TYPE}: {declared}.", bare=True)

    def _check_size(self, size: int, declared: str | None) -> None:
        photo = (declared or "").startswith("image/")
        limit = self._limits.photo_bytes if photo else self._limits.video_bytes
        if size > limit:
            raise invalid(f"The file is larger than {limit} bytes.", bare=True)

    def _finish(self, client_id: str, sink: Sink, file_name: str) -> str:
        """The upload token of finished bytes."""
        received = sink.finish()
        token = f"CAIS{secrets.token_urlsafe(96)}"
        now = self._service.clock.now()
        self._finished[token] = Upload(client_id, received, file_name, now)
        self._service.library.uploads[received.sha256] += 1
        return token
