"""CSP regions: when, how many and how fast hubs are upgraded in each (`regions.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from sr_engine.configuration import values
from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.configuration.reader import Array, ASet, Key, Named, Place, Table


@dataclass(frozen=True, slots=True)
class Region:
    """What the planner and the triggers know of one CSP region (section 5 of the domain description, Region triggers).

    An open period begins at `open_from` on a day of `weekdays` and ends at the next `open_until`, both local times of
    `time_zone`; it crosses midnight if `open_until` is the earlier of the two.
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


@dataclass(frozen=True, slots=True)
class Regions:
    """All regions, and those whose hubs cannot be upgraded."""

    region: Mapping[str, Region]
    not_upgradable: frozenset[str]


def _check_region(region: Region, place: Place) -> None:
    if region.open_from == region.open_until:
        place.inside("open_until").report(f"must differ from open_from, which is {region.open_from} too")


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


_REGION = Table(
    Region,
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
    check=_check_region,
)

REGIONS = Table(
    Regions,
    Key("region", Named(_REGION, "name", values.choice(CSP_REGIONS))),
    Key("not_upgradable", ASet(Array(values.choice(CSP_REGIONS)))),
    check=_check_regions,
)
"""What `regions.toml` holds."""
