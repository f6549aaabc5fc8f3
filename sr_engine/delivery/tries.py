"""One try at a message: what is posted, what came of it, and when it is tried again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp

from sr_engine.configuration import Delivery
from sr_engine.store import outbox
from sr_engine.store.outbox import Attempted, Queued

log = logging.getLogger(__name__)

_PARTS = 1_000_000
"""Into which a wait is divided to draw a part of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a receiver."""

    error: str | None
    """None: it has taken the message."""
    status: int | None = None
    """None: there was no answer."""
    says_nothing: bool = False
    """There is no address to send to."""

    def is_failure(self, refusals_of_one: Collection[int]) -> bool:
        """True if it is the receiver that is not well, rather than the message that it refuses."""
        return self.error is not None and self.status not in refusals_of_one


NO_ADDRESS = Reply("no address is configured for this destination", says_nothing=True)


async def post(session: aiohttp.ClientSession, url: str, body: bytes, message_id: str) -> Reply:
    """POST one message."""
    headers = {"Content-Type": "application/xml", "DUIS-Message-ID": message_id}
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            if 200 <= response.status < 300:
                return Reply(None, response.status)
            return Reply(error_of(response.status), response.status)
    except TimeoutError:
        return Reply("no answer in time")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Reply(f"{type(error).__name__}: {error}")


def error_of(status: int) -> str:
    """What is recorded of an answer with this status."""
    return f"HTTP {status}"


def taken(message: Queued, now: datetime) -> Attempted:
    """What a try makes of a message that was taken."""
    return Attempted(message.outbox_id, message.message_id, outbox.DELIVERED, message.tries + 1, now, now, None)


def settle(
    message: Queued, error: str | None, now: datetime, policy: Delivery, randbelow: Callable[[int], int]
) -> Attempted:
    """What a try makes of a message: delivered, tried again after a wait, or parked after the last try."""
    tries = message.tries + 1
    if error is None:
        return taken(message, now)
    if tries >= policy.max_tries:
        log.warning("message %s parked after %d tries: %s", message.message_id, tries, error)
        return Attempted(message.outbox_id, message.message_id, outbox.PARKED, tries, now, None, error)
    wait = drawn(policy.back_off[min(tries, len(policy.back_off)) - 1], randbelow)
    return Attempted(message.outbox_id, message.message_id, outbox.PENDING, tries, now + wait, None, error)


def drawn(longest: timedelta, randbelow: Callable[[int], int], *, at_least: float = 0.0) -> timedelta:
    """A wait up to the longest, all alike likely; not below that share of it."""
    share = (randbelow(_PARTS) + 1) / _PARTS
    return longest * (at_least + (1 - at_least) * share)
