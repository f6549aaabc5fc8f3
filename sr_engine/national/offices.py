"""What simulated Suppliers do: exclude, decline, approve, schedule in waves, and again what came to nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from signing import Signer, VerifiedDocument, Verifier, parse
from sr_engine.messages.compose import build_request
from sr_engine.messages.decode import decode_response
from sr_engine.messages.glance import alert_element
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    CommsHubFirmwareResult,
    Decision,
    DeviceChangeOfSupplier,
    ExclusionAction,
    FirmwareDistributionFailure,
    Period,
    Phase,
    RefusalReason,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.national.country import (
    ELECTRICITY_DECLINES,
    EXCLUDED,
    FIRMWARE,
    GAS_DECLINES,
    NO_GAS,
    PILOT,
    SILENT,
    Country,
    chf,
    number_of,
)
from sr_engine.national.parameters import CampaignParameters

_RESPONSE_ROLES = frozenset({"89"})
_DAY = timedelta(days=1)
_ACTED_ON = {"FirmwareDistributionFailure", "ChangeOfSupplier"}
_TRIED_AGAIN = frozenset({RefusalReason.NOT_AVAILABLE, RefusalReason.WINDOW_NOT_AVAILABLE})
_SCHEMA_VERSION = "5.4"


@dataclass(frozen=True, slots=True)
class Order:
    """A request to be sent."""

    variant: str
    body: Body = field(repr=False)


@dataclass(slots=True)
class Office:
    """The people and systems of one Supplier; they work once a day, counted from the opening of the release."""

    index: int
    eui: str
    broker: str
    signer: Signer
    verifier: Verifier
    country: Country
    campaign: CampaignParameters
    schedules_after_days: int
    waves: int
    schedules: bool
    """False where the DCC manages the release: only exclusions are sent."""
    answers: Counter[str] = field(default_factory=Counter)
    """To its requests, by Service Request and code."""
    taken: int = 0
    """Messages it was sent."""
    verified: int = 0
    """Those of them whose signature it has verified."""
    _counter: int = 0
    _to_schedule: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By day, homes to be scheduled again or for the first time after a change of Supplier."""
    _to_approve: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _attempts: dict[int, int] = field(default_factory=dict)
    """Attempts of homes of which one came to nothing."""
    _today: int = 0

    @property
    def has_plans(self) -> bool:
        """Whether anything is left that it will do by itself."""
        return bool(self._today < self.schedules_after_days or self._to_schedule or self._to_approve)

    def work(self, day: int, opened_at: datetime) -> Iterator[Order]:
        """What it sends on a day."""
        self._today = day
        if day == self.schedules_after_days - 1:
            yield from self._exclude()
            if self.schedules:
                yield from self._decline()
        if not self.schedules:
            return
        if day == self.schedules_after_days:
            yield from self._approve(self._split_homes())
            yield from self._schedule_waves(opened_at)
        yield from self._approve(self._to_approve.pop(day, ()))
        again = [number for number in self._to_schedule.pop(day, ()) if self._wants(number)]
        start = max(day + 1, self.campaign.first_wave_days)
        yield from self._schedule(again, self._window(opened_at, start, self.campaign.wave_days), Phase.GENERAL)

    def request(self, order: Order) -> bytes:
        """The signed request."""
        self._counter += 1
        root = build_request(
            schema_version=_SCHEMA_VERSION,
            request_id=f"{self.eui}:{self.broker}:{self._counter}",
            command_variant=8,
            service_reference=order.variant,
            service_reference_variant=order.variant,
            body=order.body,
        )
        return self.signer.sign(root)

    def answered(self, order: Order, answer: bytes, now: datetime) -> None:
        """Read the answer to a request; what may be available later is scheduled again."""
        response = decode_response(self._verified(answer, now))
        self.answers[f"{order.variant} {response.code}"] += 1
        if isinstance(order.body, ScheduleCommsHubFirmware) and isinstance(response.result, CommsHubFirmwareResult):
            for reason in _TRIED_AGAIN & response.result.refused.keys():
                self._again(map(number_of, response.result.refused[reason]))

    def take(self, alert: bytes, now: datetime) -> None:
        """Receive an alert; verified are some of all and each that is acted on."""
        self.taken += 1
        acted_on = alert_element(alert) in _ACTED_ON
        if not acted_on and self.taken % self.campaign.verify_one_alert_in:
            return
        response = decode_response(self._verified(alert, now))
        self.verified += 1
        match response.alert:
            case FirmwareDistributionFailure(device_ids=device_ids) if self.schedules:
                self._again(map(number_of, device_ids))
            case DeviceChangeOfSupplier(device_id=device_id) if self.schedules:
                self._gain(number_of(device_id))
            case _:
                pass

    def _verified(self, data: bytes, now: datetime) -> VerifiedDocument:
        return self.verifier.verify(parse(data), roles=_RESPONSE_ROLES, at=now)

    def _again(self, numbers: Iterable[int]) -> None:
        """Only the electricity Supplier schedules; it reads by 11.7 whether the other one agrees."""
        for number in numbers:
            if self.country.electricity[number] != self.index or not self.country.is_agreed(number):
                continue
            made = self._attempts[number] = self._attempts.get(number, 0) + 1
            if made < self.campaign.attempts:
                self._to_schedule[self._today + self.campaign.retry_after_days].append(number)

    def _gain(self, number: int) -> None:
        """A home has come: it is scheduled, or approved where the other Supplier schedules."""
        day = max(self._today + self.campaign.retry_after_days, self.schedules_after_days + 1)
        if self.country.electricity[number] == self.index:
            if number not in self._to_schedule[day]:
                self._to_schedule[day].append(number)
        elif not self.country.attitude[number] & (GAS_DECLINES | SILENT):
            self._to_approve[day].append(number)

    def _wants(self, number: int) -> bool:
        own = self.country.electricity[number] == self.index
        return own and not self.country.attitude[number] & (EXCLUDED | ELECTRICITY_DECLINES)

    def _exclude(self) -> Iterator[Order]:
        country = self.country
        excluded = [n for n in self._own() if country.attitude[n] & EXCLUDED]
        for some in self._portions(excluded):
            yield Order("11.9", UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, some))

    def _decline(self) -> Iterator[Order]:
        country = self.country
        declined = [n for n in self._own() if country.attitude[n] & ELECTRICITY_DECLINES]
        declined += [n for n in self._gas_of_split() if country.attitude[n] & GAS_DECLINES]
        for some in self._portions(declined):
            yield Order("11.6", ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, some))

    def _split_homes(self) -> list[int]:
        attitude = self.country.attitude
        return [n for n in self._gas_of_split() if not attitude[n] & (GAS_DECLINES | SILENT)]

    def _approve(self, numbers: Sequence[int]) -> Iterator[Order]:
        for some in self._portions([n for n in numbers if self.country.gas[n] == self.index]):
            yield Order("11.6", ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, some))

    def _schedule_waves(self, opened_at: datetime) -> Iterator[Order]:
        campaign, days = self.campaign, self.campaign.wave_days
        by_wave: defaultdict[int, list[int]] = defaultdict(list)
        for number in self._own():
            if self._wants(number):
                by_wave[self.country.wave[number]].append(number)
        pilot = self._window(opened_at, max(campaign.pilot_from_days, self._today), campaign.pilot_days)
        yield from self._schedule(by_wave[PILOT], pilot, Phase.PILOT)
        for wave in range(1, self.waves + 1):
            window = self._window(opened_at, campaign.first_wave_days + (wave - 1) * days, days)
            yield from self._schedule(by_wave[wave], window, Phase.GENERAL)

    def _schedule(self, numbers: Sequence[int], window: Period, phase: Phase) -> Iterator[Order]:
        for some in self._portions(numbers):
            yield Order("11.5", ScheduleCommsHubFirmware(FIRMWARE, window, phase, some))

    def _window(self, opened_at: datetime, from_day: int, days: int) -> Period:
        start = opened_at + from_day * _DAY
        return Period(start, start + days * _DAY)

    def _own(self) -> Iterator[int]:
        electricity = self.country.electricity
        return (number for number in range(len(electricity)) if electricity[number] == self.index)

    def _gas_of_split(self) -> Iterator[int]:
        country = self.country
        return (n for n in range(len(country)) if country.gas[n] == self.index != NO_GAS and country.is_split(n))

    def _portions(self, numbers: Sequence[int]) -> Iterator[tuple[str, ...]]:
        size = self.campaign.hubs_per_request
        for start in range(0, len(numbers), size):
            yield tuple(map(chf, numbers[start : start + size]))
