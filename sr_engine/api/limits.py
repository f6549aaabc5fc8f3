"""How much one token may ask for, and how much of a process this interface may take."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http import HTTPStatus

from sr_engine.api.problems import Problem
from sr_engine.places import Places

_MINUTE = 60.0
_FORGOTTEN_ABOVE = 10_000
"""Tokens, beyond which those that have all of their burst again are forgotten."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a token stands after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset: int
    """Seconds until all of the burst is there again."""
    retry_after: int

    @property
    def headers(self) -> dict[str, str]:
        """As the IETF's draft on RateLimit headers has them."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class Rates:
    """Counts requests by token: a bucket of so many that fills evenly."""

    def __init__(self, per_minute: int, burst: int, monotonic: Callable[[], float]) -> None:
        self._per_second = per_minute / _MINUTE
        self._burst = burst
        self._monotonic = monotonic
        self._used: dict[str, tuple[float, float]] = {}
        """By token, how much of the burst was used up, and when that was so."""

    def count(self, token_id: str) -> Standing:
        """Count one request, unless it is one too many."""
        now = self._monotonic()
        used, at = self._used.get(token_id, (0.0, now))
        used = max(0.0, used - (now - at) * self._per_second)
        allowed = used + 1 <= self._burst
        used += 1 if allowed else 0
        self._used[token_id] = used, now
        if len(self._used) > _FORGOTTEN_ABOVE:
            self._used = {key: one for key, one in self._used.items() if one[0] > (now - one[1]) * self._per_second}
        wait = max(0.0, used + 1 - self._burst) / self._per_second
        return Standing(
            allowed, self._burst, math.floor(self._burst - used), math.ceil(used / self._per_second), math.ceil(wait)
        )


class Reads:
    """So many reads at a time, of which one caller leaves one to the others."""

    def __init__(self, number: int) -> None:
        self._places = Places(number, max(1, number - 1))

    def place(self, name: str) -> AbstractContextManager[None]:
        """A place until the end of the block; raises Problem if there is none."""
        return self._places.take(name, _too_much_is_read)


class Waiting:
    """Who waits for changes."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._places = Places(most, most_of_one)
        self._most_of_one = most_of_one

    def place(self, name: str) -> AbstractContextManager[None]:
        """A place until the end of the block; raises Problem if there is none."""
        return self._places.take(name, self._refusal)

    def _refusal(self, of_this_caller: bool) -> Problem:
        mine = f"no more than {self._most_of_one} requests of yours can wait for changes at a time"
        crowded = "too many wait for changes just now; ask without waiting, or again in a while"
        return Problem(HTTPStatus.TOO_MANY_REQUESTS, mine if of_this_caller else crowded, headers={"Retry-After": "5"})


def _too_much_is_read(_of_this_caller: bool) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too much is being read just now; send it again in a second",
        headers={"Retry-After": "1"},
    )
