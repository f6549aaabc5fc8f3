"""When a region is open: its local nightly hours as periods in UTC, and the times at which their lists are cut.

Hours are kept in local time, so they keep their place in the night through both changes of the clocks (section 5 of the
domain description, Region triggers). What a local time means on the day of a change is decided here once:

* a period starts at the *first* instant at which the clock shows `open_from`, and ends at the *last* instant at which
  it shows `open_until`: a night with an hour that happens twice has it twice;
* a local time that is skipped means the instant of the change; hours skipped as a whole give no period that night;
* a period never runs past the next night's opening, so two periods never overlap, even if the region never closes.

`open_until` at or before `open_from` is a time of the following day.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

from sr_engine.messages.model import Period

_TICK = timedelta.resolution
_ONE_DAY = timedelta(days=1)


class OpeningHours(Protocol):
    """What the calendar needs to know of a region."""

    @property
    def open_from(self) -> time:
        """Local time of day, without a zone of its own."""

    @property
    def open_until(self) -> time:
        """Local time of day, without a zone of its own; at or before `open_from` it is of the following day."""

    @property
    def time_zone(self) -> tzinfo: ...

    @property
    def weekdays(self) -> AbstractSet[int]:
        """Monday is 0; the weekday of the local date on which a period starts."""

    @property
    def blackout_dates(self) -> AbstractSet[date]:
        """Local dates; a period that has any part on one is not available."""

    @property
    def lead_time(self) -> timedelta:
        """How long before a period starts its lists are cut."""


def open_periods(hours: OpeningHours, within: Period) -> Iterator[Period]:
    """Yield every complete nightly open period that lies wholly within `within`, ascending, blackouts left out."""
    first = within.start.astimezone(hours.time_zone).date()
    last = within.end.astimezone(hours.time_zone).date()
    if _overnight(hours):
        last -= _ONE_DAY  # a period that starts on the last date would end after it
    for period in _nights(hours, first, last):
        if within.start <= period.start and period.end <= within.end:
            yield period


def periods_available(hours: OpeningHours, window: Period, now: datetime) -> Iterator[Period]:
    """Yield the open periods within `window` whose lists can still be cut at `now`, ascending.

    A list cut exactly at its cut time is in time (section 4 of the domain description, Windows).
    """
    earliest = max(window.start, now + hours.lead_time)
    if earliest < window.end:
        yield from open_periods(hours, Period(earliest, window.end))


def has_period(hours: OpeningHours, window: Period, now: datetime) -> bool:
    """Say whether `window` is acceptable for a hub of this region (section 4 of the domain description, Windows)."""
    return next(periods_available(hours, window, now), None) is not None


def cut_time(hours: OpeningHours, period: Period) -> datetime:
    """Return when the lists of `period` are cut: the region's lead time before it starts."""
    return period.start - hours.lead_time


def due_cuts(hours: OpeningHours, after: datetime, now: datetime) -> Iterator[tuple[datetime, Period]]:
    """Yield cut time and period of those that start later than `after` and whose lists are due at `now`, ascending.

    Consecutive calls that hand the start of the last period on as the next `after` give every period exactly once,
    also when the lead time changes in between. After a long stop periods that are under way or over are among them:
    what is late is for the caller to say.
    """
    first = after.astimezone(hours.time_zone).date()
    last = (now + hours.lead_time).astimezone(hours.time_zone).date()
    for period in _nights(hours, first, last):
        at = cut_time(hours, period)
        if period.start > after and at <= now:
            yield at, period


def intersection(a: Period, b: Period) -> Period | None:
    """Return the time that `a` and `b` share, or None if they share none; periods that only touch share none."""
    start, end = max(a.start, b.start), min(a.end, b.end)
    return Period(start, end) if start < end else None


def _overnight(hours: OpeningHours) -> bool:
    return hours.open_until <= hours.open_from


def _nights(hours: OpeningHours, first: date, last: date) -> Iterator[Period]:
    """Yield the available periods that start on the local dates `first` to `last`, both included."""
    zone = hours.time_zone
    overnight = _overnight(hours)
    runs_into_next_day = overnight and hours.open_until != time.min  # ending at midnight leaves the next date untouched
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        if day.weekday() not in hours.weekdays or day in hours.blackout_dates:
            continue
        if runs_into_next_day and day + _ONE_DAY in hours.blackout_dates:
            continue
        start = _instant(day, hours.open_from, zone, fold=0)
        if overnight:
            next_day = day + _ONE_DAY
            next_opening = _instant(next_day, hours.open_from, zone, fold=0)
            end = min(_instant(next_day, hours.open_until, zone, fold=1), next_opening)
        else:
            end = _instant(day, hours.open_until, zone, fold=1)
        if start < end:
            yield Period(start, end)


def _instant(day: date, clock: time, zone: tzinfo, *, fold: int) -> datetime:
    """Return the first (`fold` 0) or last (1) instant of a local time, or the instant of the change that skips it."""
    local = datetime.combine(day, clock.replace(fold=fold), tzinfo=zone)
    instant = local.astimezone(UTC)
    # Values of one zone compare by what the clock shows: a time that comes back different was skipped.
    if instant.astimezone(zone) == local:
        return instant
    # Read with the offset after the change a skipped time lies before the change, and the other way round (PEP 495).
    before = local.replace(fold=1).astimezone(UTC)
    after = local.replace(fold=0).astimezone(UTC)
    new_offset = after.astimezone(zone).utcoffset()

    def changed(tick: int) -> bool:
        return (before + tick * _TICK).astimezone(zone).utcoffset() == new_offset

    return before + bisect_left(range((after - before) // _TICK), True, key=changed) * _TICK
