"""What is known of a hub and of one release's upgrade of it: the facts every rule reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sr_engine.domain.states import OPEN, WITH_CSP, AttemptState
from sr_engine.messages.model import Approval, Firmware, Period, Phase
from sr_engine.value_objects import value_object

T = TypeVar("T")

_MONTH = timedelta(days=30)
FOR_EVER = datetime.max.replace(tzinfo=UTC)


@value_object
class Hub:
    """A Communications Hub: the CHF's inventory record and the Suppliers its meters' registrations make responsible."""

    hub_id: str
    device_status: str | None
    region: str | None
    manufacturer: str
    model: str
    version: str | None
    electricity: str | None
    """Organisation registered as Import Supplier (IS) of the electricity meter, at the date concerned."""
    gas: str | None
    """Organisation registered as Gas Supplier (GS) of the gas meter, at the date concerned."""
    gpf_id: str | None = None
    han_models: frozenset[tuple[str, str]] = frozenset()
    """Manufacturer and model of each HAN device behind it."""

    def of(self, hub_id: str) -> Hub:
        """That of another hub that is alike; its GPF is not known."""
        return self if self.hub_id == hub_id else replace(self, hub_id=hub_id, gpf_id=None)

    @property
    def responsible(self) -> tuple[str, ...]:
        """The responsible Suppliers, each once, electricity first."""
        if self.electricity is None:
            return () if self.gas is None else (self.gas,)
        if self.gas is None or self.gas == self.electricity:
            return (self.electricity,)
        return (self.electricity, self.gas)

    def is_responsible(self, organisation: str, roles: frozenset[str]) -> bool:
        """True if `organisation` is responsible for this hub in one of `roles`."""
        return ("IS" in roles and self.electricity == organisation) or ("GS" in roles and self.gas == organisation)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A Supplier keeps a hub out of pilots and voluntary waves, `until` a time or until it says otherwise."""

    organisation: str
    until: datetime | None
    overridden: bool = False
    """The operator has confirmed that a compulsory upgrade need not heed it."""


@dataclass(frozen=True, slots=True)
class Release:
    """A firmware release that Suppliers may schedule."""

    release_id: str
    firmware: Firmware
    image_hash: str
    status: str
    cpl_status: str
    management: str
    regions: frozenset[str]
    general_open: frozenset[str]
    """Regions whose gate to the General phase is open."""
    reachable_from: frozenset[str]
    """Versions from which this one may be installed (FACTS HX7); versions are never compared otherwise."""
    han_models: frozenset[tuple[str, str]]
    """Manufacturer and model of HAN devices that this release may break."""
    obligation: str = "Voluntary"
    comply_by: datetime | None = None
    compulsory_from: datetime | None = None
    """From when the processor plans all remaining hubs by itself: ComplyBy minus the lead, or since the DCC manages."""
    halted: frozenset[str] = frozenset()
    """Regions in which nothing more of it is listed until it is resumed or withdrawn."""

    def compulsory_window(self, now: datetime) -> Period | None:
        """The time in which the processor plans by itself; None while Suppliers decide, or once ComplyBy has passed.

        What it has planned goes on while the release is closed; the planner sees to it that nothing is added then.
        """
        if self.status == "Withdrawn" or self.compulsory_from is None or self.comply_by is None:
            return None
        if now < self.compulsory_from:
            return None
        if now < self.comply_by:
            return Period(self.compulsory_from, self.comply_by)
        if self.management != "DCCManaged":
            return None
        # Nobody else plans what is left then, so the DCC goes on, a month at a time.
        months = (now - self.comply_by) // _MONTH
        return Period(self.comply_by + months * _MONTH, self.comply_by + (months + 1) * _MONTH)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A Supplier's schedule (11.5), as far as the rules need it."""

    schedule_id: int
    organisation: str
    window: Period
    phase: Phase
    request_id: str


