"""When a region is open: its local nightly hours as periods in UTC, and the times at which their lists are cut.

Hours are kept in local time, so they keep their place in the night through both changes of the clocks (section 5 of the
domain description, Region triggers). What a local time means on the day of a change is decided here once:

* a period starts at the *first* instant at which the clock shows `open_from`, and ends at the *last* instant at which
  it shows `open_until`: a night with an hour that happens twice has it twice;
* a local time that is skipped means the instant of the change; hours skipped as a whole give no period that night;
* a period never runs past the next night's opening, so two periods never overlap, even if the region never closes.

`open_until` at or before `open_from` is a time of the following day. A weekday may have hours of its own, and a date,
such as a bank holiday, the hours of another weekday than its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Protocol

from sr_engine.messages.model import Period

_TICK = timedelta.resolution
_ONE_DAY = timedelta(days=1)


class DailyHours(Protocol):
    """From when until when something is open."""

    @property
    def open_from(self) -> time:
        """Local time of day, without a zone of its own."""

    @property
    def open_until(self) -> time:
        """Local time of day, without a zone of its own; at or before `open_from` it is of the following day."""


class OpeningHours(DailyHours, Protocol):
    """What the calendar needs to know of a region."""

    @property
    def hours_by_weekday(self) -> Mapping[int, DailyHours]:
        """Weekdays that have other hours than the rest."""

    @property
    def taken_as(self) -> Mapping[date, int]:
        """Local dates that are open, or not, as another weekday than their own would be."""

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


def _opening(hours: OpeningHours, day: date) -> DailyHours | None:
    """The hours of a period that starts on a local date, blackouts aside; None if none may."""
    weekday = hours.taken_as.get(day, day.weekday())
    return hours.hours_by_weekday.get(weekday, hours) if weekday in hours.weekdays else None


def _nights(hours: OpeningHours, first: date, last: date) -> Iterator[Period]:
    """Yield the available periods that start on the local dates `first` to `last`, both included."""
    zone = hours.time_zone
    for ordinal in range(first.toordinal(), last.toordinal() + 1):
        day = date.fromordinal(ordinal)
        opening = _opening(hours, day)
        if opening is None or day in hours.blackout_dates:
            continue
        start = _instant(day, opening.open_from, zone, fold=0)
        if opening.open_until > opening.open_from:
            end = _instant(day, opening.open_until, zone, fold=1)
        elif day == date.max:
            continue  # it would end after all time
        else:
            next_day = day + _ONE_DAY
            # One that ends at midnight leaves the next date untouched.
            if opening.open_until != time.min and next_day in hours.blackout_dates:
                continue
            next_opening = _opening(hours, next_day) or opening
            end = min(
                _instant(next_day, opening.open_until, zone, fold=1),
                _instant(next_day, next_opening.open_from, zone, fold=0),
            )
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
