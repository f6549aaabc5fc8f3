"""The calendar of a region: local nightly hours as periods in UTC, through both changes of the clocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sr_engine.messages.model import Period
from sr_engine.regions.calendar import (
    cut_time,
    due_cuts,
    has_period,
    intersection,
    open_periods,
    periods_available,
)

LONDON = ZoneInfo("Europe/London")
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
CLOCK_CHANGES = (date(2026, 3, 29), date(2026, 10, 25), date(2027, 3, 28), date(2027, 10, 31))


@dataclass(frozen=True, slots=True)
class OfDay:
    """Hours that one weekday has of its own."""

    open_from: time
    open_until: time


@dataclass(frozen=True, slots=True)
class Hours:
    """Opening hours of a region, open every night unless a test says otherwise."""

    open_from: time
    open_until: time
    time_zone: ZoneInfo = LONDON
    weekdays: frozenset[int] = frozenset(range(7))
    blackout_dates: frozenset[date] = frozenset()
    lead_time: timedelta = timedelta(0)
    hours_by_weekday: Mapping[int, OfDay] = field(default_factory=dict)
    taken_as: Mapping[date, int] = field(default_factory=dict)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def period(start: str, end: str) -> Period:
    return Period(utc(start), utc(end))


def hours(text: str) -> Hours:
    open_from, open_until = text.split("-")
    return Hours(time.fromisoformat(open_from), time.fromisoformat(open_until))


def night_of(opening: Hours, day: date) -> list[Period]:
    """The periods, at most one, that start on a local date."""
    around = Period(
        datetime.combine(day - 2 * DAY, time.min, tzinfo=UTC), datetime.combine(day + 3 * DAY, time.min, tzinfo=UTC)
    )
    return [p for p in open_periods(opening, around) if p.start.astimezone(opening.time_zone).date() == day]


# --- the days on which the clocks change ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "opening", "start", "end"),
    [
        # Clocks go from 01:00 to 02:00 at 01:00 UTC: local 01:00 to 02:00 is skipped.
        ("2026-03-29", "00:30-05:30", "2026-03-29 00:30", "2026-03-29 04:30"),
        ("2026-03-29", "01:30-05:30", "2026-03-29 01:00", "2026-03-29 04:30"),
        ("2026-03-29", "00:30-01:30", "2026-03-29 00:30", "2026-03-29 01:00"),
        ("2026-03-29", "02:00-05:30", "2026-03-29 01:00", "2026-03-29 04:30"),
        ("2026-03-28", "22:00-04:00", "2026-03-28 22:00", "2026-03-29 03:00"),
        ("2026-03-28", "22:00-01:30", "2026-03-28 22:00", "2026-03-29 01:00"),
        ("2026-03-29", "22:00-04:00", "2026-03-29 21:00", "2026-03-30 03:00"),
        ("2027-03-28", "00:30-05:30", "2027-03-28 00:30", "2027-03-28 04:30"),
        ("2027-03-28", "01:30-05:30", "2027-03-28 01:00", "2027-03-28 04:30"),
        ("2027-03-27", "23:30-05:30", "2027-03-27 23:30", "2027-03-28 04:30"),
        # Clocks go from 02:00 back to 01:00 at 01:00 UTC: local 01:00 to 02:00 happens twice.
        ("2026-10-25", "00:30-05:30", "2026-10-24 23:30", "2026-10-25 05:30"),
        ("2026-10-25", "01:30-05:30", "2026-10-25 00:30", "2026-10-25 05:30"),
        ("2026-10-25", "00:30-01:30", "2026-10-24 23:30", "2026-10-25 01:30"),
        ("2026-10-25", "01:15-01:45", "2026-10-25 00:15", "2026-10-25 01:45"),
        ("2026-10-25", "02:00-05:30", "2026-10-25 02:00", "2026-10-25 05:30"),
        ("2026-10-24", "22:00-04:00", "2026-10-24 21:00", "2026-10-25 04:00"),
        ("2026-10-24", "22:00-01:30", "2026-10-24 21:00", "2026-10-25 01:30"),
        ("2026-10-25", "22:00-04:00", "2026-10-25 22:00", "2026-10-26 04:00"),
        ("2027-10-31", "00:30-05:30", "2027-10-30 23:30", "2027-10-31 05:30"),
        ("2027-10-31", "01:30-05:30", "2027-10-31 00:30", "2027-10-31 05:30"),
        ("2027-10-30", "23:30-05:30", "2027-10-30 22:30", "2027-10-31 05:30"),
    ],
)
def test_a_night_on_which_the_clocks_change_runs_between_these_instants(
    day: str, opening: str, start: str, end: str
) -> None:
    assert night_of(hours(opening), date.fromisoformat(day)) == [period(start, end)]


@pytest.mark.parametrize(("day", "length"), list(zip(CLOCK_CHANGES, (4, 6, 4, 6), strict=True)))
def test_a_five_hour_night_loses_an_hour_in_march_and_gains_one_in_october(day: date, length: int) -> None:
    opening = hours("00:30-05:30")
    lengths = [p.end - p.start for d in (day - DAY, day, day + DAY) for p in night_of(opening, d)]
    assert lengths == [timedelta(hours=5), timedelta(hours=length), timedelta(hours=5)]


@pytest.mark.parametrize("day", [CLOCK_CHANGES[0], CLOCK_CHANGES[2]])
def test_hours_that_are_skipped_as_a_whole_give_no_period_that_night_and_one_on_the_next(day: date) -> None:
    opening = hours("01:10-01:50")
    assert night_of(opening, day) == []
    assert len(night_of(opening, day + DAY)) == 1


def test_the_instant_of_the_change_is_met_exactly_for_times_finer_than_a_minute() -> None:
    opening = Hours(time(1, 30, 15, 500_000), time(5))
    assert night_of(opening, date(2026, 3, 29)) == [period("2026-03-29 01:00", "2026-03-29 04:00")]


@pytest.mark.parametrize("opening", ["00:00-00:00", "01:30-01:30", "01:40-01:20"])
@pytest.mark.parametrize("day", CLOCK_CHANGES)
def test_a_region_that_hardly_closes_has_nights_that_meet_but_never_overlap(opening: str, day: date) -> None:
    nights = [p for offset in range(-2, 3) for p in night_of(hours(opening), day + offset * DAY)]
    assert len(nights) == 5
    assert all(a.start < a.end <= b.start for a, b in pairwise(nights))


def test_other_zones_follow_their_own_changes() -> None:
    opening = replace(hours("01:30-05:30"), time_zone=ZoneInfo("Europe/Paris"))
    assert night_of(opening, date(2026, 3, 29)) == [period("2026-03-29 00:30", "2026-03-29 03:30")]
    half_hour_change = replace(hours("02:10-05:30"), time_zone=ZoneInfo("Australia/Lord_Howe"))
    assert night_of(half_hour_change, date(2026, 10, 4)) == [period("2026-10-03 15:30", "2026-10-03 18:30")]


# --- what counts as available --------------------------------------------------------------------------------------


def test_a_period_counts_only_if_the_window_holds_all_of_it() -> None:
    opening = hours("00:30-05:30")
    night = period("2026-01-10 00:30", "2026-01-10 05:30")
    assert list(open_periods(opening, night)) == [night]
    assert list(open_periods(opening, Period(night.start + MINUTE, night.end + DAY - MINUTE))) == []
    assert list(open_periods(opening, Period(night.start - DAY + MINUTE, night.end - MINUTE))) == []


def test_the_weekday_is_that_of_the_local_date_on_which_the_period_starts() -> None:
    # In British Summer Time Saturday 00:30 is Friday 23:30 UTC; 11 July 2026 is a Saturday.
    saturdays = replace(hours("00:30-05:30"), weekdays=frozenset({5}))
    july = period("2026-07-06 00:00", "2026-07-13 00:00")
    assert list(open_periods(saturdays, july)) == [period("2026-07-10 23:30", "2026-07-11 04:30")]
    overnight = replace(hours("22:00-04:00"), weekdays=frozenset({5}))
    assert list(open_periods(overnight, july)) == [period("2026-07-11 21:00", "2026-07-12 03:00")]


@pytest.mark.parametrize(
    ("opening", "nights_lost"),
    [("00:30-05:30", [25]), ("22:00-04:00", [24, 25]), ("20:00-00:00", [25]), ("00:00-00:00", [25])],
)
def test_a_blackout_takes_every_night_with_a_part_on_that_local_date(opening: str, nights_lost: list[int]) -> None:
    christmas = replace(hours(opening), blackout_dates=frozenset({date(2026, 12, 25)}))
    without = [night for night in range(22, 29) if not night_of(christmas, date(2026, 12, night))]
    assert without == nights_lost


def of_day(text: str) -> OfDay:
    return OfDay(hours(text).open_from, hours(text).open_until)


def test_a_weekday_may_have_hours_of_its_own() -> None:
    opening = replace(hours("22:00-06:00"), hours_by_weekday={5: of_day("20:00-09:00"), 6: of_day("08:00-12:00")})
    # 9 January 2026 is a Friday.
    friday_to_monday = period("2026-01-09 12:00", "2026-01-13 12:00")
    assert list(open_periods(opening, friday_to_monday)) == [
        period("2026-01-09 22:00", "2026-01-10 06:00"),
        period("2026-01-10 20:00", "2026-01-11 08:00"),  # it does not run into that of Sunday
        period("2026-01-11 08:00", "2026-01-11 12:00"),
        period("2026-01-12 22:00", "2026-01-13 06:00"),
    ]


def test_a_period_runs_on_into_a_day_on_which_none_begins() -> None:
    saturdays = replace(hours("08:00-12:00"), weekdays=frozenset({5}), hours_by_weekday={5: of_day("20:00-09:00")})
    assert night_of(saturdays, date(2026, 1, 10)) == [period("2026-01-10 20:00", "2026-01-11 09:00")]


def test_a_bank_holiday_has_the_hours_of_the_day_it_is_taken_as() -> None:
    # 6 April 2026 is Easter Monday, in British Summer Time; 3 April Good Friday.
    opening = replace(
        hours("22:00-06:00"),
        weekdays=frozenset({0, 1, 2, 3, 6}),
        hours_by_weekday={6: of_day("20:00-08:00")},
        taken_as={date(2026, 4, 3): 6, date(2026, 4, 6): 6},
    )
    assert night_of(opening, date(2026, 4, 6)) == [period("2026-04-06 19:00", "2026-04-07 07:00")]
    assert night_of(opening, date(2026, 4, 3)) == [period("2026-04-03 19:00", "2026-04-04 07:00")]
    assert night_of(opening, date(2026, 4, 4)) == []
    assert night_of(opening, date(2026, 4, 7)) == [period("2026-04-07 21:00", "2026-04-08 05:00")]


def test_a_date_taken_as_a_day_on_which_no_period_begins_has_none() -> None:
    opening = replace(hours("22:00-06:00"), weekdays=frozenset(range(5)), taken_as={date(2026, 4, 6): 6})
    assert (night_of(opening, date(2026, 4, 6)), len(night_of(opening, date(2026, 4, 7)))) == ([], 1)


def test_a_blackout_on_a_bank_holiday_is_one() -> None:
    day = date(2026, 4, 6)
    opening = replace(hours("22:00-06:00"), taken_as={day: 6}, blackout_dates=frozenset({day}))
    assert night_of(opening, day) == []


def test_no_weekday_means_no_period() -> None:
    never = replace(hours("00:30-05:30"), weekdays=frozenset())
    assert not has_period(never, period("2026-01-01 00:00", "2026-12-31 00:00"), utc("2026-01-01 00:00"))


def test_a_list_may_be_cut_until_its_cut_time_and_not_after() -> None:
    opening = replace(hours("00:30-05:30"), lead_time=timedelta(hours=36))
    night = period("2026-01-10 00:30", "2026-01-10 05:30")
    at = utc("2026-01-08 12:30")
    assert cut_time(opening, night) == at
    assert list(periods_available(opening, night, at)) == [night]
    assert has_period(opening, night, at)
    assert not has_period(opening, night, at + timedelta(microseconds=1))


def test_a_window_that_ends_before_it_starts_holds_no_period() -> None:
    backwards = period("2026-02-01 00:00", "2026-01-01 00:00")
    assert not has_period(hours("00:30-05:30"), backwards, utc("2025-12-01 00:00"))


def test_a_window_at_either_end_of_time_is_answered() -> None:
    opening = hours("22:00-04:00")
    ever = Period(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    assert has_period(opening, ever, utc("2026-01-01 00:00"))
    last_days = period("9999-12-30 12:00", "9999-12-31 23:59")
    assert list(open_periods(opening, last_days)) == [period("9999-12-30 22:00", "9999-12-31 04:00")]


def test_an_intersection_is_what_both_share_and_touching_windows_share_nothing() -> None:
    first = period("2026-01-01 00:00", "2026-01-10 00:00")
    assert intersection(first, period("2026-01-05 00:00", "2026-01-20 00:00")) == period(
        "2026-01-05 00:00", "2026-01-10 00:00"
    )
    assert intersection(first, period("2026-01-10 00:00", "2026-01-20 00:00")) is None
    assert intersection(first, period("2026-02-01 00:00", "2026-02-20 00:00")) is None


# --- rules over all hours ------------------------------------------------------------------------------------------

FIRST_DAY = date(2026, 1, 1)
LAST_DAY = date(2027, 12, 31)
near_changes = st.builds(
    lambda change, offset: change + offset * DAY, st.sampled_from(CLOCK_CHANGES), st.integers(-2, 2)
)
days = near_changes | st.dates(FIRST_DAY, LAST_DAY)
clock_times = st.builds(time, st.integers(0, 23), st.integers(0, 59)) | st.builds(
    time, st.integers(0, 2), st.sampled_from((0, 1, 30, 59))
)
weekday_sets = st.just(frozenset(range(7))) | st.frozensets(st.integers(0, 6), min_size=1)
minutes = st.integers(0, 4 * 24 * 60).map(lambda count: count * MINUTE)


@st.composite
def openings(draw: st.DrawFn, day: date | None = None) -> Hours:
    anchor = draw(days) if day is None else day
    near = st.integers(-2, 4).map(lambda offset: anchor + offset * DAY)
    return Hours(
        draw(clock_times),
        draw(clock_times),
        weekdays=draw(weekday_sets),
        blackout_dates=draw(st.frozensets(near, max_size=2)),
        lead_time=draw(minutes),
        hours_by_weekday=draw(
            st.dictionaries(st.integers(0, 6), st.builds(OfDay, clock_times, clock_times), max_size=4)
        ),
        taken_as=draw(st.dictionaries(near, st.integers(0, 6), max_size=3)),
    )


@st.composite
def openings_and_windows(draw: st.DrawFn) -> tuple[Hours, Period]:
    day = draw(days)
    start = datetime.combine(day, time.min, tzinfo=UTC) - DAY + draw(minutes)
    return draw(openings(day)), Period(start, start + draw(minutes))


@lru_cache(maxsize=64)
def minutes_around(day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Every minute of the local date and its neighbours, with what the clock in London shows, zone removed."""
    start = datetime.combine(day - DAY, time.min, tzinfo=UTC)
    instants = (start + count * MINUTE for count in range(3 * 24 * 60))
    return tuple((instant, instant.astimezone(LONDON).replace(tzinfo=None)) for instant in instants)


