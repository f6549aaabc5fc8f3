"""CSP regions: when, how many and how fast hubs are upgraded in each (`regions.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sr_engine.configuration import values
from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.configuration.reader import Array, ASet, Key, Named, Place, Scalar, Table

NATIONS: Final = ("England and Wales", "Scotland")
"""Those that have bank holidays of their own in Great Britain."""

CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours of one weekday, in local time; a period crosses midnight if `open_until` is the earlier of the two."""

    weekday: str
    open_from: time
    open_until: time


@dataclass(frozen=True, slots=True)
class Region:
    """What the planner and the triggers know of one CSP region (section 5 of the domain description, Region triggers).

    An open period begins at `open_from` on a day of `weekdays` and ends at the next `open_until`, both local times of
    `time_zone`; it crosses midnight if `open_until` is the earlier of the two. Weekdays may have hours of their own.
    """

    name: str
    """A value of CSPRegion."""
    csp_name: str
    csp_eui: str
    """Canonical; the CSP signs with the WAN-provider certificate of this EUI."""
    endpoint: str
    time_zone: ZoneInfo
    open_from: time
    open_until: time
    weekdays: frozenset[int]
    """Days on which an open period may begin, as `date.weekday` counts: Monday is 0."""
    blackout_dates: frozenset[date]
    """Local dates on which nothing is upgraded: an open period that has any part on one is left out."""
    hubs_per_night: int
    list_size: int
    """The most hubs in one upgrade list."""
    lead_time: timedelta
    """The CSP has a list at least this long before its first period begins."""
    acknowledgement_sla: timedelta
    """Counted from the moment a list was delivered."""
    completion_sla: timedelta
    """Counted from the end of the window."""
    distribution_sla: timedelta
    """Firmware of meters and PPMIDs is brought to their hubs within it; counted from the acceptance of the request."""
    alert_sla: timedelta
    """From a CSP's report to the moment the alerts to the Suppliers are queued."""
    token_sha256: str | None = None
    """SHA-256 of the bearer token with which its CSP fetches messages; None: it cannot."""
    hours_by_weekday: Mapping[int, Hours] = field(default_factory=dict)
    """Those of weekdays that have other hours than `open_from` to `open_until`."""
    bank_holidays: frozenset[str] = frozenset()
    """The nations whose bank holidays it heeds."""
    on_bank_holidays: int | str | None = None
    """CLOSED, or the weekday whose hours it has on them; None if it heeds none."""
    taken_as: Mapping[date, int] = field(default_factory=dict)
    """Local dates that have the hours of another weekday than their own: bank holidays, unless it is closed then."""


@dataclass(frozen=True, slots=True)
class Regions:
    """All regions, and those whose hubs cannot be upgraded."""

    region: Mapping[str, Region]
    not_upgradable: frozenset[str]


def _check_region(region: Region, place: Place) -> None:
    if region.open_from == region.open_until:
        place.inside("open_until").report(f"must differ from open_from, which is {region.open_from} too")
    for weekday, hours in region.hours_by_weekday.items():
        if weekday not in region.weekdays:
            place.inside("hours").inside(hours.weekday).report("is not one of weekdays; add it there, or take this out")
    on_holidays = region.on_bank_holidays
    if region.bank_holidays and on_holidays is None:
        place.inside("on_bank_holidays").report(f"is missing; with bank_holidays it must be {_ON_HOLIDAYS.wants}")
    elif not region.bank_holidays and on_holidays is not None:
        place.inside("on_bank_holidays").report("must be left out: bank_holidays names no nation")
    elif on_holidays not in {None, CLOSED} and on_holidays not in region.weekdays:
        place.inside("on_bank_holidays").report(f'is not one of weekdays; name one that is, or "{CLOSED}"')


def _check_hours(hours: Hours, place: Place) -> None:
    if hours.open_from == hours.open_until:
        place.inside("open_until").report(f"must differ from open_from, which is {hours.open_from} too")


def _region(hours: Mapping[str, Hours] | None = None, **values_of: Any) -> Region:
    by_weekday = {_WEEKDAY.convert(name): one for name, one in (hours or {}).items()}
    return Region(hours_by_weekday=by_weekday, **values_of)


def _closed_or_weekday(value: object) -> int | str:
    return CLOSED if value == CLOSED else _WEEKDAY.convert(value)


def _check_regions(regions: Regions, place: Place) -> None:
    tokens: dict[str, str] = {}
    for name, region in regions.region.items():
        if region.token_sha256 is not None and tokens.setdefault(region.token_sha256, name) != name:
            place.inside("region").inside(name).inside("token_sha256").report(
                f"is that of {tokens[region.token_sha256]} too; every region has a token of its own"
            )
    for name in CSP_REGIONS:
        if name in regions.region and name in regions.not_upgradable:
            place.inside("not_upgradable").report(f"names {name}, which also has a table of its own")
        elif name not in regions.region and name not in regions.not_upgradable:
            place.report(f"{name} is missing; give it a table of its own or name it in not_upgradable")


_WEEKDAY = values.weekday()
_ON_HOLIDAYS: Scalar[int | str] = Scalar(f'"{CLOSED}" or {_WEEKDAY.wants}', _closed_or_weekday)

_HOURS = Table(
    Hours,
    Key("open_from", values.local_time()),
    Key("open_until", values.local_time()),
    check=_check_hours,
)

_REGION = Table(
    _region,
    Key("csp_name", values.text()),
    Key("csp_eui", values.eui()),
    Key("endpoint", values.url()),
    Key("time_zone", values.time_zone()),
    Key("open_from", values.local_time()),
    Key("open_until", values.local_time()),
    Key("weekdays", ASet(Array(values.weekday(), may_be_empty=False))),
    Key("blackout_dates", ASet(Array(values.day()))),
    Key("hubs_per_night", values.whole_number(1)),
    Key("list_size", values.whole_number(1, 50_000)),
    Key("lead_time_hours", values.hours(0, 2160), field="lead_time"),
    Key("acknowledgement_sla_hours", values.hours(1, 720), field="acknowledgement_sla"),
    Key("completion_sla_hours", values.hours(1, 720), field="completion_sla"),
    Key("distribution_sla_hours", values.hours(1, 2160), field="distribution_sla"),
    Key("alert_sla_seconds", values.seconds(1, 86_400), field="alert_sla"),
    Key("token_sha256", values.token_sha256(), optional=True),
    Key("hours", Named(_HOURS, "weekday", values.known(_WEEKDAY.wants, values.WEEKDAYS)), optional=True),
    Key("bank_holidays", ASet(Array(values.choice(NATIONS))), optional=True),
    Key("on_bank_holidays", _ON_HOLIDAYS, optional=True),
    check=_check_region,
)

REGIONS = Table(
    Regions,
    Key("region", Named(_REGION, "name", values.choice(CSP_REGIONS))),
    Key("not_upgradable", ASet(Array(values.choice(CSP_REGIONS)))),
    check=_check_regions,
)
"""What `regions.toml` holds."""
