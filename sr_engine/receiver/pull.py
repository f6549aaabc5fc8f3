"""Fetching what was missed: what the processor has sent, or would have, and this receiver has not had."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sr_engine.bearer import bearer
from sr_engine.parsing import MessageRefused
from sr_engine.receiver.inbox import Inbox

log = logging.getLogger(__name__)

Take = Callable[[bytes, str | None], Awaitable[None]]
"""Verifies and keeps a message, by its bytes and its id; raises MessageRefused."""

_PLACE = "pulled"
_AT_ONCE = 1_000
_SECONDS = 60
_LARGEST = 17 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Pull:
    """Where what was missed is fetched, how often, and the bearer token of the User.

    A receiver that has never pulled begins with the first message that the processor still has.
    """

    url: str
    """Of the processor, without /api/v1."""
    token: str = field(repr=False)
    every: timedelta = timedelta(minutes=1)
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Raises ValueError if `url` is no address, `token` can be none, or `every` is no time at all."""
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{self.url!r} is not an http or https address")
        if self.every <= timedelta(0):
            raise ValueError("`every` must be longer than nothing")
        bearer(self.token)


class PullFailed(Exception):
    """The processor cannot be asked, or does not say what it should; it is asked again later."""


class Puller:
    """Asks a processor for the messages behind the last one that was looked at."""

    def __init__(self, pull: Pull, inbox: Inbox, take: Take) -> None:
        self._pull = pull
        self._inbox = inbox
        self._take = take
        self._url = pull.url.rstrip("/")

    async def once(self) -> int:
        """Fetch everything that is missing, in the order in which it was sent; returns how much. Raises PullFailed.

        InboxUnusable if what has come cannot be kept.
        """
        # Nothing packed: what it would unpack to is not bounded.
        headers = {"Authorization": bearer(self._pull.token), "Accept-Encoding": "identity"}
        connector = aiohttp.TCPConnector(ssl=True if self._pull.ssl_context is None else self._pull.ssl_context)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, headers=headers, auto_decompress=False
        ) as session:
            try:
                return await self._fetch(session)
            except TimeoutError:
                raise PullFailed(f"{self._url} did not answer within {_SECONDS} s") from None
            except (aiohttp.ClientError, OSError) as error:
                raise PullFailed(f"{self._url} cannot be asked: {error}") from None

    async def _fetch(self, session: aiohttp.ClientSession) -> int:
        fetched = 0
        while True:
            listed = await self._listed(session)
            for message_id, sha256 in await asyncio.to_thread(self._missing, listed):
                await self._one(session, message_id, sha256)
                await asyncio.to_thread(self._inbox.note_place, _PLACE, message_id)
                fetched += 1
            if listed:
                await asyncio.to_thread(self._inbox.note_place, _PLACE, listed[-1][0])
            if len(listed) < _AT_ONCE:
                return fetched

    def _missing(self, listed: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(message_id, sha256) for message_id, sha256 in listed if not self._inbox.knows(sha256.lower())]

    async def _listed(self, session: aiohttp.ClientSession) -> list[tuple[str, str]]:
        """The next messages: id and SHA-256."""
        after = await asyncio.to_thread(self._inbox.place, _PLACE)
        parameters = {"limit": str(_AT_ONCE), **({} if after is None else {"after": after})}
        status, body = await self._get(session, "/api/v1/messages", parameters)
        if status == HTTPStatus.BAD_REQUEST and after is not None:
            log.warning("%s does not know message %s any more: everything is looked at anew", self._url, after)
            await asyncio.to_thread(self._inbox.note_place, _PLACE, None)
            status, body = await self._get(session, "/api/v1/messages", {"limit": str(_AT_ONCE)})
        if status != HTTPStatus.OK:
            raise PullFailed(f"{self._url} does not say what it has sent: HTTP {status}")
        try:
            return [(str(one["message_id"]), str(one["sha256"])) for one in json.loads(body)["messages"]]
        except (ValueError, KeyError, TypeError):
            raise PullFailed(f"{self._url} says what it has sent in a form that is not known here") from None

    async def _one(self, session: aiohttp.ClientSession, message_id: str, sha256: str) -> None:
        status, data = await self._get(session, f"/api/v1/messages/{message_id}", {})
        if status == HTTPStatus.NOT_FOUND:
            # What it asked for is over meanwhile.
            return
        if status != HTTPStatus.OK:
            raise PullFailed(f"{self._url} does not give out message {message_id}: HTTP {status}")
        if hashlib.sha256(data).hexdigest() != sha256.lower():
            raise PullFailed(f"message {message_id} of {self._url} is not the one that was listed")
        try:
            await self._take(data, message_id)
        except MessageRefused as refused:
            # It would be refused again and again, and those behind it never be reached.
            log.error("message %s of %s is not kept: %s", message_id, self._url, refused.reason)  # noqa: TRY400

    async def _get(self, session: aiohttp.ClientSession, path: str, parameters: dict[str, Any]) -> tuple[int, bytes]:
        async with session.get(self._url + path, params=parameters, allow_redirects=False) as response:
            chunks: list[bytes] = []
            size = 0
            async for chunk in response.content.iter_chunked(256 * 1024):
                size += len(chunk)
                if size > _LARGEST:
                    raise PullFailed(f"what {self._url}{path} gives out has more than {_LARGEST} bytes")
                chunks.append(chunk)
            return response.status, b"".join(chunks)
