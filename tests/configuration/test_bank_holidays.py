"""Bank holidays: what is said of mistakes, what regions make of them, and that the shipped ones are right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from pathlib import Path

import pytest

from sr_engine.configuration import Configuration, load

Edit = Callable[[str, str, str], None]
Problems = Callable[[], tuple[str, ...]]

DAY = timedelta(days=1)
HOLIDAYS, REGIONS = "bank_holidays.toml", "regions.toml"
NORTH = 'bank_holidays = ["England and Wales", "Scotland"]\non_bank_holidays = "Monday"'


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (
            HOLIDAYS,
            ("2026-12-28,", '"2026-12-28",'),
            (
                'bank_holidays.toml: nation."England and Wales".dates[8]: must be a date such as 2026-12-25, '
                "without quotes, not '2026-12-28'"
            ),
        ),
        (
            HOLIDAYS,
            ("2026-12-28,", "2026-12-25,"),
            'bank_holidays.toml: nation."England and Wales".dates[8]: stands in the list already; take it out',
        ),
        (
            HOLIDAYS,
            ("2028-12-26,", "2029-01-01,"),
            (
                'bank_holidays.toml: nation."England and Wales".dates: holds 2029-01-01, which is after '
                "complete_until: move that on, once all up to then are named"
            ),
        ),
        (
            HOLIDAYS,
            ("complete_until = 2028-12-31\n", ""),
            "bank_holidays.toml: complete_until: is missing; it must be a date such as 2026-12-25, without quotes",
        ),
        (
            HOLIDAYS,
            ("[nation.Scotland]", "[nation.Wales]"),
            "bank_holidays.toml: nation.Wales: must be one of England and Wales, Scotland, not 'Wales'",
        ),
        (
            REGIONS,
            (NORTH, NORTH.replace("Scotland", "Wales")),
            "regions.toml: region.North.bank_holidays[2]: must be one of England and Wales, Scotland, not 'Wales'",
        ),
        (
            REGIONS,
            (NORTH, NORTH.replace("Monday", "holiday")),
            (
                'regions.toml: region.North.on_bank_holidays: must be "closed" or one of Monday, Tuesday, Wednesday, '
                "Thursday, Friday, Saturday, Sunday, not 'holiday'"
            ),
        ),
        (
            REGIONS,
            (NORTH, NORTH.replace("Monday", "Saturday")),
            'regions.toml: region.North.on_bank_holidays: is not one of weekdays; name one that is, or "closed"',
        ),
        (
            REGIONS,
            (NORTH, NORTH.splitlines()[0]),
            (
                'regions.toml: region.North.on_bank_holidays: is missing; with bank_holidays it must be "closed" or '
                "one of Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"
            ),
        ),
        (
            REGIONS,
            (NORTH, NORTH.splitlines()[1]),
            "regions.toml: region.North.on_bank_holidays: must be left out: bank_holidays names no nation",
        ),
        (
            REGIONS,
            (NORTH, NORTH + "\nhours.Sunday = { open_from = 01:00:00, open_until = 05:00:00 }"),
            "regions.toml: region.North.hours.Sunday: is not one of weekdays; add it there, or take this out",
        ),
        (
            REGIONS,
            (NORTH, NORTH + "\nhours.Monday = { open_from = 01:00:00, open_until = 01:00:00 }"),
            "regions.toml: region.North.hours.Monday.open_until: must differ from open_from, which is 01:00:00 too",
        ),
        (
            REGIONS,
            (NORTH, NORTH + "\nhours.Sonday = { open_from = 01:00:00, open_until = 02:00:00 }"),
            (
                "regions.toml: region.North.hours.Sonday: must be one of Monday, Tuesday, Wednesday, Thursday, Friday, "
                "Saturday, Sunday, not 'Sonday'"
            ),
        ),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(
    edit: Edit, problems: Problems, file: str, change: tuple[str, str], said: str
) -> None:
    edit(file, *change)
    assert problems() == (said,)


def test_a_nation_that_a_region_heeds_and_no_file_knows_is_named(directory: Path, problems: Problems) -> None:
    path = directory / HOLIDAYS
    path.write_text(path.read_text(encoding="utf-8").partition("[nation.Scotland]")[0], encoding="utf-8")
    assert problems() == (
        "regions.toml: region.North.bank_holidays: Scotland is not in bank_holidays.toml",
        'regions.toml: region."4G North".bank_holidays: Scotland is not in bank_holidays.toml',
    )


ST_ANDREW, BOXING_DAY, CHRISTMAS_EVE = date(2026, 11, 30), date(2026, 12, 28), date(2026, 12, 24)


def test_where_a_region_is_closed_on_them_they_are_blackouts(directory: Path, edit: Edit) -> None:
    edit(REGIONS, NORTH, NORTH.replace("Monday", "closed"))
    north = load(directory).regions["North"]
    assert {ST_ANDREW, BOXING_DAY, CHRISTMAS_EVE} <= north.blackout_dates
    assert not north.taken_as


def test_where_a_region_is_open_on_them_they_have_the_hours_of_the_day_named(directory: Path, edit: Edit) -> None:
    edit(REGIONS, NORTH, NORTH + "\nhours.Monday = { open_from = 01:00:00, open_until = 04:00:00 }")
    north = load(directory).regions["North"]
    assert {north.taken_as[ST_ANDREW], north.taken_as[BOXING_DAY]} == {0}
    assert not {ST_ANDREW, BOXING_DAY} & north.blackout_dates
    assert (north.hours_by_weekday[0].open_from, north.hours_by_weekday[0].open_until) == (time(1), time(4))


def test_each_shipped_region_heeds_the_nations_it_names(shipped: Configuration) -> None:
    heeded = {name: ST_ANDREW in region.taken_as for name, region in shipped.regions.items()}
    assert {name for name, heeds in heeded.items() if heeds} == {"North", "4G North"}
    assert all(BOXING_DAY in region.taken_as for region in shipped.regions.values())


# --- the rules of the calendar, apart from what is proclaimed ---------------------------------------------------------


def easter(year: int) -> date:
    """Gauss's algorithm, Gregorian."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    after = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * after) // 451
    month, day = divmod(h + after - 7 * m + 114, 31)
    return date(year, month, day + 1)


