"""A world seen from its regions: nights come, lists are cut, CSPs answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import event, select

from signing import parse
from sr_engine.bootstrap import list_cutter, outcomes_of
from sr_engine.configuration import Region
from sr_engine.domain.upgrades import Attempt
from sr_engine.instance import SupplierSeed
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    Period,
    Phase,
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    ScheduleCommsHubFirmware,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.messages.schema import Schema
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.regions.lists import ListCutter, Portion
from sr_engine.regions.outcomes import Outcomes
from sr_engine.resources import data_directory
from sr_engine.store import audit
from sr_engine.store.tables import attempts, devices, outbox, upgrade_lists
from sr_engine.store.upgrades import attempt_of
from tests.told import TOLD
from tests.world import BROKER, FIRMWARE, WINDOW, A, TestHub, World, bound, make_world

HOUR = timedelta(hours=1)


@dataclass
class Nights:
    """One region of a world; `region` may be replaced to change its hours, capacity or list size."""

    world: World
    region: Region
    counter: int = field(default=0)

    @property
    def cutter(self) -> ListCutter:
        instance = self.world.instance
        return list_cutter(instance)

    @property
    def outcomes(self) -> Outcomes:
        return outcomes_of(self.world.instance)

    def change(self, **values: object) -> None:
        self.region = replace(self.region, **values)  # type: ignore[arg-type]  # the names are Region's own

    # --- what Suppliers do ---

    def schedule(
        self,
        hubs: Sequence[TestHub],
        supplier: SupplierSeed = A,
        *,
        window: Period = WINDOW,
        phase: Phase = Phase.GENERAL,
        replaces: int | None = None,
    ) -> DecodedResponse:
        body = ScheduleCommsHubFirmware(
            FIRMWARE, window, phase, tuple(hub.chf for hub in hubs), replaces_schedule_id=replaces
        )
        answer = self.world.send(supplier, body, "11.5")
        assert answer.code == "I0", answer
        return answer

    def decide(self, hubs: Sequence[TestHub], supplier: SupplierSeed, decision: Decision) -> None:
        body = ApproveCommsHubFirmware(FIRMWARE, decision, tuple(hub.chf for hub in hubs))
        assert self.world.send(supplier, body, "11.6").code == "I99"

    # --- what the processor does ---

    def period(self, number: int = 0) -> Period:
        """The open periods of the window, counted from 0."""
        return next(islice(open_periods(self.region, WINDOW), number, None))

    def due(self, number: int = 0) -> datetime:
        return cut_time(self.region, self.period(number))

    def cut(self, number: int = 0, *, at: datetime | None = None) -> int:
        """Cut the lists of a period, at their time if no other is named."""
        self.world.clock.set(at or self.due(number))
        return self.cut_for(self.due(number), self.period(number))

    def cut_for(self, due: datetime, period: Period) -> int:
        """Cut the lists of a period as of now; how many hubs are on them."""
        listed, portion = 0, Portion(0, more=True)
        while portion.more:
            plan = portion.plan
            portion = self.world.run(bound(self.cutter.run, self.region, due, period, plan))
            listed += portion.listed
        return listed

    def time_out(self, at: datetime) -> int:
        self.world.clock.set(at)
        return self.world.run(lambda uow: self.outcomes.time_out(uow, self.region))

    def chase(self, at: datetime) -> int:
        self.world.clock.set(at)
        return self.world.run(lambda uow: self.outcomes.chase(uow, self.region))

    # --- what the CSP does ---

    def message_id(self) -> RequestId:
        self.counter += 1
        return RequestId.make(self.region.csp_eui, BROKER, self.counter)

    def acknowledge(
        self,
        list_id: str,
        accepted: Sequence[TestHub] = (),
        refused: Mapping[str, Sequence[TestHub]] | None = None,
        *,
        region: str | None = None,
    ) -> str:
        """Hub by hub; `refused` is by reason."""
        message = UpgradeListAcknowledgement(
            self.message_id(),
            self.world.clock.now(),
            list_id,
            region or self.region.name,
            tuple(hub.chf for hub in accepted),
            tuple(RefusedHubs(reason, tuple(hub.chf for hub in hubs)) for reason, hubs in (refused or {}).items()),
        )
        return self.world.run(lambda uow: self.outcomes.acknowledge(uow, message))

    def report(self, list_id: str, *entries: ReportEntry, region: str | None = None) -> str:
        message = UpgradeReport(self.message_id(), self.world.clock.now(), list_id, region or self.region.name, entries)
        return self.world.run(lambda uow: self.outcomes.report(uow, message))

    def saw(self, hub: TestHub, status: ReportStatus, reason: str | None = None) -> ReportEntry:
        """What the CSP saw happen to a hub just now."""
        return ReportEntry(hub.chf, status, self.world.clock.now(), reason)

    # --- what is found afterwards ---

    def attempts(self, hub: TestHub) -> list[Attempt]:
        """All attempts at a hub, oldest first."""
        with self.world.instance.reading_engine.connect() as connection:
            found = connection.execute(
                select(attempts).where(attempts.c.hub_id == hub.chf).order_by(attempts.c.attempt_id)
            )
            return [attempt_of(row) for row in found]

    def attempt(self, hub: TestHub) -> Attempt:
        return self.attempts(hub)[-1]

    def states(self, hubs: Sequence[TestHub]) -> list[str]:
        return [self.attempt(hub).state.value for hub in hubs]

    def lists(self) -> list[UpgradeList]:
        """The lists in the outbox for this region, oldest first, each valid and signed by the processor."""
        with self.world.instance.reading_engine.connect() as connection:
            bodies = connection.scalars(
                select(outbox.c.body)
                .where(outbox.c.event == "upgrade_list", outbox.c.destination == f"csp:{self.region.name}")
                .order_by(outbox.c.outbox_id)
            ).all()
        schema = Schema(data_directory("xsd") / "csp.xsd")
        found = []
        for body in bodies:
            document = parse(body)
            schema.check(document)
            verified = self.world.instance.verifier.verify(document, roles={"89"}, at=self.world.clock.now())
            message = decode_csp_message(verified)
            assert isinstance(message, UpgradeList)
            found.append(message)
        return found

    def list_ids(self) -> list[str]:
        """Ids of all lists of this region, in the order in which they were cut."""
        with self.world.instance.reading_engine.connect() as connection:
            return list(
                connection.scalars(
                    select(upgrade_lists.c.list_id)
                    .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
                    .where(upgrade_lists.c.region == self.region.name)
                    .order_by(outbox.c.outbox_id)
                )
            )

    def told(self, event: str) -> list[tuple[str, str]]:
        """Hub and Supplier of each alert of an event, ascending; one that was sent twice stands twice."""
        self.world.settle()
        with self.world.instance.reading_engine.connect() as connection:
            found = connection.execute(select(TOLD.c.hub_id, TOLD.c.organisation).where(TOLD.c.event == event))
            return sorted((hub_id, organisation) for hub_id, organisation in found)

    def deliver_all(self) -> None:
        """Take the time as that at which every receiver has taken what waits."""
        now = self.world.clock.now()
        self.world.run(
            lambda uow: uow.connection.execute(
                outbox.update().where(outbox.c.state == "Pending").values(state="Delivered", delivered_at=now)
            )
        )

    def version(self, device_id: str) -> str | None:
        with self.world.instance.reading_engine.connect() as connection:
            found: str | None = connection.scalar(
                select(devices.c.firmware_version).where(devices.c.device_id == device_id)
            )
            return found

    def said(self, action: str) -> list[str]:
        """What the audit trail says of an action, oldest first."""
        with self.world.instance.reading_engine.connect() as connection:
            return [entry.detail for entry in reversed(audit.newest(connection, 1000)) if entry.action == action]


@contextmanager
def commit_refused(world: World) -> Iterator[None]:
    """No transaction in the block is committed: whatever runs one is told of it."""

    def refuse(_connection: object) -> None:
        raise OSError("the disk is gone")

    event.listen(world.instance.engine, "commit", refuse)
    try:
        with pytest.raises(OSError, match="the disk is gone"):
            yield
    finally:
        event.remove(world.instance.engine, "commit", refuse)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    yield world
    world.close()


@pytest.fixture
def central(world: World) -> Nights:
    """Region Central of a world with an open release."""
    world.open_release()
    return Nights(world, world.instance.configuration.regions["Central"])


def hubs(number: int, **values: object) -> list[TestHub]:
    """Hubs 1 to `number`, all alike."""
    return [TestHub(one, **values) for one in range(1, number + 1)]  # type: ignore[arg-type]  # TestHub's own names
