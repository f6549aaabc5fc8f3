"""The same campaign under other terms and by other means: pure models over days, without the processor.

One model serves all: a queue of hubs per region, a capacity per night, and a channel that says how fast and how
faultlessly what Suppliers want becomes a plan. Numbers of hubs are whole; what percentages leave over is carried on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sr_engine.national.parameters import CampaignParameters, Channel, CspParameters, Parameters
from sr_engine.national.results import Result, costs_of

PILOT_WAVE = 0
MORNING_HOURS = 18
"""From the opening's time of day to the morning on which hubs upgraded in the night of that day are active."""
_CLEAR_AFTER_DAYS = 3
"""From the end of a pilot window until the last outcome counts: the longest completion SLA, rounded."""


class Regime(StrEnum):
    """Under which terms a release is played."""

    VOLUNTARY = "Voluntary"
    MANDATORY = "Mandatory"
    DCC_MANAGED = "DCCManaged"


@dataclass(frozen=True, slots=True)
class Group:
    """Hubs that are alike for the models."""

    region: str
    supplier: str
    """Of electricity, which schedules."""
    wave: int
    split: bool
    hubs: int


@dataclass(frozen=True, slots=True)
class Case:
    """What every model begins with."""

    nights: Mapping[str, Sequence[int]]
    """By region: the days after the opening on the evening of which a night begins, ascending."""
    capacity: Mapping[str, int]
    list_size: Mapping[str, int]
    agreed: Sequence[Group]
    """Hubs that all Suppliers concerned want upgraded."""
    reluctant: Mapping[str, int]
    """By region: hubs that somebody declines or never answers for; only compulsion upgrades them."""
    excluded: Mapping[str, int]
    """By region: hubs kept out, which nothing upgrades."""
    answers: Mapping[str, int]
    """By Supplier: hubs that it declines, excludes, or approves for another to schedule."""
    notice_days: int
    lead_days: int
    comply_by_day: int

    @property
    def hubs(self) -> int:
        """All of them."""
        return sum(one.hubs for one in self.agreed) + sum(self.reluctant.values()) + sum(self.excluded.values())


@dataclass(slots=True)
class Carried:
    """Takes a percentage of whole numbers, and carries what is left over to the next."""

    percent: float
    _left: float = 0.0

    def of(self, number: int) -> int:
        """So many of `number`, over all calls together exact to one."""
        exact = number * self.percent / 100 + self._left
        whole = min(int(exact + 1e-9), number)
        self._left = exact - whole
        return whole


@dataclass(slots=True)
class _Waiting:
    """Hubs in the queue of a region."""

    supplier: str
    ready: int
    deadline: int
    """Their window ends on this day."""
    start: int
    """The first day of the window that was wanted first."""
    attempt: int
    hubs: int
    compulsory: bool = False


def share_out(places: int, waiting: Mapping[str, int]) -> dict[str, int]:
    """Share places between Suppliers in proportion to what each has waiting, by largest remainder, then by name."""
    total = sum(waiting.values())
    if total <= places:
        return dict(waiting)
    shares, order = {}, []
    for supplier, number in waiting.items():
        shares[supplier], remainder = divmod(places * number, total)
        order.append((-remainder, number, supplier))
    for _, _, supplier in sorted(order)[: places - sum(shares.values())]:
        shares[supplier] += 1
    return shares


