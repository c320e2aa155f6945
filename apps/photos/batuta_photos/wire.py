"""One HTTP request to the service: authorised, counted, its error read.

What is the same for all requests is here: the access token and its renewal, the gate that is
closed after a 429, the day's quota, and the difference between an answer that is an error
(`ApiError`) and no answer at all (`NoAnswer`), after which nobody knows what the service did.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from batuta_photos import __version__
from batuta_photos.credentials import TokenSource
from batuta_photos.errors import ApiError, Garbled, Verdict, read_error
from batuta_photos.files import FileTrouble
from batuta_photos.pacing import Gate, Waits
from batuta_photos.quota import Usage, next_day
from batuta_photos.settings import Service
from batuta_photos.stops import QuotaReached, ServiceUnreachable, SignInNeeded, StorageFull

log = logging.getLogger(__name__)
T = TypeVar("T")
Body = bytes | AsyncIterator[bytes]
RENEWALS = 3  # access tokens tried for one request: one may end on the way, hardly three
CONNECT = 30.0  # seconds until a connection must stand


class NoAnswer(Exception):
    """The connection failed before the answer was complete; what the service did is unknown."""


@dataclass(frozen=True)
class Reply:
    """A success."""

    status: int
    headers: Mapping[str, str]
    text: str


class Wire:
    """The connections to the service. Use as an asynchronous context manager.

    Args:
        service: where it is.
        tokens: access tokens.
        usage: counts the requests.
        waits: how long to wait before trying again.
        stall: seconds without progress after which a request counts as failed.
    """

    def __init__(
        self, service: Service, tokens: TokenSource, usage: Usage, waits: Waits, stall: float
    ) -> None:
        self.usage = usage
        self.waits = waits
        self.gate = Gate()
        self._service = service
        self._tokens = tokens
        self._stall = stall
        self._refusals = 0  # 429 in a row
        self.last_success = 0.0  # on the monotonic clock
        self.on_wait: Callable[[float, str], None] = lambda seconds, why: None

    async def __aenter__(self) -> Wire:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._service.tls()),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=self._stall),
            headers={"User-Agent": f"batuta-photos/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=True,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    def address(self, path: str) -> str:
        return f"{self._service.url.rstrip('/')}/v1/{path}"

    async def signed_in(self) -> None:
        """Make sure that there is a sign-in, before any work is done.

        Raises:
            SignInNeeded: there is none.
        """
        await self._token(None)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        body: Callable[[], Body] | None = None,
        length: int = 0,
    ) -> Reply:
        """Make one request; renews the access token if that is what the service wants.

        Args:
            body: makes the body anew for each time that it is sent.
            length: its size in bytes.

        Raises:
            ApiError: the service answered with an error.
            NoAnswer: it did not answer.
            Stop: nothing more can be done now: the quota, the sign-in, the account's room.
        """
        refused: str | None = None
        renewals = 0
        while True:
            await self.gate.opened()
            token = await self._token(refused)
            self.usage.count()
            try:
                reply = await self._once(method, url, token, headers, json, body, length)
            except ApiError as error:
                if error.verdict is Verdict.SIGN_IN and renewals < RENEWALS:
                    refused = token
                    renewals += 1
                    continue
                self._consider(error)
                raise
            self._refusals = 0
            self.last_success = time.monotonic()
            return reply

    async def _token(self, refused: str | None) -> str:
        attempt = 0
        while True:
            try:
                return await self._tokens.token(refused)
            except ServiceUnreachable:
                attempt += 1
                if attempt >= self.waits.tries:
                    raise
                await asyncio.sleep(self.waits.jittered(self.waits.after_5xx, attempt))

    def _consider(self, error: ApiError) -> None:
        """What an error means for everybody else."""
        verdict = error.verdict
        if verdict is Verdict.DAY_QUOTA:
            raise QuotaReached(error.message, next_day()) from error
        if verdict is Verdict.STORAGE_FULL:
            raise StorageFull(error.message) from error
        if verdict is Verdict.SIGN_IN:
            raise SignInNeeded(f"{error.message} Run `batuta-photos login`.") from error
        if verdict is Verdict.FORBIDDEN and "scope" in error.message.lower():
            raise SignInNeeded(
                f"{error.message} Run `batuta-photos login` and allow all."
            ) from error
        if verdict is Verdict.SLOW_DOWN:
            if not self.gate.closed_for:
                self._refusals += 1
            refusals = max(1, self._refusals)
            if error.retry_after is None:
                wait = self.waits.jittered(self.waits.after_429, refusals)
            else:  # "0" must not use up all tries within a second
                least = self.waits.jittered(self.waits.after_5xx, refusals)
                wait = max(error.retry_after, least)
            self.gate.close(wait)
            self.on_wait(wait, error.message)
            log.info("429, waiting %.1f s: %s", wait, error.message)

    async def _once(
        self,
        method: str,
        url: str,
        token: str,
        headers: Mapping[str, str] | None,
        json: Any,
        body: Callable[[], Body] | None,
        length: int,
    ) -> Reply:
        sent = {**(headers or {}), "Authorization": f"Bearer {token}"}
        data: Any = None
        made = None if body is None else body()
        # A body in blocks may take as long as it moves; everything else is short.
        limit = CONNECT + 2 * self._stall if made is None or isinstance(made, bytes) else None
        try:
            async with asyncio.timeout(limit) as watch:
                if made is not None:
                    sent["Content-Length"] = str(length)
                    data = made if isinstance(made, bytes) else self._watched(made, watch)
                async with self._session.request(
                    method,
                    URL(url, encoded=True),
                    headers=sent,
                    json=json,
                    data=data,
                    allow_redirects=False,
                ) as response:
                    # Bytes that are no UTF-8 must not hide the error that they belong to.
                    text = (await response.read()).decode("utf-8", "replace")
                    log.debug("%s %s: %d", method, url, response.status)
                    if response.status >= 300:
                        raise read_error(response.status, text, response.headers.get("Retry-After"))
                    return Reply(response.status, response.headers, text)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, FileTrouble):
                raise cause from error  # it was the body that ended, not the connection
            log.info("%s %s: no answer: %r", method, url, cause)
            raise NoAnswer(str(cause) or type(cause).__name__) from error

    async def _watched(
        self, body: AsyncIterator[bytes], watch: asyncio.Timeout
    ) -> AsyncIterator[bytes]:
        """The body; a peer that takes nothing for too long ends the request."""
        loop = asyncio.get_running_loop()
        async for block in body:
            watch.reschedule(loop.time() + self._stall)
            yield block
        watch.reschedule(None)

    async def persist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Try something that may be done twice without harm, until it succeeds.

        Raises:
            ApiError: the service refused, or failed too often.
            ServiceUnreachable: it never answered.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                return await call()
            except ApiError as error:
                if error.verdict is Verdict.SLOW_DOWN and attempt < self.waits.tries:
                    continue  # the gate waits
                if error.verdict is not Verdict.RETRY or attempt >= self.waits.tries:
                    raise
            except (NoAnswer, Garbled) as error:
                if attempt >= self.waits.tries:
                    raise ServiceUnreachable(f"no answer from the service: {error}") from error
            await asyncio.sleep(self.waits.jittered(self.waits.after_5xx, attempt))