def first_monday(year: int, month: int) -> date:
    return next(date(year, month, day) for day in range(1, 8) if date(year, month, day).weekday() == 0)


def last_monday(year: int, month: int) -> date:
    return next(date(year, month, day) for day in range(31, 24, -1) if date(year, month, day).weekday() == 0)


def with_substitutes(*fixed: date) -> Iterator[date]:
    """Each on its date, or on the first weekday after it that is no holiday."""
    taken = {day for day in fixed if day.weekday() < 5}
    for day in fixed:
        substitute = day
        while day.weekday() >= 5 and (substitute.weekday() >= 5 or substitute in taken):
            substitute += DAY
        taken.add(substitute)
        yield substitute


def holidays_of(nation: str, year: int) -> set[date]:
    found = {easter(year) - 2 * DAY, first_monday(year, 5), last_monday(year, 5)}
    found |= set(with_substitutes(date(year, 12, 25), date(year, 12, 26)))
    if nation == "Scotland":
        found |= set(with_substitutes(date(year, 1, 1), date(year, 1, 2)))
        found |= set(with_substitutes(date(year, 11, 30))) | {first_monday(year, 8)}
    else:
        found |= set(with_substitutes(date(year, 1, 1))) | {easter(year) + DAY, last_monday(year, 8)}
    return found


@pytest.mark.parametrize(
    ("nation", "region", "proclaimed"),
    [("England and Wales", "4G Central", set()), ("Scotland", "4G North", {date(2026, 6, 15)})],
)
def test_the_shipped_dates_are_those_of_the_rules_and_what_was_proclaimed(
    directory: Path, edit: Edit, nation: str, region: str, proclaimed: set[date]
) -> None:
    edit(
        REGIONS,
        '[region."4G North"] ... bank_holidays = ["England and Wales", "Scotland"]',
        'bank_holidays = ["Scotland"]',
    )
    by_rule = set().union(*(holidays_of(nation, year) for year in (2026, 2027, 2028)))
    assert set(load(directory).regions[region].taken_as) == by_rule | proclaimed
