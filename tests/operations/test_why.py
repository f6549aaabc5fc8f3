"""'Why' asked of a real database while a hub goes its way."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sr_engine.bootstrap import list_cutter, outcomes_of
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    Period,
    Phase,
    ReportEntry,
    ReportStatus,
    ScheduleCommsHubFirmware,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.regions.triggers import RegionTriggers
from sr_engine.store.tables import upgrade_lists
from tests.operations.conftest import Operator
from tests.world import BROKER, FIRMWARE, NOW, WINDOW, A, B, SupplierSeed, TestHub, World, eui


def schedule(world: World, hub: TestHub, supplier: SupplierSeed = A, window: Period = WINDOW) -> None:
    body = ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, (hub.chf,))
    assert world.send(supplier, body, "11.5").code == "I0"


def cut_lists(world: World) -> None:
    """Let the region's trigger look once, as the running processor does, and what follows from it be done."""
    region = world.instance.configuration.regions["Central"]
    cutter = list_cutter(world.instance)
    triggers = RegionTriggers(
        region,
        world.instance.transactions,
        cutter,
        outcomes_of(world.instance),
        lambda: None,
    )

    async def look() -> None:
        await triggers.tick()
        await world.instance.transactions.close()

    asyncio.run(look())


def list_id(world: World) -> str:
    with world.instance.reading_engine.connect() as connection:
        return str(connection.scalar(upgrade_lists.select().with_only_columns(upgrade_lists.c.list_id)))


def csp_id(counter: int) -> RequestId:
    return RequestId.make("00-00-5E-EF-10-00-00-C2", BROKER, counter)


def test_the_answer_follows_a_hub_from_the_opening_of_a_release_to_its_activation(
    world: World, operator: Operator
) -> None:
    hub = TestHub(1, gas=B.name)
    world.add_hubs([hub])
    assert "no firmware release is open for its model" in operator.why(hub.chf)

    world.open_release()
    assert "supplier-a has not answered and supplier-b has not answered" in operator.why(hub.gpf)

    cut_lists(world)
    schedule(world, hub)
    assert "waits for approval of firmware 9002: supplier-b has not answered" in operator.why(hub.chf)

    approval = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.gpf,))
    assert world.send(B, approval, "11.6").code == "I99"
    waits = operator.why(hub.chf)
    assert "is scheduled for firmware 9002 and waits for the night of " in waits

    world.clock.set(NOW + timedelta(days=10))
    cut_lists(world)
    assert "and the CSP has not acknowledged the list" in operator.why(hub.chf)

    outcomes = outcomes_of(world.instance)
    now = world.clock.now()
    message = UpgradeListAcknowledgement(csp_id(1), now, list_id(world), "Central", (hub.chf,))
    world.run(lambda uow: outcomes.acknowledge(uow, message))
    assert "will be given firmware 9002 in the night of" in operator.why(hub.chf)

    report = UpgradeReport(
        csp_id(2), now, list_id(world), "Central", (ReportEntry(hub.chf, ReportStatus.ACTIVATED, now),)
    )
    world.run(lambda uow: outcomes.report(uow, report))
    assert operator.why(hub.chf) == (
        f"Hub {hub.chf} has been upgraded: it runs firmware 9002, activated on 3 December 2026, 09:00 UTC."
    )


def test_the_night_it_waits_for_is_one_the_csp_can_still_be_told_of(world: World, operator: Operator) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    world.open_release()
    schedule(world, hub)
    lead = world.instance.configuration.regions["Central"].lead_time

    early = operator.why(hub.chf)
    world.clock.set(WINDOW.end - lead)
    late = operator.why(hub.chf)

    assert "waits for the night of 29 to 30 November 2026" in early
    assert "has no night left that can still be listed" in late


def test_devices_that_are_no_hub_of_ours_are_named_as_such(world: World, operator: Operator) -> None:
    world.add_hubs([TestHub(1)])

    assert "is not in the inventory" in operator.why(eui(0xC0, 2))
    assert "is not a Communications Hub but a device behind one (ESME)" in operator.why(eui(0xE0, 1))
