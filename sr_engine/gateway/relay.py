"""Asking an upstream DCC for what is not offered here: byte for byte there, byte for byte back (section 4).

No transaction is open while it is asked.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from io import BytesIO

import aiohttp

from sr_engine.gateway.fairness import Places
from sr_engine.pipeline.answer import XML, Answer
from sr_engine.pipeline.problem import problem
from sr_engine.pipeline.process import Admitted
from sr_engine.pipeline.relaying import Relaying
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import NO_HUBS

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
_RETRY_AFTER_MAX = 3600
_AGAIN = "it may have been taken: send the same request again"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where relayed requests go, and how long and how much is waited for."""

    url: str
    """Of its web services, without a slash at the end; `/api/v1/...` follows."""
    timeout: timedelta
    retry_after: timedelta
    """Where it does not say itself when to come back."""
    max_answer_bytes: int
    requests_at_once: int


class Relay:
    """Asks the upstream DCC once for each request, however many copies come while it is being asked."""

    def __init__(
        self, upstream: Upstream, relaying: Relaying, transactions: Transactions, tls: ssl.SSLContext | None = None
    ) -> None:
        """`tls` says what is shown to upstream and who is trusted; otherwise whom the system trusts."""
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._upstream = upstream
        self._relaying = relaying
        self._transactions = transactions
        self._places = Places(upstream.requests_at_once)
        self._under_way: dict[tuple[str, int], tuple[bytes, asyncio.Task[Answer]]] = {}
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep connections until the end of the block, and wait there for what is under way."""
        seconds = self._upstream.timeout.total_seconds()
        # Whoever cannot be connected to in half the time has not been sent the request, and that can be said.
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=seconds / 2)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2, ssl=self._tls)
        # Without cookies: what upstream says to one User's request has no business in another's.
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            self._session = session
            try:
                yield
            finally:
                await asyncio.gather(*(task for _, task in self._under_way.values()), return_exceptions=True)
                self._session = None

    async def answer(self, service: str, admitted: Admitted, *, heavy: bool) -> Answer:
        """What upstream answers or has answered; copies that come meanwhile share one question."""
        name = admitted.sender.eui
        if not self._places.free_for(name):
            # What upstream need not be asked for needs no place.
            return await self._answered_before(admitted) or self._busy("too many requests are being relayed")
        self._places.take(name)
        try:
            return await self._shared(service, admitted, heavy=heavy)
        finally:
            self._places.give_back(name)

    async def _shared(self, service: str, admitted: Admitted, *, heavy: bool) -> Answer:
        header = admitted.request.header
        key = (header.request_id.key, header.command_variant)
        found = self._under_way.get(key)
        if found is not None:
            digest, task = found
            answer = await asyncio.shield(task)
            if digest == admitted.document.digest:
                return answer
            before = await self._answered_before(admitted)
            return before or self._busy("a request with the same RequestID was being relayed")
        # A task of its own: a caller that goes away does not undo what was asked for it and for others.
        task = asyncio.create_task(self._answer(service, admitted, heavy=heavy))
        self._under_way[key] = (admitted.document.digest, task)
        task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)

    async def _answer(self, service: str, admitted: Admitted, *, heavy: bool) -> Answer:
        before = await self._answered_before(admitted)
        if before is not None:
            return before
        answered = await self._ask(service, admitted.document.data)
        if isinstance(answered, Answer):
            if answered.status != HTTPStatus.SERVICE_UNAVAILABLE:
                await self._transactions.run(lambda uow: self._relaying.note(uow, admitted, answered), hubs=NO_HUBS)
            return answered
        return await self._transactions.run(
            lambda uow: self._relaying.keep(uow, admitted, answered), heavy=heavy, of=admitted.sender.eui, hubs=NO_HUBS
        )

    async def _answered_before(self, admitted: Admitted) -> Answer | None:
        return await self._transactions.run(lambda uow: self._relaying.answered_before(uow, admitted), hubs=NO_HUBS)

    async def _ask(self, service: str, data: bytes) -> bytes | Answer:
        """The body of upstream's answer, or what to tell the Supplier instead."""
        if self._session is None:
            raise RuntimeError("the relay is not running")
        headers = {"Content-Type": XML, "Accept-Encoding": "identity"}
        url = f"{self._upstream.url}/api/v1/{service}"
        try:
            # As a file it is sent piece by piece, and does not hold the others up.
            async with self._session.post(url, data=BytesIO(data), headers=headers, allow_redirects=False) as response:
                return await self._read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            log.warning("the upstream DCC cannot be reached: %s", error)
            return self._busy("the upstream DCC cannot be reached")
        except TimeoutError:
            seconds = self._upstream.timeout.total_seconds()
            return problem(
                HTTPStatus.GATEWAY_TIMEOUT, f"the upstream DCC has not answered within {seconds:g} s; {_AGAIN}"
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("the upstream DCC broke off: %s", error)
            return problem(HTTPStatus.BAD_GATEWAY, f"the upstream DCC broke off before it had answered; {_AGAIN}")

    async def _read(self, response: aiohttp.ClientResponse) -> bytes | Answer:
        status = response.status
        if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
            return self._busy("the upstream DCC is busy", _seconds(response.headers.get("Retry-After", "")))
        if status == HTTPStatus.BAD_REQUEST:
            return problem(HTTPStatus.BAD_REQUEST, "the upstream DCC does not take the request: it answered HTTP 400")
        if status != HTTPStatus.OK:
            return _wrong(f"HTTP {status}")
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if media_type != XML:
            return _wrong(f"a body that is {media_type or 'of no media type'}, not {XML}")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            return _wrong("a body that is compressed")
        chunks, size = [], 0
        async for chunk in response.content.iter_chunked(_CHUNK):
            size += len(chunk)
            if size > self._upstream.max_answer_bytes:
                return _wrong(f"more than {self._upstream.max_answer_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks) if size else _wrong("an empty body")

    def _busy(self, why: str, seconds: int | None = None) -> Answer:
        wait = seconds or round(self._upstream.retry_after.total_seconds())
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{why}; send it again in {wait} s", retry_after=wait)


def _wrong(what: str) -> Answer:
    return problem(HTTPStatus.BAD_GATEWAY, f"the upstream DCC answered with {what}, which is no answer; {_AGAIN}")


def _seconds(retry_after: str) -> int | None:
    """Retry-After in seconds, None if it is left out, a date, or beyond reason."""
    if not (retry_after.isascii() and retry_after.isdecimal() and len(retry_after) < 10):
        return None
    return min(int(retry_after), _RETRY_AFTER_MAX) or None
