"""What Suppliers ask for: Service Requests 11.5, 11.6, 11.8 and 11.9, and the answers the model expects."""

from __future__ import annotations

from datetime import datetime

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sr_engine.instance import SupplierSeed
from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Period,
    Phase,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from tests.machine import supplier_requests as expected_of
from tests.machine.country import DECISIONS, FIRMWARE, MOST, RARE, SOME, WINDOWS, Country, same
from tests.machine.facts import DAY, REGIONS


class Requesting(Country):
    """Rules for what Suppliers do."""

    @rule(
        who=SOME,
        release=st.sampled_from(("one", "one", "two")),
        bits=SOME,
        days=st.sampled_from(WINDOWS),
        pilot=st.booleans(),
        accepts=st.booleans(),
        replaces=st.none() | SOME,
        stranger=RARE,
    )
    def schedule(
        self,
        *,
        who: int,
        release: str,
        bits: int,
        days: tuple[float, float],
        pilot: bool,
        accepts: bool,
        replaces: int | None,
        stranger: bool,
    ) -> None:
        """11.5."""
        supplier = self.suppliers[who % len(self.suppliers)]
        known = list(self.model.schedules)
        old = None if replaces is None or not known else known[replaces % len(known)]
        hubs, window = self.hubs(bits, stranger), self.window(days)
        self.send_schedule(
            supplier=supplier, release=release, hubs=hubs, window=window, pilot=pilot, accepts=accepts, old=old
        )

    def send_schedule(
        self,
        *,
        supplier: SupplierSeed,
        release: str,
        hubs: tuple[str, ...],
        window: Period,
        pilot: bool,
        accepts: bool,
        old: int | None,
    ) -> None:
        self.a_moment()
        body = ScheduleCommsHubFirmware(
            FIRMWARE[release],
            window,
            Phase.PILOT if pilot else Phase.GENERAL,
            hubs,
            accept_han_impact=accepts,
            replaces_schedule_id=old,
        )
        answer = self.stage.send(supplier, "11.5", body)
        number = answer.result.schedule_id if isinstance(answer.result, CommsHubFirmwareResult) else None
        code, refused = expected_of.schedule(
            self.model,
            supplier.name,
            release,
            hubs,
            window,
            pilot=pilot,
            accepts_han=accepts,
            replaces=old,
            number=number,
        )
        self.compare_answer("11.5", answer, code, refused)

    def compare_answer(self, variant: str, answer: DecodedResponse, code: str, refused: dict[str, set[str]]) -> None:
        same(answer.code, code, f"{variant} code", answer.detail if hasattr(answer, "detail") else "", refused)
        found = answer.result.refused if isinstance(answer.result, CommsHubFirmwareResult) else {}
        same(
            {reason.value.removesuffix("DeviceIDList"): set(hubs) for reason, hubs in found.items()},
            refused,
            f"{variant} refusals",
        )

    @rule(
        who=SOME,
        release=st.sampled_from(("one", "one", "two")),
        bits=SOME,
        decision=st.sampled_from(("Approved", "Approved", "Declined", "Deferred")),
        days=st.sampled_from((None, 0.5, 2, 4, -1)),
        accepts=st.booleans(),
        stranger=RARE,
    )
    def decide(
        self, *, who: int, release: str, bits: int, decision: str, days: float | None, accepts: bool, stranger: bool
    ) -> None:
        """11.6."""
        supplier = self.suppliers[who % len(self.suppliers)]
        until = self.model.now + days * DAY if decision == "Deferred" and days is not None else None
        self.send_decision(supplier, release, self.hubs(bits, stranger), decision, until=until, accepts=accepts)

    def send_decision(
        self,
        supplier: SupplierSeed,
        release: str,
        hubs: tuple[str, ...],
        decision: str,
        *,
        until: datetime | None = None,
        accepts: bool,
    ) -> None:
        self.a_moment()
        body = ApproveCommsHubFirmware(
            FIRMWARE[release], DECISIONS[decision], hubs, defer_until=until, accept_han_impact=accepts
        )
        answer = self.stage.send(supplier, "11.6", body)
        code, refused = expected_of.decide(
            self.model, supplier.name, release, hubs, decision, until=until, accepts_han=accepts
        )
        self.compare_answer("11.6", answer, code, refused)

    @precondition(lambda self: self.model.schedules)
    @rule(who=SOME, which=SOME, owner=MOST, bits=st.none() | SOME, stranger=RARE)
    def delete(self, who: int, which: int, owner: bool, bits: int | None, stranger: bool) -> None:
        """11.8, of a whole schedule or of some hubs; now and then of somebody else's."""
        self.a_moment()
        known = sorted(self.model.schedules.values(), key=lambda one: one.number)
        schedule = list(self.model.schedules.values())[-1 - which % len(known)]
        supplier = self.suppliers[who % len(self.suppliers)]
        if owner:
            supplier = next(one for one in self.suppliers if one.name == schedule.organisation)
        hubs = () if bits is None else self.hubs(bits, stranger)
        answer = self.stage.send(supplier, "11.8", DeleteCommsHubFirmwareSchedule(schedule.number, hubs))
        code, refused = expected_of.delete(self.model, supplier.name, schedule.number, hubs)
        self.compare_answer("11.8", answer, code, refused)

    @rule(who=SOME, bits=SOME, days=st.sampled_from((None, 1, 5, 12, -1)), include=st.booleans(), stranger=RARE)
    def exclude(self, who: int, bits: int, days: int | None, include: bool, stranger: bool) -> None:
        """11.9."""
        self.a_moment()
        until = None if days is None or (include and days != 1) else self.model.now + days * DAY
        supplier = self.suppliers[who % len(self.suppliers)]
        self.send_exclusion(supplier, self.hubs(bits, stranger), include=include, until=until)

    def send_exclusion(
        self, supplier: SupplierSeed, hubs: tuple[str, ...], *, include: bool, until: datetime | None
    ) -> None:
        action = ExclusionAction.INCLUDE if include else ExclusionAction.EXCLUDE
        answer = self.stage.send(supplier, "11.9", UpdateCommsHubFirmwareExclusion(action, hubs, until))
        code, refused = expected_of.exclude(self.model, supplier.name, hubs, include=include, until=until)
        self.compare_answer("11.9", answer, code, refused)

    @rule(
        bits=SOME,
        days=st.sampled_from(WINDOWS[:6]),
        release=st.sampled_from(("one", "one", "two")),
        pilot=RARE,
        listed=st.booleans(),
    )
    def all_agree(self, bits: int, days: tuple[float, float], release: str, pilot: bool, listed: bool) -> None:
        """What good neighbours do: one Supplier schedules a hub and the other approves; the night may come at once."""
        hubs = self.hubs(bits)
        self.agree(hubs, days, release, pilot=pilot)
        if listed:
            for _ in range(2):
                self.a_cut_comes_up(self.model.homes[hubs[0]].region, 0, 0)

    @rule(bits=SOME, region=st.sampled_from(sorted(REGIONS)))
    def nothing_is_heard_of_what_was_listed(self, bits: int, region: str) -> None:
        """All is agreed and listed, night after night, and the CSP says nothing until it is too late."""
        chosen = [hub for hub in self.hubs(bits) if self.model.homes[hub].region == region]
        hubs = tuple(chosen or [hub for hub, home in self.model.homes.items() if home.region == region])
        self.agree(hubs, (3, 12), "one", pilot=True)
        for _ in hubs:
            self.a_cut_comes_up(region, 0, 0)
        self.wait(self.model.now + 20 * DAY)
        self.look()

    def agree(
        self, hubs: tuple[str, ...], days: tuple[float, float], release: str, *, pilot: bool, accepts: bool = True
    ) -> None:
        """For each hub one Supplier schedules and the other approves."""
        for supplier in self.suppliers:
            own = [hub for hub in hubs if supplier.name in self.model.sides(hub)]
            first = tuple(hub for hub in own if self.model.sides(hub)[0] == supplier.name)
            second = tuple(hub for hub in own if hub not in first)
            if first:
                self.send_schedule(
                    supplier=supplier,
                    release=release,
                    hubs=first,
                    window=self.window(days),
                    pilot=pilot,
                    accepts=accepts,
                    old=None,
                )
            if second:
                self.send_decision(supplier, release, second, "Approved", accepts=accepts)
