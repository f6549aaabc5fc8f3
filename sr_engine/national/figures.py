"""The figures of a simulated campaign: read from its database, and what models of the same country begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sr_engine.configuration import Policy, Region
from sr_engine.messages.model import Period
from sr_engine.national.campaign import Played
from sr_engine.national.comparison import Case, Group
from sr_engine.national.country import EXCLUDED, NO_GAS, SILENT, Country
from sr_engine.national.parameters import Parameters
from sr_engine.national.results import Result, costs_of
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store import campaign as store
from sr_engine.store.campaign import Night

NEVER = "no attempt"
"""In place of a state, for hubs that nobody ever scheduled."""
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_DUIS, _ALERT, _LIST = "DUIS", "alert", "upgrade_list"
_UPGRADED = "Activated"


@dataclass(frozen=True, slots=True)
class SupplierFigures:
    """What became of the hubs for which a Supplier, or for it the processor, had an upgrade planned."""

    name: str
    hubs: int
    upgraded: int
    median_days: float
    """From the start of its first window until a hub was active."""
    percentile_90_days: float
    proportion: float
    """Its median wait, that over all Suppliers being 1."""

    @property
    def share(self) -> float:
        """Of its planned hubs upgraded, in per cent."""
        return 100 * self.upgraded / self.hubs if self.hubs else 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is known of a campaign that was played."""

    regime: str
    result: Result
    opened_at: datetime
    ended_at: datetime
    states: Mapping[str, Mapping[str, int]]
    """By region and state of its newest attempt: every hub once."""
    attempts: Mapping[str, int]
    on_lists: int
    """Attempts that stand on a list."""
    off_lists: int
    """How often one was taken off a list, since its CSP has refused it."""
    nights: Sequence[Night]
    capacity: Mapping[str, int]
    suppliers: Sequence[SupplierFigures]
    taken: Mapping[tuple[str, str], int]
    sent: Mapping[tuple[str, str], int]
    answers: Mapping[str, int]
    breaches: Mapping[tuple[str, str], int]
    halts: int
    alerts_taken: int
    signatures_verified: int
    lists_taken: int
    seconds: float
    cpu_seconds_of: Mapping[str, float]

    @property
    def alerts(self) -> int:
        """To Suppliers."""
        return sum(count for (kind, _), count in self.sent.items() if kind == _ALERT)

    @property
    def messages(self) -> int:
        """Requests and their answers, messages of CSPs, lists, and alerts."""
        return self.result.messages

    @property
    def messages_per_second(self) -> float:
        """Of wall time."""
        return self.messages / self.seconds if self.seconds else 0.0

    def problems(self) -> list[str]:
        """What must not be: a hub in two states or none, a full night exceeded, sums that differ, messages lost."""
        found = [
            f"{night.region}, night of {night.period.start:%Y-%m-%d}: {night.listed} hubs listed, "
            f"more than {self.capacity[night.region]}"
            for night in self.nights
            if night.listed > self.capacity[night.region]
        ]
        counted = sum(sum(states.values()) for states in self.states.values())
        if counted != self.result.hubs or any(
            count < 0 for states in self.states.values() for count in states.values()
        ):
            found.append(f"{counted:,} hubs have a state, and there are {self.result.hubs:,}")
        upgraded = sum(states.get(_UPGRADED, 0) for states in self.states.values())
        for what, number in (
            ("by day", self.result.upgraded),
            ("by Supplier", sum(one.upgraded for one in self.suppliers)),
            ("by night", sum(night.activated for night in self.nights)),
        ):
            if number != upgraded:
                found.append(f"{upgraded:,} hubs are upgraded, and {number:,} if counted {what}")
        listed = sum(night.listed for night in self.nights)
        if listed != self.on_lists + self.off_lists:
            found.append(
                f"{listed:,} hubs were listed: {self.on_lists:,} are on lists, {self.off_lists:,} were taken off"
            )
        requests = sum(count for (interface, _), count in self.taken.items() if interface == _DUIS)
        if requests != sum(self.answers.values()):
            found.append(
                f"{requests:,} requests were taken, and Suppliers have had {sum(self.answers.values()):,} answers"
            )
        lists = sum(count for (kind, _), count in self.sent.items() if kind == _LIST)
        if self.alerts_taken != self.alerts:
            found.append(f"{self.alerts:,} alerts were queued, and Suppliers have had {self.alerts_taken:,}")
        if self.lists_taken < lists:
            found.append(f"{lists:,} lists were queued, and CSPs have had {self.lists_taken:,}")
        return found


