"""Bank holidays by nation (`bank_holidays.toml`), and what regions make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Final

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, ASet, Key, Named, Place, Table
from sr_engine.configuration.regions import NATIONS, Region


@dataclass(frozen=True, slots=True)
class Nation:
    """The bank holidays of one nation."""

    name: str
    dates: frozenset[date]


@dataclass(frozen=True, slots=True)
class BankHolidays:
    """Every bank holiday up to and including a date."""

    nation: Mapping[str, Nation]
    complete_until: date


def with_holidays(region: Region, known: BankHolidays, place: Place) -> Region:
    """Return a region whose calendar knows the holidays it heeds.

    Where it is closed on them they are blackout dates; otherwise they have the hours of the weekday it names.
    """
    dates: set[date] = set()
    for name in sorted(region.bank_holidays):
        nation = known.nation.get(name)
        if nation is None:
            place.inside("bank_holidays").report(f"{name} is not in bank_holidays.toml")
        else:
            dates |= nation.dates
    taken_as = region.on_bank_holidays
    if isinstance(taken_as, int):
        return replace(region, taken_as=MappingProxyType(dict.fromkeys(dates, taken_as)))
    return replace(region, blackout_dates=region.blackout_dates | dates)


def _check(holidays: BankHolidays, place: Place) -> None:
    for nation in holidays.nation.values():
        beyond = [day for day in nation.dates if day > holidays.complete_until]
        if beyond:
            place.inside("nation").inside(nation.name).inside("dates").report(
                f"holds {min(beyond)}, which is after complete_until: move that on, once all up to then are named"
            )


BANK_HOLIDAYS: Final = Table(
    BankHolidays,
    Key(
        "nation",
        Named(
            Table(Nation, Key("dates", ASet(Array(values.day(), may_be_empty=False)))), "name", values.choice(NATIONS)
        ),
    ),
    Key("complete_until", values.day()),
    check=_check,
)
"""What `bank_holidays.toml` holds."""
