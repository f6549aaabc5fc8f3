"""The time of day as a value that is passed in, so that tests, replays and demonstrations can choose it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Whatever can tell the time."""

    def now(self) -> datetime:
        """Return the present moment, aware and in UTC."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        """Return the present moment, aware and in UTC."""
        return datetime.fromtimestamp(time.time(), UTC)


class ScaledClock:
    """A clock that showed `anchor_virtual` at the real moment `anchor_real` and runs `rate` times as fast since.

    It keeps no state of its own: processes that are given the same three values agree on the time.
    """

    __slots__ = ("_anchor_real", "_anchor_virtual", "_rate")

    def __init__(self, anchor_real: datetime, anchor_virtual: datetime, rate: float) -> None:
        """Raises ValueError if an anchor has no time zone or the rate is not above zero."""
        if rate <= 0:
            raise ValueError(f"the rate of a clock must be above zero, not {rate}")
        self._anchor_real = _in_utc(anchor_real)
        self._anchor_virtual = _in_utc(anchor_virtual)
        self._rate = rate

    def now(self) -> datetime:
        """Return the present moment on this clock, aware and in UTC."""
        elapsed = datetime.fromtimestamp(time.time(), UTC) - self._anchor_real
        return self._anchor_virtual + elapsed * self._rate


class FixedClock:
    """A clock that stands still until it is moved; for tests and replays."""

    __slots__ = ("_now",)

    def __init__(self, now: datetime) -> None:
        """Raises ValueError if `now` has no time zone."""
        self._now = _in_utc(now)

    def now(self) -> datetime:
        """Return the moment this clock was last set to, aware and in UTC."""
        return self._now

    def set(self, now: datetime) -> None:
        """Show `now` from here on; it may be earlier. Raises ValueError if it has no time zone."""
        self._now = _in_utc(now)

    def advance(self, by: timedelta) -> None:
        """Move the hands on by `by`."""
        self._now += by


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"a clock needs a moment with a time zone, not {moment.isoformat()}")
    return moment.astimezone(UTC)
