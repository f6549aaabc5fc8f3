"""A complete instance that Suppliers send requests to, by the same steps as over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from signing import parse
from sr_engine.bootstrap import list_cutter
from sr_engine.configuration import AlertEvent
from sr_engine.instance import SupplierSeed
from sr_engine.messages.decode import DecodedResponse, decode_response
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubAlert,
    CommsHubFirmwareResult,
    CommsHubUpgrade,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Period,
    Phase,
    ReadCommsHubFirmwareSchedule,
    RefusalReason,
    ScheduleCommsHubFirmware,
    ScheduleRead,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store.tables import outbox
from tests.outbox import messages
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, make_world

SPLIT = TestHub(1, electricity=A.name, gas=B.name)
"""A home with two Suppliers."""
SOLE = TestHub(2)
"""A home of which A supplies both."""

SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (SPLIT.chf,))
APPROVE = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (SPLIT.chf,))
DECLINE = replace(APPROVE, decision=Decision.DECLINE)


def days(first: float, last: float) -> Period:
    """A window by days from now."""
    return Period(NOW + timedelta(days=first), NOW + timedelta(days=last))


@dataclass
class Suppliers:
    """What Suppliers do and see."""

    world: World

    def schedule(
        self,
        supplier: SupplierSeed = A,
        *hubs: str,
        window: Period = WINDOW,
        phase: Phase = Phase.GENERAL,
        replaces: int | None = None,
        accept: bool = False,
    ) -> DecodedResponse:
        body = replace(
            SCHEDULE,
            device_ids=hubs or (SPLIT.chf,),
            window=window,
            phase=phase,
            replaces_schedule_id=replaces,
            accept_han_impact=accept,
        )
        return self.world.send(supplier, body, "11.5")

    def decide(
        self,
        supplier: SupplierSeed,
        decision: Decision,
        *hubs: str,
        until_days: float | None = None,
        accept: bool = False,
    ) -> DecodedResponse:
        body = replace(
            APPROVE,
            decision=decision,
            device_ids=hubs or (SPLIT.chf,),
            defer_until=None if until_days is None else self.world.clock.now() + timedelta(days=until_days),
            accept_han_impact=accept,
        )
        return self.world.send(supplier, body, "11.6")

    def delete(self, supplier: SupplierSeed, number: int, *hubs: str) -> DecodedResponse:
        return self.world.send(supplier, DeleteCommsHubFirmwareSchedule(number, hubs), "11.8")

    def exclude(self, supplier: SupplierSeed, *hubs: str, until_days: float | None = None) -> DecodedResponse:
        until = None if until_days is None else self.world.clock.now() + timedelta(days=until_days)
        body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, hubs or (SPLIT.chf,), until)
        return self.world.send(supplier, body, "11.9")

    def include(self, supplier: SupplierSeed, *hubs: str) -> DecodedResponse:
        body = UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, hubs or (SPLIT.chf,))
        return self.world.send(supplier, body, "11.9")

    def view(self, supplier: SupplierSeed = A, hub: str = SPLIT.chf) -> CommsHubUpgrade:
        """What 11.7 shows of a hub and its one release."""
        (shown,) = self.read(supplier, ReadCommsHubFirmwareSchedule(device_id=hub)).upgrades
        return shown

    def read(self, supplier: SupplierSeed, body: ReadCommsHubFirmwareSchedule) -> ScheduleRead:
        answer = self.world.send(supplier, body, "11.7")
        assert answer.code == "I0"
        assert isinstance(answer.result, ScheduleRead)
        return answer.result

    def alerts(self, supplier: SupplierSeed) -> list[tuple[str, str]]:
        """Event and hub of every CommsHubAlert to a Supplier, in their order."""
        events = {
            definition.hub_alert_code: name
            for name, definition in self.world.instance.configuration.alerts.items()
            if definition.hub_alert_code is not None
        }
        found: list[tuple[str, str]] = []
        for body in self.alert_bodies(supplier):
            alert = self.decoded_alert(body).alert
            if isinstance(alert, CommsHubAlert):
                found.append((events[alert.alert_code], alert.device_id))
        return found

    def alert_bodies(self, supplier: SupplierSeed) -> list[bytes]:
        """Everything that waits for a Supplier, as it will be sent."""
        with self.world.instance.reading_engine.connect() as connection:
            return [one.body for one in messages(connection, outbox.c.destination == f"user:{supplier.eui}")]

    def decoded_alert(self, body: bytes) -> DecodedResponse:
        verified = self.world.instance.verifier.verify(parse(body), roles={"89"}, at=self.world.clock.now())
        return decode_response(verified)

    def pass_days(self, number: float) -> None:
        self.world.clock.advance(timedelta(days=number))

    def cut_lists(self, window: Period = WINDOW, region: str = "Central") -> int:
        """Let the region's first night in a window come up: its lists are cut. Returns how many hubs were listed."""
        instance = self.world.instance
        hours = instance.configuration.regions[region]
        night = next(open_periods(hours, window))
        due = cut_time(hours, night)
        self.world.clock.set(due)
        cutter = list_cutter(instance)
        return self.world.run(lambda unit_of_work: cutter.run(unit_of_work, hours, due, night).listed)


def schedule_id(answer: DecodedResponse) -> int:
    assert isinstance(answer.result, CommsHubFirmwareResult)
    assert answer.result.schedule_id is not None
    return answer.result.schedule_id


def refused(answer: DecodedResponse) -> dict[RefusalReason, Sequence[str]]:
    assert isinstance(answer.result, CommsHubFirmwareResult)
    return dict(answer.result.refused)


ANSWER_CHANGED = AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED
CONFLICT = AlertEvent.WINDOW_CONFLICT
CANCELLED = AlertEvent.HUB_CANCELLED


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path)
    yield world
    world.close()


@pytest.fixture
def suppliers(world: World) -> Suppliers:
    """A release is open for a home with two Suppliers and one with one."""
    world.add_hubs([SPLIT, SOLE])
    world.open_release()
    return Suppliers(world)
