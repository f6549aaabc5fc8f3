"""A history as it happens in one world, and all that THIS Supplier can see of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select

from sr_engine.bootstrap import Instance, outcomes_of, triggers
from sr_engine.domain.states import WITH_CSP
from sr_engine.instance import SupplierSeed
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    CommsHubFirmwareResult,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Firmware,
    Period,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    ScheduleCommsHubFirmware,
    ScheduleRead,
    UpdateCommsHubFirmwareExclusion,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.operations.registrations import receive_feed
from sr_engine.pipeline.answer import Answer
from sr_engine.store.tables import attempts, outbox
from sr_engine.store.units_of_work import UnitOfWork
from tests.interference.variations import NEXT, OTHER, THIS, Home, Party, Traffic, Variation
from tests.outbox import messages
from tests.world import BROKER, FIRMWARE, NOW, A, TestHub, World, bound

DAY = timedelta(days=1)
_SIGNATURE = re.compile(rb"<ds:Signature .*?</ds:Signature>", re.DOTALL)
_WHICH_NIGHT = re.compile(
    r"<sr:UpgradePeriod>.*?</sr:UpgradePeriod>"
    r"|<sr:(StatusDateTime|TimeStamp|ResponseDateTime)>.*?</sr:\1>"
)


@dataclass(frozen=True, slots=True)
class Observed:
    """What THIS Supplier saw, in its order, and the identifiers it was given that mean nothing."""

    seen: tuple[str, ...]
    schedule_ids: tuple[int, ...]
    message_ids: tuple[int, ...]

    def but_for_the_night(self) -> tuple[str, ...]:
        """Without the period that the planner chose, and the times that follow from it."""
        return tuple(_WHICH_NIGHT.sub("", one.partition(" ")[2]) for one in self.seen)


@dataclass
class Play:
    """A history as it happens: what the parties do, and what THIS Supplier sees."""

    world: World
    variation: Variation
    homes: dict[int, Home] = field(default_factory=dict)
    releases: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    schedule_ids: list[int] = field(default_factory=list)
    """THIS Supplier's, in the order in which it was given them."""
    foreign_ids: list[int] = field(default_factory=list)
    """The other side's, should one come to THIS Supplier's eyes."""
    message_ids: list[int] = field(default_factory=list)
    _done: int = 0
    _last_alert: int = 0

    # --- who and what there is ---

    def name(self, party: Party | None) -> str | None:
        return None if party is None else self.seed(party).name

    def seed(self, party: Party, hub: int | None = None) -> SupplierSeed:
        """Who sends for a party: for OTHER, the User whose role applies to the hub."""
        if party is THIS:
            return A
        if party is NEXT:
            return self.variation.next
        by_gas = self.variation.two_users and hub is not None and self.only_gas(hub)
        return self.variation.for_gas if by_gas else self.variation.other

    def only_gas(self, hub: int) -> bool:
        """Whether OTHER supplies no more than gas there."""
        return self.homes[hub].gas is OTHER and self.homes[hub].electricity is not OTHER

    def add(self, *homes: Home) -> None:
        """Homes 1, 2, ... of THIS Supplier and its other sides, and the homes of the others."""
        self.homes.update(enumerate(homes, len(self.homes) + 1))
        self.world.add_hubs([self.hub(number) for number in self.homes])
        # On both sides of THIS Supplier's in the order of their ids.
        self.world.add_hubs([self._own(number) for number in range(self.variation.portfolio)])
        self.tick()

    def hub(self, number: int) -> TestHub:
        home = self.homes[number]
        return TestHub(500 + number, self.name(home.electricity), self.name(home.gas), home.region)

    def _own(self, number: int) -> TestHub:
        """A home of the others alone."""
        gas = NEXT if number % 3 == 2 else OTHER
        at = 100 + number if number % 2 else 900 + number
        return TestHub(at, self.variation.other.name, self.name(gas), ("Central", "South")[number % 2])

    def release(self, firmware: Firmware = FIRMWARE, **terms: object) -> None:
        self.releases.append(self.world.open_release(firmware, **terms))  # type: ignore[arg-type]  # the names are open_release's own
        self._look_at_alerts()

    def operate(self, work: Callable[[UnitOfWork, Instance], object]) -> None:
        """What the operator does."""
        self.world.run(lambda uow: work(uow, self.world.instance))
        self._look_at_alerts()

    # --- what Suppliers do ---

    def schedule(
        self,
        by: Party,
        *hubs: int,
        days: tuple[float, float] = (5, 20),
        pilot: bool = False,
        accept: bool = False,
        replaces: int | None = None,
        firmware: Firmware = FIRMWARE,
    ) -> int:
        """Days are from the beginning of the history. Returns the id of the schedule, 0 if the first hub is in none."""
        window = Period(NOW + days[0] * DAY, NOW + days[1] * DAY)
        phase = Phase.PILOT if pilot else Phase.GENERAL
        answer = self.send(
            by,
            "11.5",
            ScheduleCommsHubFirmware(firmware, window, phase, self._ids(by, hubs), accept, replaces),
            hubs[0],
        )
        result = self.world.decoded(answer).result
        if not isinstance(result, CommsHubFirmwareResult) or result.schedule_id is None:
            return 0
        if by is OTHER:
            self.foreign_ids.append(result.schedule_id)
        refused = {device_id for of_reason in result.refused.values() for device_id in of_reason}
        return 0 if self.hub(hubs[0]).chf in refused else result.schedule_id

    def decide(
        self,
        by: Party,
        decision: Decision,
        *hubs: int,
        until: float | None = None,
        accept: bool = False,
        firmware: Firmware = FIRMWARE,
    ) -> None:
        """`until` is in days from the beginning of the history."""
        moment = None if until is None else NOW + until * DAY
        body = ApproveCommsHubFirmware(firmware, decision, self._ids(by, hubs), moment, accept)
        self.send(by, "11.6", body, hubs[0])

    def approve(self, by: Party, *hubs: int) -> None:
        self.decide(by, Decision.APPROVE, *hubs)

    def decline(self, by: Party, *hubs: int) -> None:
        self.decide(by, Decision.DECLINE, *hubs)

    def defer(self, by: Party, *hubs: int, until: float) -> None:
        self.decide(by, Decision.DEFER, *hubs, until=until)

    def delete(self, by: Party, schedule_id: int, *hubs: int) -> None:
        ids = tuple(self.hub(number).chf for number in hubs)
        self.send(by, "11.8", DeleteCommsHubFirmwareSchedule(schedule_id, ids), hubs[0] if hubs else None)

    def exclude(self, by: Party, *hubs: int, until: float | None = None) -> None:
        moment = None if until is None else NOW + until * DAY
        body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, self._ids(by, hubs), moment)
        self.send(by, "11.9", body, hubs[0])

    def include(self, by: Party, *hubs: int) -> None:
        body = UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, self._ids(by, hubs))
        self.send(by, "11.9", body, hubs[0])

    def send(self, by: Party, variant: str, body: Body, hub: int | None = None) -> Answer:
        """One request and its answer; what comes of it for THIS Supplier is seen."""
        sender = self.seed(by, hub)
        if by is not THIS:
            self.world.counters.setdefault(sender.eui, self.variation.first_counter)
        else:
            self._unrelated(Traffic.BEFORE)
        answer = self.post(self.world.signed(sender, body, variant), seen=by is THIS)
        if by is THIS:
            self._unrelated(Traffic.AFTER)
        return answer

    def post(self, data: bytes, *, seen: bool = True) -> Answer:
        """Any bytes to the service for Non-Device requests."""
        answer = self.world.post(data)
        if seen:
            result = self.world.decoded(answer).result if answer.body.find(b"<ds:Signature") > 0 else None
            if isinstance(result, CommsHubFirmwareResult) and result.schedule_id:
                self.schedule_ids.append(result.schedule_id)
            self._see(f"answer {answer.status} {answer.code} | {answer.detail_header}", answer.body)
        self._look_at_alerts()
        return answer

    def _ids(self, by: Party, hubs: Sequence[int]) -> tuple[str, ...]:
        # With two Users there would have to be two requests, and what they are told of would come in another order.
        assert by is not OTHER or len({self.only_gas(hub) for hub in hubs}) == 1, "hubs of two Users"
        own = self.variation.longer_lists if by is OTHER else 0
        extra = [self._own(number).chf for number in range(min(own, self.variation.portfolio))]
        return (*extra[::2], *(self.hub(number).chf for number in hubs), *extra[1::2])

    def _unrelated(self, when: Traffic) -> None:
        """The others go about their business, a little each time and never the same."""
        if self.variation.traffic is not when or not self.variation.portfolio:
            return
        self._done += 1
        number = self._done % self.variation.portfolio
        own = (self._own(number).chf,)
        window = Period(self.world.clock.now() + 4 * DAY, self.world.clock.now() + 9 * DAY)
        bodies: tuple[tuple[str, Body], ...] = (
            ("11.5", ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, own)),
            ("11.6", ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, own)),
            ("8.2", ReadInventory(device_id=own[0])),
            ("11.7", ReadCommsHubFirmwareSchedule(device_id=own[0])),
        )
        variant, body = bodies[self._done % len(bodies)]
        self.send(OTHER, variant, body)

    # --- what others do ---

    def move(self, number: int, role: str, to: Party | None, *, day: float) -> None:
        """The registration feed: who supplies a meter point from a day of the history on."""
        hub = self.hub(number)
        row = {
            "mpxn": hub.mpan if role == "IS" else hub.mprn,
            "role": role,
            "effective_from": NOW + day * DAY,
            "organisation": self.name(to),
        }
        self.world.run(lambda uow: receive_feed(uow, [row]))
        self._look_at_alerts()

    def wait(self, until: float) -> None:
        """Until a day of the history; what is due is then done."""
        self.world.clock.set(NOW + until * DAY)
        self.tick()

    def tick(self) -> None:
        regions = {home.region for home in self.homes.values()} | ({"South"} if self.variation.portfolio else set())
        due = [one for one in triggers(self.world.instance, lambda: None) if one.name in {"every region", *regions}]

        async def look() -> None:
            for one in due:
                await one.tick()
            await self.world.instance.transactions.close()

        asyncio.run(look())
        self._deliver_lists()
        self._look_at_alerts()

    def _deliver_lists(self) -> None:
        """The CSPs have what was cut."""
        new = (outbox.c.kind == "upgrade_list") & (outbox.c.state == "Pending")
        delivered = outbox.update().where(new).values(state="Delivered", delivered_at=self.world.clock.now())
        self.world.run(lambda uow: uow.connection.execute(delivered))

    def acknowledge(self, *hubs: int, refused: str | None = None) -> None:
        """The CSP accepts hubs, or refuses them for a reason; one message for each."""
        for number in hubs:
            chf, region, list_id = self._listed(number)
            accepted = () if refused else (chf,)
            refusals = (RefusedHubs(refused, (chf,)),) if refused else ()
            message = UpgradeListAcknowledgement(
                self._csp_message(region), self.now, list_id, region, accepted, refusals
            )
            self.world.run(bound(outcomes_of(self.world.instance).acknowledge, message))
        self._look_at_alerts()

    def report(self, status: ReportStatus, *hubs: int, reason: str | None = None) -> None:
        for number in hubs:
            chf, region, list_id = self._listed(number)
            entry = ReportEntry(chf, status, self.now, reason)
            message = UpgradeReport(self._csp_message(region), self.now, list_id, region, (entry,))
            self.world.run(bound(outcomes_of(self.world.instance).report, message))
        self._look_at_alerts()

    def _csp_message(self, region: str) -> RequestId:
        csp = self.world.instance.configuration.regions[region].csp_eui
        number = self.world.counters[csp] = self.world.counters.get(csp, 0) + 1
        return RequestId.make(csp, BROKER, number)

    def is_with_csp(self, number: int) -> bool:
        of_hub = attempts.c.hub_id == self.hub(number).chf
        states = select(attempts.c.state).where(of_hub, attempts.c.is_open)
        with self.world.instance.reading_engine.connect() as connection:
            return connection.scalar(states) in WITH_CSP

    def _listed(self, number: int) -> tuple[str, str, str]:
        """Hub, region and list of the newest attempt at a hub."""
        chf = self.hub(number).chf
        newest = select(attempts.c.region, attempts.c.list_id).where(attempts.c.hub_id == chf)
        with self.world.instance.reading_engine.connect() as connection:
            region, list_id = connection.execute(newest.order_by(attempts.c.attempt_id.desc()).limit(1)).one()
        assert list_id is not None, f"hub {number} is on no list"
        return chf, region, list_id

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    @property
    def today(self) -> float:
        """The day of the history."""
        return (self.now - NOW) / DAY

    # --- what THIS Supplier sees ---

    def look(self) -> None:
        """THIS Supplier reads all it may: every home by its hub, and each schedule of its own page by page."""
        for number in self.homes:
            self.send(THIS, "11.7", ReadCommsHubFirmwareSchedule(device_id=self.hub(number).gpf))
        for schedule_id in dict.fromkeys(self.schedule_ids):
            after: str | None = None
            while True:
                body = ReadCommsHubFirmwareSchedule(schedule_id=schedule_id, start_after_device_id=after)
                page = self.world.decoded(self.send(THIS, "11.7", body)).result
                if not isinstance(page, ScheduleRead) or not page.more_devices:
                    break
                after = page.upgrades[-1].device_id

    def observed(self) -> Observed:
        return Observed(tuple(self.seen), tuple(self.schedule_ids), tuple(self.message_ids))

    def _look_at_alerts(self) -> None:
        new = (outbox.c.destination == f"user:{A.eui}", outbox.c.outbox_id > self._last_alert)
        with self.world.instance.reading_engine.connect() as connection:
            for one in messages(connection, *new):
                self._last_alert = one.outbox_id
                self.message_ids.append(int(one.message_id, 16))
                self._see(f"alert {one.event} of {one.hub_id}", one.body)

    def _see(self, what: str, body: bytes) -> None:
        text = f"{self.today:.4f} {what}\n{_SIGNATURE.sub(b'', body).decode()}"
        # What is drawn at random is known by its place in the order in which it was given out.
        for whose, given in (("own", self.schedule_ids), ("other", self.foreign_ids)):
            for place, schedule_id in enumerate(dict.fromkeys(given), 1):
                text = re.sub(rf"(?<!\d){schedule_id}(?!\d)", f"{whose}-{place}", text)
        self.seen.append(text)


History = Callable[[Play], None]