def model(name: str, case: Case, parameters: Parameters, regime: Regime, channel: Channel) -> Result:
    """Play a campaign under `regime` by means of `channel`."""
    result = Result(name, False, case.hubs)
    campaign = parameters.campaign
    sends = regime is not Regime.DCC_MANAGED
    entries, unmatched = _entries(case, parameters, channel) if sends else ([], Counter[str]())
    again: Counter[tuple[str, int]] = Counter()
    for region in case.nights:
        queue = [waiting for where, waiting in entries if where == region]
        left = sum(one.hubs for one in case.agreed if one.region == region) if not sends else unmatched[region]
        nights = _Region(
            case,
            region,
            campaign=campaign,
            csp=parameters.csp,
            channel=channel,
            regime=regime,
            result=result,
            again=again,
        )
        nights.play(queue, reluctant=case.reluctant.get(region, 0) + left)
    first_items = _items(case, channel) if sends else sum(1 for hubs in case.answers.values() if hubs)
    result.items = first_items + sum(-(-hubs // channel.hubs_per_item) for hubs in again.values())
    result.messages += result.items * channel.messages_per_item
    if channel.summary_every_days:
        result.messages += len(parameters.suppliers) * -(-result.days // channel.summary_every_days)
    result.costs = costs_of(channel, parameters, result)
    return result


def _by_supplier_and_wave(case: Case) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for one in case.agreed:
        found[one.supplier][one.wave] += one.hubs
    return found


def _items(case: Case, channel: Channel) -> int:
    """What Suppliers send before anything has to be sent again."""
    waves = sum(
        -(-hubs // channel.hubs_per_item) for of in _by_supplier_and_wave(case).values() for hubs in of.values()
    )
    return waves + sum(-(-hubs // channel.hubs_per_item) for hubs in case.answers.values())


def _entries(case: Case, parameters: Parameters, channel: Channel) -> tuple[list[tuple[str, _Waiting]], Counter[str]]:
    """By region, the hubs that Suppliers enter, each from when it can be planned, and those never matched."""
    campaign = parameters.campaign
    schedules_after = {one.name: one.schedules_after_days for one in parameters.suppliers}
    last_answer = max(schedules_after.values())
    gate = (
        campaign.pilot_from_days + campaign.pilot_days + _CLEAR_AFTER_DAYS + -(-campaign.soak.total_seconds() // 86_400)
    )
    entries: list[tuple[str, _Waiting]] = []
    lost: Counter[str] = Counter()
    unmatched = Carried(channel.unmatched)
    sent_on: dict[tuple[str, int], int] = {}
    for supplier, waves in _by_supplier_and_wave(case).items():
        items = 0
        for wave in sorted(waves):
            items += -(-waves[wave] // channel.hubs_per_item)
            sent_on[supplier, wave] = schedules_after[supplier] + (items - 1) // channel.items_per_day
    for one in case.agreed:
        pilot = one.wave == PILOT_WAVE
        days = campaign.pilot_days if pilot else campaign.wave_days
        start = campaign.pilot_from_days if pilot else campaign.first_wave_days + (one.wave - 1) * campaign.wave_days
        planned = sent_on[one.supplier, one.wave] + channel.days_to_plan
        hubs = one.hubs
        if one.split:
            never = unmatched.of(hubs)
            lost[one.region] += never
            hubs -= never
            planned = max(planned, last_answer) + channel.days_to_match
        ready = max(start, planned, 0 if pilot else int(gate))
        waiting = _Waiting(one.supplier, ready, ready + days, start, attempt=1, hubs=hubs)
        entries.append((one.region, waiting))
    return entries, lost


class _Region:
    """The nights of one region."""

    def __init__(
        self,
        case: Case,
        region: str,
        *,
        campaign: CampaignParameters,
        csp: CspParameters,
        channel: Channel,
        regime: Regime,
        result: Result,
        again: Counter[tuple[str, int]],
    ) -> None:
        self._nights = case.nights[region]
        self._capacity = case.capacity[region]
        self._list_size = case.list_size[region]
        self._campaign, self._csp, self._channel, self._result, self._again = campaign, csp, channel, result, again
        self._comply_by = case.comply_by_day
        self._compelled_from: int | None = None
        if regime is Regime.MANDATORY:
            self._compelled_from = max(case.notice_days, case.comply_by_day - case.lead_days)
        elif regime is Regime.DCC_MANAGED:
            self._compelled_from = case.notice_days
        split = sum(one.hubs for one in case.agreed if one.split)
        all_agreed = sum(one.hubs for one in case.agreed)
        self._split = Carried(100 * split / all_agreed if all_agreed else 0)
        self._refuse, self._fail = Carried(csp.refuse), Carried(csp.fail)
        self._lose, self._wrong = Carried(csp.lose), Carried(channel.wrong)
        self._given_up = 0
        self._queue: list[_Waiting] = []

    def play(self, queue: Iterable[_Waiting], *, reluctant: int) -> None:
        self._queue = list(queue)
        compelled = False
        for day in self._nights:
            self._expire(day)
            if self._compelled_from is not None and day >= self._compelled_from and not compelled:
                compelled = True
                self._compel(reluctant + self._given_up, day)
                self._given_up = 0
            if not self._queue and (compelled or self._compelled_from is None):
                return
            self._night(day)
        self._expire(self._nights[-1] + self._campaign.wave_days + 1 if self._nights else 0)

    def _compel(self, hubs: int, day: int) -> None:
        if hubs and day < self._comply_by:
            self._queue.append(_Waiting("", day, self._comply_by, day, 1, hubs, compulsory=True))

    def _expire(self, day: int) -> None:
        """Windows that have ended without a place."""
        for one in self._queue:
            if one.deadline <= day and one.hubs:
                self._result.misses += one.hubs
                hubs, one.hubs = one.hubs, 0
                if not one.compulsory:
                    self._enter_again(replace(one, hubs=hubs), one.deadline)
        self._queue = [one for one in self._queue if one.hubs]

    def _enter_again(self, one: _Waiting, day: int) -> None:
        """Hubs that came to nothing on a day are sent again, planned by the processor, or given up."""
        if self._compelled_from is not None and day + 1 >= self._compelled_from:
            if day + 1 < self._comply_by:
                self._queue.append(
                    replace(one, ready=day + 1, deadline=self._comply_by, attempt=one.attempt + 1, compulsory=True)
                )
        elif one.attempt >= self._campaign.attempts:
            self._given_up += one.hubs
        else:
            sent = day + self._channel.days_to_hear + self._campaign.retry_after_days
            ready = sent + self._channel.days_to_plan
            self._again[one.supplier, sent] += one.hubs
            self._queue.append(
                replace(one, ready=ready, deadline=ready + self._campaign.wave_days, attempt=one.attempt + 1)
            )

    def _night(self, day: int) -> None:
        chosen = self._choose(day)
        listed = sum(hubs for _, hubs in chosen)
        if not listed:
            return
        lists = -(-listed // self._list_size)
        self._result.messages += 2 * lists + 2 * -(-listed // self._csp.report_size)
        for one, hubs in chosen:
            self._carry_out(one, hubs, day)
        self._queue = [one for one in self._queue if one.hubs]

    def _choose(self, day: int) -> list[tuple[_Waiting, int]]:
        """Who gets the places: agreed hubs first, then by deadline, then in proportion between Suppliers."""
        ranks: dict[tuple[bool, int], list[_Waiting]] = defaultdict(list)
        for one in self._queue:
            if one.ready <= day < one.deadline:
                ranks[one.compulsory, one.deadline].append(one)
        places, chosen = self._capacity, []
        for (compulsory, deadline), alike in sorted(ranks.items(), key=lambda item: item[0]):
            at_most = places
            if compulsory:
                left = sum(1 for night in self._nights if day <= night < deadline)
                at_most = min(places, -(-sum(one.hubs for one in alike) // left))
            waiting: Counter[str] = Counter()
            for one in alike:
                waiting[one.supplier] += one.hubs
            shares = share_out(at_most, waiting)
            for one in sorted(alike, key=lambda one: (one.supplier, one.ready, one.start)):
                hubs = min(one.hubs, shares[one.supplier])
                if hubs:
                    shares[one.supplier] -= hubs
                    places -= hubs
                    chosen.append((one, hubs))
        return chosen

    def _carry_out(self, one: _Waiting, hubs: int, day: int) -> None:
        refused = self._refuse.of(hubs)
        tried = hubs - refused
        one.hubs -= tried
        wrong = self._wrong.of(tried)
        failed = self._fail.of(tried - wrong)
        lost = self._lose.of(tried - wrong - failed)
        done = tried - wrong - failed - lost
        self._result.misses += wrong + lost
        self._result.failures += failed
        self._result.by_day[day] += done
        self._result.waits[one.supplier][(day - one.start) * 24 + MORNING_HOURS] += done
        split = self._split.of(done)
        self._result.messages += (done + split) * self._channel.messages_per_hub
        self._result.messages += split * self._channel.messages_per_split_hub
        if wrong + failed + lost:
            self._enter_again(replace(one, hubs=wrong + failed + lost), day + 1)
