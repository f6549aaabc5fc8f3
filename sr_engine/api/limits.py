"""How much one token may ask for, and how much of a process this interface may take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from sr_engine.api.problems import Problem

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


@dataclass(slots=True)
class Reads:
    """So many reads at a time, of which one caller leaves one to the others."""

    number: int
    _held: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def place(self, name: str) -> Iterator[None]:
        """A place until the end of the block; raises Problem if there is none."""
        if self._held.total() >= self.number or self._held[name] >= max(1, self.number - 1):
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "too much is being read just now; send it again in a second",
                headers={"Retry-After": "1"},
            )
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1


@dataclass(slots=True)
class Waiting:
    """Who waits for changes."""

    most: int = 200
    most_of_one: int = 4
    _held: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def place(self, name: str) -> Iterator[None]:
        """A place until the end of the block; raises Problem if there is none."""
        if self._held.total() >= self.most or self._held[name] >= self.most_of_one:
            mine = f"no more than {self.most_of_one} requests of yours can wait for changes at a time"
            crowded = "too many wait for changes just now; ask without waiting, or again in a while"
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                mine if self._held[name] >= self.most_of_one else crowded,
                headers={"Retry-After": "5"},
            )
        self._held[name] += 1
        try:
            yield
        finally:
            self._held[name] -= 1
