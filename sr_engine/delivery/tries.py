"""One try at a message: what is posted, what came of it, and when it is tried again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

import aiohttp

from sr_engine.configuration import Delivery
from sr_engine.store import outbox
from sr_engine.store.outbox import Attempted, Queued

log = logging.getLogger(__name__)

_PARTS = 1_000_000
"""Into which a wait is divided to draw a part of it."""
_REST_BYTES = 65_536
_REST_SECONDS = 1.0
"""Of what a receiver says beside the status, as much as is read, so that its connection serves for the next message."""
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_LONGEST_NUMBER = 9


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a receiver."""

    error: str | None
    """None: it has taken the message."""
    status: int | None = None
    """None: there was no answer."""
    says_nothing: bool = False
    """There is no address to send to."""
    asked_to_wait: timedelta = timedelta(0)
    """For so long, by the receiver."""

    def is_failure(self, refusals_of_one: Collection[int]) -> bool:
        """True if it is the receiver that is not well, rather than the message that it refuses."""
        return self.error is not None and self.status not in refusals_of_one


NO_ADDRESS = Reply("no address is configured for this destination", says_nothing=True)


async def post(session: aiohttp.ClientSession, url: str, body: bytes, message_id: str) -> Reply:
    """POST one message."""
    headers = {"Content-Type": "application/xml", "DUIS-Message-ID": message_id}
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            await _read_a_little(response)
            if 200 <= response.status < 300:
                return Reply(None, response.status)
            return Reply(error_of(response.status), response.status, asked_to_wait=_asked_to_wait(response))
    except TimeoutError:
        return Reply("no answer in time")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Reply(failure_of(error))


async def _read_a_little(response: aiohttp.ClientResponse) -> None:
    """The status has said all; whoever goes on for long, or slowly, loses the connection."""
    left = _REST_BYTES
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_REST_SECONDS):
            while left > 0 and (some := await response.content.read(left)):
                left -= len(some)


def _asked_to_wait(response: aiohttp.ClientResponse) -> timedelta:
    """What Retry-After says, in seconds; a date is passed over, for whose clock it is by is not known."""
    said = response.headers.get("Retry-After", "")
    if response.status in _BUSY and said.isascii() and said.isdigit() and len(said) <= _LONGEST_NUMBER:
        return timedelta(seconds=int(said))
    return timedelta(0)


def failure_of(error: Exception) -> str:
    """What is recorded of a try without an answer: neither the address, which may hold a secret, nor what came."""
    kind = type(error).__name__
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{kind}: what came back is no answer of HTTP"
    return kind if isinstance(error, aiohttp.InvalidURL) else f"{kind}: {error}"


def error_of(status: int) -> str:
    """What is recorded of an answer with this status."""
    return f"HTTP {status}"


def taken(message: Queued, now: datetime) -> Attempted:
    """What a try makes of a message that was taken."""
    return Attempted(message.outbox_id, message.message_id, outbox.DELIVERED, message.tries + 1, now, now, None)


def settle(
    message: Queued,
    error: str | None,
    now: datetime,
    policy: Delivery,
    randbelow: Callable[[int], int],
    *,
    not_before: timedelta = timedelta(0),
) -> Attempted:
    """What a try makes of a message: delivered, tried again after a wait, or parked after the last try.

    The wait is at least `not_before`, which a receiver has asked for, but never longer than the longest of its own.
    """
    tries = message.tries + 1
    if error is None:
        return taken(message, now)
    if tries >= policy.max_tries:
        return parked(message, tries, error, now)
    wait = drawn(policy.back_off[min(tries, len(policy.back_off)) - 1], randbelow)
    wait = max(wait, min(not_before, max(policy.back_off)))
    return Attempted(message.outbox_id, message.message_id, outbox.PENDING, tries, now + wait, None, error)


def parked(message: Queued, tries: int, error: str, now: datetime) -> Attempted:
    """What becomes of a message that is given up."""
    log.warning("message %s parked after %d tries: %s", message.message_id, tries, error)
    return Attempted(message.outbox_id, message.message_id, outbox.PARKED, tries, now, None, error)


def drawn(longest: timedelta, randbelow: Callable[[int], int], *, at_least: float = 0.0) -> timedelta:
    """A wait up to the longest, all alike likely; not below that share of it."""
    share = (randbelow(_PARTS) + 1) / _PARTS
    return longest * (at_least + (1 - at_least) * share)
