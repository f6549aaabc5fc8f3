"""Sending to a processor that may die at any moment: the same bytes again until there is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

PAUSE_SECONDS = 0.1
GIVE_UP_SECONDS = 90


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int
    body: bytes
    detail: str
    follows: bool
    tries: int


async def post_until_answered(
    session: aiohttp.ClientSession, urls: Sequence[str], data: bytes, *, first: int = 0
) -> HttpAnswer:
    """POST until something other than 503 is answered; raises TimeoutError if nothing ever is.

    To one address after the other, beginning at the one of number `first`, counted round and round.
    """
    tries = 0
    async with asyncio.timeout(GIVE_UP_SECONDS):
        while True:
            url = urls[(first + tries) % len(urls)]
            tries += 1
            try:
                async with session.post(url, data=data, headers={"Content-Type": "application/xml"}) as response:
                    body = await response.read()
                    if response.status != HTTPStatus.SERVICE_UNAVAILABLE:
                        detail = response.headers.get("DUIS-Response-Detail", "")
                        return HttpAnswer(
                            response.status, body, detail, "DUIS-Response-Follows" in response.headers, tries
                        )
            except (aiohttp.ClientError, OSError):
                pass
            await asyncio.sleep(PAUSE_SECONDS)