def showing(day: date, clock: time) -> list[datetime]:
    """Every minute at which the clock shows this; for a skipped time, the first that shows a later one."""
    wanted = datetime.combine(day, clock)
    hits = [instant for instant, shown in minutes_around(day) if shown == wanted]
    return hits or [next(instant for instant, shown in minutes_around(day) if shown > wanted)]


def opening_on(opening: Hours, day: date) -> tuple[time, time] | None:
    """From when until when a period that starts on a local date is open; None if the day has none."""
    weekday = opening.taken_as[day] if day in opening.taken_as else day.weekday()
    if weekday not in opening.weekdays:
        return None
    of_its_own = opening.hours_by_weekday.get(weekday)
    if of_its_own is not None:
        return of_its_own.open_from, of_its_own.open_until
    return opening.open_from, opening.open_until


def by_looking_at_every_minute(opening: Hours, within: Period) -> Iterator[Period]:
    day = within.start.date() - 2 * DAY
    while day < within.end.date() + DAY:
        day += DAY
        today = opening_on(opening, day)
        if today is None:
            continue
        opens, closes = today
        start = showing(day, opens)[0]
        if opens < closes:
            end = showing(day, closes)[-1]
        else:
            # Nothing begins on a blackout: the night would run on into it, and is left out for that.
            tomorrow = None if day + DAY in opening.blackout_dates else opening_on(opening, day + DAY)
            following = tomorrow or today
            end = min(showing(day + DAY, closes)[-1], showing(day + DAY, following[0])[0])
        dates = {
            shown.date()
            for either in (day, day + DAY)
            for instant, shown in minutes_around(either)
            if start <= instant < end
        }
        if within.start <= start < end <= within.end and not dates & opening.blackout_dates:
            yield Period(start, end)