@value_object
class Answer:
    """What one responsible Supplier has decided; `schedule` where it did so by a schedule that is still in force."""

    approval: Approval
    request_id: str
    schedule: Schedule | None = None
    defer_until: datetime | None = None
    accepts_han_impact: bool = False
    """It was given knowing that HAN devices may break."""

    def at(self, now: datetime) -> Approval:
        """The approval as it stands at `now`: a deferral that has run out is Pending again."""
        if self.approval is Approval.DEFERRED and self.defer_until is not None and self.defer_until <= now:
            return Approval.PENDING
        return self.approval


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at upgrading a hub; numbered from 1 per hub and release."""

    number: int
    state: AttemptState
    window: Period
    pilot: bool
    organisation: str
    state_at: datetime
    attempt_id: int | None = None
    list_id: str | None = None
    period: Period | None = None
    reason: str | None = None
    compulsory: bool = False
    """Planned by the processor, whatever Suppliers have answered."""
    reported_at: datetime | None = None
    """When the report was taken in by which the CSP last brought it forward."""

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def with_csp(self) -> bool:
        return self.state in WITH_CSP


@value_object
class HubUpgrade:
    """A hub, what its Suppliers have answered to one release, and the newest attempt."""

    hub: Hub
    answers: Mapping[str, Answer] = field(default_factory=dict)
    attempt: Attempt | None = None
    other_release_open: bool = False
    """Another release's upgrade of this hub is under way."""
    exclusions: tuple[Exclusion, ...] = ()
    """Those that run."""
    quiet: tuple[Period, ...] = ()
    """The quiet days around known changes of Supplier."""

    def of(self, hub_id: str) -> HubUpgrade:
        """That of another hub that is alike."""
        return self if self.hub.hub_id == hub_id else replace(self, hub=self.hub.of(hub_id))

    @property
    def with_csp(self) -> bool:
        """True if the hub stands on a list that was cut: nothing can be changed any more (code nn08)."""
        return self.attempt is not None and self.attempt.with_csp

    def answered(self, organisation: str, answer: Answer) -> HubUpgrade:
        """This upgrade with one Supplier's answer replaced."""
        answers = {**self.answers, organisation: answer}
        # Not `replace`, which takes three times as long: this is done for each hub of each list.
        return HubUpgrade(self.hub, answers, self.attempt, self.other_release_open, self.exclusions, self.quiet)

    def blocked(self, now: datetime, *, compulsory: bool = False) -> tuple[Period, ...]:
        """When nothing may be done to the hub, from `now` on; a compulsory upgrade heeds fewer exclusions."""
        excluded = [
            Period(now, one.until or FOR_EVER) for one in self.exclusions if not (compulsory and one.overridden)
        ]
        return (*excluded, *self.quiet)

    def han_accepted(self, release: Release) -> bool:
        """True if nothing behind the hub may break, or everybody responsible has accepted that it may."""
        if not self.hub.han_models & release.han_models:
            return True
        answers = [self.answers.get(organisation) for organisation in self.hub.responsible]
        return all(answer is not None and answer.accepts_han_impact for answer in answers)

    def approval_of(self, organisation: str, now: datetime) -> Approval:
        answer = self.answers.get(organisation)
        return Approval.PENDING if answer is None else answer.at(now)

    def approval_of_others(self, organisation: str, now: datetime) -> Approval:
        """What a Supplier may see of the other side: its answer, or `None` where there is no other side."""
        others = [other for other in self.hub.responsible if other != organisation]
        return self.approval_of(others[0], now) if others else Approval.NONE


Alike = tuple[HubUpgrade, Sequence[str]]
"""Hubs of which all is known alike but their ids, and so is all that is decided: that of one of them, and their ids."""


@value_object
class Listed(Generic[T]):
    """What is known of the hubs that a list names."""

    hub_ids: Mapping[str, str]
    """CHF id by canonical id of CHF or GPF, of those of which something is known."""
    known: Mapping[str, T]
    """By CHF id; hubs that are alike may share it, and it bears the id of one of them."""