def figures_of(
    connection: Connection, played: Played, parameters: Parameters, regions: Mapping[str, Region], regime: str
) -> Figures:
    """Read the figures of a campaign from its database."""
    release_id = played.release_id
    taken, sent = store.messages(connection)
    requests = sum(count for (interface, _), count in taken.items() if interface == _DUIS)
    by_state = store.attempts_by_state(connection, release_id)
    on_lists, off_lists = store.listed(connection, release_id)
    result = Result(f"Service Requests, {regime}", True, 0)
    newest = store.newest_states(connection, release_id)
    states = {region: Counter[str]() for region in regions}
    planned: Counter[str] = Counter()
    upgraded: Counter[str] = Counter()
    for region, supplier, state, count in newest:
        states[region][state] += count
        planned[supplier] += count
        upgraded[supplier] += count if state == _UPGRADED else 0
    for region, hubs in store.hubs_by_region(connection).items():
        states[region][NEVER] = hubs - states[region].total()
        result.hubs += hubs
    for _, supplier, window_start, at in store.waits(connection, release_id):
        result.by_day[(at - played.opened_at) // _DAY] += 1
        result.waits[supplier][max(0, (at - window_start) // _HOUR)] += 1
    result.items = requests
    result.messages = 2 * requests + sum(taken.values()) - requests + sum(sent.values())
    result.misses, result.failures = by_state.get("Missed", 0), by_state.get("Failed", 0)
    result.costs = costs_of(parameters.channels.service_requests, parameters, result)
    return Figures(
        regime=regime,
        result=result,
        opened_at=played.opened_at,
        ended_at=played.ended_at,
        states=states,
        attempts=by_state,
        on_lists=on_lists,
        off_lists=off_lists,
        nights=store.nights(connection, release_id),
        capacity={name: region.hubs_per_night for name, region in regions.items()},
        suppliers=[
            SupplierFigures(
                name,
                planned[name],
                upgraded[name],
                result.wait_days(50, name),
                result.wait_days(90, name),
                result.wait_days(50, name) / (result.wait_days(50) or 1.0),
            )
            for name in sorted(planned)
        ],
        taken=taken,
        sent=sent,
        answers=played.answers,
        breaches=store.breaches(connection),
        halts=played.halts,
        alerts_taken=played.alerts_taken,
        signatures_verified=played.signatures_verified,
        lists_taken=played.lists_taken,
        seconds=played.seconds,
        cpu_seconds_of=played.cpu_seconds_of,
    )


def case_of(country: Country, parameters: Parameters, regions: Mapping[str, Region], policy: Policy) -> Case:
    """What models begin with: the country before anybody has moved, counted."""
    groups: Counter[tuple[int, int, int, bool]] = Counter()
    reluctant: Counter[str] = Counter()
    excluded: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for number in range(len(country)):
        region, supplier = country.region[number], country.electricity[number]
        split = country.is_split(number)
        if country.attitude[number] & EXCLUDED:
            excluded[country.regions[region]] += 1
            answers[country.suppliers[supplier]] += 1
        elif country.is_agreed(number):
            groups[region, supplier, country.wave[number], split] += 1
        else:
            reluctant[country.regions[region]] += 1
            if not split:
                answers[country.suppliers[supplier]] += 1
        gas = country.gas[number]
        if split and gas != NO_GAS and not country.attitude[number] & SILENT:
            answers[country.suppliers[gas]] += 1
    campaign = parameters.campaign
    opened_at = campaign.starts_at
    until = Period(opened_at, opened_at + campaign.longest_days * _DAY)
    return Case(
        nights={
            name: [
                (period.start - opened_at) // _DAY
                for period in open_periods(region, until)
                if cut_time(region, period) > opened_at
            ]
            for name, region in regions.items()
        },
        capacity={name: region.hubs_per_night for name, region in regions.items()},
        list_size={name: region.list_size for name, region in regions.items()},
        agreed=[
            Group(country.regions[region], country.suppliers[supplier], wave, split, hubs)
            for (region, supplier, wave, split), hubs in sorted(groups.items())
        ],
        reluctant=reluctant,
        excluded=excluded,
        answers=answers,
        notice_days=policy.compulsion.notice.days,
        lead_days=policy.compulsion.lead.days,
        comply_by_day=parameters.terms.comply_by_days,
    )
