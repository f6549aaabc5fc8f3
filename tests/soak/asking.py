"""Asking in JSON until there is an answer: what is asked here does the same once or twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import aiohttp

_GIVE_UP_SECONDS, _PAUSE_SECONDS = 90, 0.2
_BUSY = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS)


async def ask_until_answered(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> tuple[int, Any]:
    """The status, and the body if there is one; raises TimeoutError if it is busy, or not there, for too long."""
    async with asyncio.timeout(_GIVE_UP_SECONDS):
        while True:
            # A connection may be closed just then, also as its certificate has been revoked.
            with suppress(aiohttp.ClientError, OSError):
                async with session.request(method, url, **more) as answer:
                    if answer.status not in _BUSY:
                        return answer.status, await answer.json(content_type=None) if await answer.read() else None
            await asyncio.sleep(_PAUSE_SECONDS)
