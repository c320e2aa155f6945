"""What every request passes before and after its handler.

In this order: it is counted, meets its fault, is asked for its access token, is counted against the
quotas, waits the service's latency (half before the work and half after it, so that a client can be
killed in both), and its answer is sent, cut short or lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web

from .errors import ApiError, concurrent_write, invalid
from .faults import UPLOAD_KINDS, WRITES, Fault, Kind

if TYPE_CHECKING:
    from .service import FakeGooglePhotos

# The largest JSON body: 50 items with the longest descriptions fit in easily.
MAX_JSON = 4 << 20

_PROXY_PAGE = """<!DOCTYPE html>
<html lang=en><meta charset=utf-8><title>Error 502 (Server Error)!!1</title>
<p><b>502.</b> <ins>That's an error.</ins>
<p>The server encountered a temporary error and could not complete your request.
"""


class Cut(Exception):
    """The connection is to be cut now, without an answer."""


# What reading a body raises when the client has gone away.
GONE = (OSError, aiohttp.ClientError, web.RequestPayloadError, asyncio.IncompleteReadError)


@dataclass
class Call:
    """A request that is being answered.

    Attributes:
        request: as it arrived.
        kind: what it asks for.
        number: the how-manieth of its kind it is, from 1.
        fault: what the plan wants to go wrong with it.
        token: its access token.
        client_id: the application that asks.
    """

    request: web.Request
    kind: Kind
    number: int
    fault: Fault | None
    token: str = ""
    client_id: str = ""

    @property
    def project(self) -> str:
        """The number of the application's project: what quotas are counted by."""
        return self.client_id.partition("-")[0]

    async def json(self) -> dict[str, Any]:
        """The body, which has to be a JSON object.

        Raises:
            ApiError: it is none, or too large.
        """
        data = bytearray()
        async for piece in self.request.content.iter_any():
            data += piece
            if len(data) > MAX_JSON:
                raise invalid("Request payload size exceeds the limit: 4194304 bytes.")
        try:
            body = json.loads(bytes(data) or b"{}")
        except ValueError as error:
            raise invalid(f"Invalid JSON payload received. {error}") from None
        if not isinstance(body, dict):
            raise invalid("Invalid JSON payload received. Root element must be a message.")
        return body


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Gate:
    """Lets requests through to their handlers."""

    def __init__(self, service: FakeGooglePhotos) -> None:
        self._service = service
        self._writing = False

    async def api(
        self, request: web.Request, kind: Kind, scopes: tuple[str, ...], handler: Handler
    ) -> web.StreamResponse:
        """Answers a request of the API, which needs an access token for one of `scopes`."""

        async def answer(call: Call) -> web.StreamResponse:
            header = request.headers.get("Authorization")
            if header is None and kind in UPLOAD_KINDS:
                raise ApiError(
                    "UNAUTHENTICATED", "Authentication session is not defined.", bare=True
                )
            call.token, call.client_id = self._service.accounts.authorize(header, scopes)
            self._service.meter.count_request(call.project)
            self._meet(call)
            if kind not in WRITES:
                return await self._work(call, handler)
            return await self._write(call, handler)

        return await self._serve(request, kind, answer)

    async def open(
        self,
        request: web.Request,
        kind: Kind,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Answers a request that needs no access token, e.g. one for a token."""

        async def answer(call: Call) -> web.StreamResponse:
            self._meet(call)
            return await self._work(call, lambda call: handler(call.request))

        return await self._serve(request, kind, answer)

    async def _serve(self, request: web.Request, kind: Kind, answer: Handler) -> web.StreamResponse:
        log = self._service.requests
        status = 0
        with log.running(kind) as number:
            fault = self._service.faults.decide(kind)
            if fault is not None:
                log.fault(fault)
            try:
                response = await self._answer(Call(request, kind, number, fault), answer)
                status = response.status
                return response
            except Cut:
                return _cut(request)
            finally:
                log.statuses[kind, status] += 1

    async def _answer(self, call: Call, answer: Handler) -> web.StreamResponse:
        if call.fault is Fault.CUT_BEFORE:
            raise Cut
        try:
            response = await answer(call)
        except ApiError as error:
            return error.response()
        except GONE:
            # The client went away in the middle of its request.
            raise Cut from None
        if call.fault is Fault.CUT_AFTER:
            raise Cut
        if call.fault is Fault.CUT_REPLY:
            await _send_half(call.request, response)
            raise Cut
        return response

    async def _work(self, call: Call, handler: Handler) -> web.StreamResponse:
        half = self._service.latency / 2
        if half:
            await asyncio.sleep(half)
        response = await handler(call)
        if half:
            await asyncio.sleep(half)
        return response

    async def _write(self, call: Call, handler: Handler) -> web.StreamResponse:
        """Answers a write: there is one at a time for each user."""
        if self._writing:
            raise concurrent_write()
        self._service.meter.count_write(call.project)
        self._writing = True
        try:
            return await self._work(call, handler)
        finally:
            self._writing = False

    def _meet(self, call: Call) -> None:
        """Raises what the plan wants, if it needs no work to be done first."""
        service = self._service
        match call.fault:
            case Fault.RATE_LIMIT:
                raise service.meter.write_error(call.project)
            case Fault.RATE_LIMIT_RETRY_AFTER:
                error = service.meter.write_error(call.project)
                error.headers["Retry-After"] = str(service.faults.retry_after)
                raise error
            case Fault.SERVER_ERROR:
                raise ApiError("INTERNAL", "Internal error encountered.")
            case Fault.UNAVAILABLE:
                raise ApiError("UNAVAILABLE", "The service is currently unavailable.")
            case Fault.BAD_GATEWAY:
                raise ApiError("UNAVAILABLE", "Bad Gateway", http=502)
            case Fault.HTML_ERROR:
                raise _ProxyError
            case Fault.ABORTED:
                raise ApiError("ABORTED", "The operation was aborted.")
            case Fault.TOKEN_EXPIRED:
                service.accounts.expire(call.token)
                # Asked again, the answer is the one for a token that is too old.
                service.accounts.authorize(call.request.headers.get("Authorization"), ())
            case Fault.DAY_QUOTA:
                service.meter.exhaust(call.project)
                raise service.meter.day_error(call.project)


class _ProxyError(ApiError):
    """An error that did not come from the API: a proxy in between answers in HTML."""

    def __init__(self) -> None:
        super().__init__("UNAVAILABLE", "a proxy's page", http=502)

    def response(self) -> web.Response:
        return web.Response(text=_PROXY_PAGE, status=502, content_type="text/html")


def _cut(request: web.Request) -> web.Response:
    """Ends the connection at once; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _send_half(request: web.Request, response: web.StreamResponse) -> None:
    """Sends the head and half of the body, where there is a body."""
    body = response.body if isinstance(response, web.Response) else None
    if not isinstance(body, bytes) or len(body) < 2:
        return
    part = web.StreamResponse(status=response.status)
    part.content_type = response.content_type
    part.content_length = len(body)
    try:
        await part.prepare(request)
        await part.write(body[: len(body) // 2])
    except GONE:
        pass