@settings(max_examples=120, deadline=None)
@given(openings_and_windows())
@example((hours("22:00-01:00"), period("2026-10-23 00:00", "2026-10-27 00:00")))
@example((hours("01:00-02:00"), period("2026-10-23 00:00", "2026-10-27 00:00")))
@example((hours("01:00-02:00"), period("2027-03-26 00:00", "2027-03-30 00:00")))
@example((hours("01:59-01:59"), period("2027-10-29 00:00", "2027-11-02 00:00")))
@example((hours("01:30-01:00"), period("2026-03-27 00:00", "2026-03-31 00:00")))
def test_the_periods_are_those_found_by_looking_at_every_minute(case: tuple[Hours, Period]) -> None:
    opening, within = case
    assert list(open_periods(opening, within)) == list(by_looking_at_every_minute(opening, within))


@settings(max_examples=100, deadline=None)
@given(openings(), days, st.integers(0, 500))
def test_periods_ascend_without_overlap_and_lie_within_the_window(opening: Hours, day: date, length: int) -> None:
    start = datetime.combine(day, time(9), tzinfo=UTC)
    within = Period(start, start + length * DAY)
    periods = list(open_periods(opening, within))
    assert all(within.start <= p.start < p.end <= within.end for p in periods)
    assert all(a.end <= b.start for a, b in pairwise(periods))
    assert all(p.start.tzinfo is UTC and p.end.tzinfo is UTC for p in periods)


