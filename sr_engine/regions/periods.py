"""Which windows hold a night: remembered for one moment, since lists repeat the same few windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sr_engine.configuration import Region
from sr_engine.messages.model import Period
from sr_engine.regions.calendar import has_period, intersection, open_periods, periods_available


class PeriodFinder:
    """Says whether a window holds a complete nightly open period of a region whose list can still be cut at `now`."""

    def __init__(self, regions: Mapping[str, Region], now: datetime) -> None:
        self._regions = regions
        self._now = now
        self._known: dict[tuple[str, Period], bool] = {}
        self._free: dict[tuple[str, Period, tuple[Period, ...]], bool] = {}

    def __call__(self, region: str, window: Period) -> bool:
        found = self._known.get((region, window))
        if found is None:
            hours = self._regions.get(region)
            found = self._known[region, window] = hours is not None and has_period(hours, window, self._now)
        return found

    def free(self, region: str, window: Period, blocked: tuple[Period, ...]) -> bool:
        """The same for a hub to which nothing may be done at some times: a night that touches none of them."""
        found = self._free.get((region, window, blocked))
        if found is None:
            hours = self._regions.get(region)
            found = self._free[region, window, blocked] = hours is not None and any(
                not overlaps(night, blocked) for night in periods_available(hours, window, self._now)
            )
        return found


def overlaps(period: Period, others: Sequence[Period]) -> bool:
    """True if a period shares time with one of others."""
    return any(intersection(period, other) is not None for other in others)


class NightCounter:
    """Counts the nights between a moment and a deadline."""

    def __init__(self, region: Region, after: datetime) -> None:
        self._region = region
        self._after = after
        self._known: dict[datetime, int] = {}

    def __call__(self, deadline: datetime) -> int:
        count = self._known.get(deadline)
        if count is None:
            nights = open_periods(self._region, Period(self._after, deadline)) if self._after < deadline else ()
            count = self._known[deadline] = sum(1 for _ in nights)
        return count
