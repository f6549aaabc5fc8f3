"""The plain values of the reference model: regions and their nights, hubs, releases, schedules, attempts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from sr_engine.messages.model import Firmware, Period

LONDON = ZoneInfo("Europe/London")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

OPEN = frozenset({"AwaitingApproval", "Scheduled"})
WITH_CSP = frozenset({"Listed", "Accepted", "Delivered"})


@dataclass(frozen=True)
class Region:
    """Deliberately cramped: a machine with a handful of hubs must find every night full now and then."""

    name: str
    opens: time
    closes: time
    weekdays: frozenset[int]
    blackouts: frozenset[date]
    hubs_per_night: int
    list_size: int
    lead: timedelta
    completion: timedelta

    def night(self, day: date) -> Period | None:
        """The open period that starts on a local date."""
        last = day if self.closes > self.opens else day + DAY
        if day.weekday() not in self.weekdays or {day, last} & self.blackouts:
            return None
        start, end = (datetime.combine(*at, tzinfo=LONDON) for at in ((day, self.opens), (last, self.closes)))
        return Period(start.astimezone(UTC), end.astimezone(UTC))

    def nights(self, start: datetime, end: datetime) -> Iterator[Period]:
        """The nights that lie wholly between two times."""
        day = start.date() - DAY
        while day <= end.date() + DAY:
            night = self.night(day)
            if night is not None and start <= night.start and night.end <= end:
                yield night
            day += DAY

    def cuts(self, start: datetime, end: datetime) -> Iterator[Period]:
        """The nights that begin after `start` and whose lists are due by `end`."""
        for night in self.nights(start, end + self.lead + 2 * DAY):
            if night.start > start and night.start - self.lead <= end:
                yield night


SUNDAY_TO_THURSDAY, MONDAY_TO_THURSDAY = frozenset({6, 0, 1, 2, 3}), frozenset({0, 1, 2, 3})
BLACKOUTS = frozenset({date(2026, 12, 1), date(2027, 4, 6), date(2027, 11, 9)})
REGIONS = {
    region.name: region
    for region in (
        Region("North", time(0), time(5, 30), MONDAY_TO_THURSDAY, BLACKOUTS, 1, 5, 72 * HOUR, 72 * HOUR),
        Region("Central", time(22), time(6), SUNDAY_TO_THURSDAY, BLACKOUTS, 2, 2, 48 * HOUR, 48 * HOUR),
    )
}
"""What the instance under test is configured with."""


@dataclass
class Home:
    """A hub, its meters' registrations (from when, whose) and what hangs on it."""

    hub_id: str
    region: str
    meters: dict[str, list[tuple[datetime, str | None]]]
    """By role, IS and GS, the registrations of its one meter, oldest first."""
    version: str
    status: str = "Commissioned"
    fragile: bool = False
    """A HAN device that a release may break hangs on it."""

    def supplier(self, role: str, at: datetime) -> str | None:
        past = [organisation for since, organisation in self.meters.get(role, ()) if since <= at]
        return past[-1] if past else None

    def sides(self, at: datetime) -> list[str]:
        """The responsible Suppliers, each once, electricity first."""
        found = [self.supplier(role, at) for role in ("IS", "GS")]
        return list(dict.fromkeys(one for one in found if one is not None))

    def quiet(self, before: timedelta, after: timedelta) -> Iterator[Period]:
        """The quiet days around every change of Supplier that is known."""
        for known in self.meters.values():
            for (_, loser), (at, gainer) in pairwise(known):
                if loser != gainer:
                    yield Period(at - before, at + after)

    def followed(self, organisation: str, now: datetime) -> set[str]:
        """The Suppliers from whom one has taken over a meter."""
        return {
            loser
            for known in self.meters.values()
            for (_, loser), (at, gainer) in pairwise(known)
            if gainer == organisation and loser not in {None, organisation} and at <= now
        }


@dataclass
class Release:
    """One firmware release, as the operator has set it."""

    firmware: Firmware
    regions: frozenset[str]
    reachable_from: frozenset[str]
    breaks_han: bool
    gates: set[str]
    """Regions in which General hubs may be listed."""
    automatic: bool = False
    """A gate opens by itself after the soak."""
    soak: timedelta = 72 * HOUR
    pilot_limit: int | None = None
    pilot_closes: datetime | None = None
    failure_percent: int = 10
    minimum_sample: int = 50
    status: str = "Open"
    cpl: str = "Active"
    halted: set[str] = field(default_factory=set)
    resumed: dict[str, datetime] = field(default_factory=dict)
    dcc_managed: bool = False
    compulsory_from: datetime | None = None
    comply_by: datetime | None = None
    announced: tuple[datetime, bool, datetime] | None = None
    """Terms to come: from when, whether the DCC manages it then, and by when all must comply."""
    shares: dict[str, dict[str, int]] = field(default_factory=dict)
    """By region and Supplier, how many pilot hubs it may name, where there is a limit."""


@dataclass(frozen=True)
class Schedule:
    number: int
    organisation: str
    release: str
    window: Period
    pilot: bool
    hubs: tuple[str, ...]


@dataclass
class Answer:
    """What a Supplier has said of a hub and a release."""

    approval: str
    until: datetime | None = None
    schedule: Schedule | None = None
    accepts_han: bool = False

    def at(self, now: datetime) -> str:
        if self.approval == "Deferred" and self.until is not None and self.until <= now:
            return "Pending"
        return self.approval


@dataclass
class Attempt:
    number: int
    state: str
    window: Period
    pilot: bool
    list_id: str | None = None
    night: Period | None = None
    conflict: bool = False
    compulsory: bool = False
    """Planned whatever the Suppliers have answered."""
    at: datetime | None = None
    """When it came to its outcome; for what a CSP has reported, by its word."""

    @property
    def ended_at(self) -> datetime:
        """The same of one that has an outcome."""
        assert self.at is not None
        return self.at


def overlap(one: Period, other: Period) -> bool:
    return one.start < other.end and other.start < one.end