@settings(max_examples=100, deadline=None)
@given(openings(), days)
def test_each_eligible_local_night_has_exactly_one_period(opening: Hours, first: date) -> None:
    nights = [first + offset * DAY for offset in range(40)]
    around = Period(
        datetime.combine(first - DAY, time.min, tzinfo=UTC), datetime.combine(first + 42 * DAY, time.min, tzinfo=UTC)
    )
    open_on = [p.start.astimezone(LONDON).date() for p in open_periods(opening, around)]
    for night in nights:
        today = opening_on(opening, night)
        eligible = today is not None and night not in opening.blackout_dates
        if eligible and today is not None:
            opens, closes = today
            if closes <= opens and closes != time.min:
                eligible = night + DAY not in opening.blackout_dates
            skipped = night in CLOCK_CHANGES and night.month == 3 and time(1) <= opens < closes <= time(2)
            eligible = eligible and not skipped
        assert open_on.count(night) == int(eligible)


@settings(max_examples=100, deadline=None)
@given(openings_and_windows(), minutes)
def test_available_are_the_open_periods_whose_cut_time_has_not_passed(
    case: tuple[Hours, Period], since: timedelta
) -> None:
    opening, window = case
    now = window.start - opening.lead_time + since
    expected = [p for p in open_periods(opening, window) if cut_time(opening, p) >= now]
    assert list(periods_available(opening, window, now)) == expected
    assert has_period(opening, window, now) is bool(expected)


@settings(max_examples=100, deadline=None)
@given(openings_and_windows(), st.lists(minutes, max_size=6))
def test_every_cut_falls_due_once_however_the_time_is_divided(
    case: tuple[Hours, Period], looks: list[timedelta]
) -> None:
    opening, span = case
    times = sorted({span.start, span.end, *(min(span.start + look, span.end) for look in looks)})
    found: list[tuple[datetime, Period]] = []
    after = span.start
    for now in times:
        found += due_cuts(opening, after, now)
        after = max(after, *(p.start for _, p in found)) if found else after
    wide = Period(span.start - 2 * DAY, span.end + opening.lead_time + 3 * DAY)
    assert found == [
        (cut_time(opening, p), p)
        for p in open_periods(opening, wide)
        if span.start < p.start and cut_time(opening, p) <= span.end
    ]


def test_a_cut_is_due_at_its_time_and_not_again_from_then_on() -> None:
    opening = replace(hours("00:30-05:30"), lead_time=timedelta(hours=12))
    night = period("2026-01-10 00:30", "2026-01-10 05:30")
    at = utc("2026-01-09 12:30")
    begun = utc("2026-01-09 12:00")
    assert list(due_cuts(opening, begun, at - MINUTE)) == []
    assert list(due_cuts(opening, begun, at)) == [(at, night)]
    assert list(due_cuts(opening, night.start, at + MINUTE)) == []


def test_a_longer_lead_time_leaves_no_night_out() -> None:
    opening = replace(hours("00:30-05:30"), lead_time=timedelta(hours=12))
    night = period("2026-01-10 00:30", "2026-01-10 05:30")
    at = utc("2026-01-09 12:30")
    assert [found for _, found in due_cuts(opening, at, at)] == [night]
    longer = replace(opening, lead_time=timedelta(hours=60))
    starts = [found.start for _, found in due_cuts(longer, night.start, at + MINUTE)]
    assert starts == [utc("2026-01-11 00:30"), utc("2026-01-12 00:30")]


@settings(max_examples=100)
@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=5, max_size=5))
def test_an_instant_is_in_the_intersection_exactly_if_it_is_in_both(instants: list[datetime]) -> None:
    a, b = Period(instants[0], instants[1]), Period(instants[2], instants[3])
    shared = intersection(a, b)
    assert shared == intersection(b, a)
    for instant in instants:
        in_both = a.start <= instant < a.end and b.start <= instant < b.end
        assert in_both == (shared is not None and shared.start <= instant < shared.end)
