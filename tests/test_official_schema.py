"""What the processor really emits, held against the published DUIS schema."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import select

from sr_engine.bootstrap import list_cutter, outcomes_of
from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    Phase,
    PropertyFilter,
    ReadInventory,
    ReportEntry,
    ReportStatus,
    ScheduleCommsHubFirmware,
    UpdateFirmware,
    UpgradeReport,
)
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store import inventory
from sr_engine.store.tables import devices, outbox, upgrade_lists
from tests.firmware import ENTRY, IMAGE, PPMID, PPMID_ENTRY, VERSION, Meters, esme, listed, ppmid
from tests.outbox import messages
from tests.requests.test_read_inventory import FULL
from tests.world import BROKER, FIRMWARE, WINDOW, A, B, TestHub, World, eui, make_world

pytestmark = pytest.mark.reference
HUB_NOT_HERE = eui(0xE0, 99)
EVENTS = {
    "release_opened",
    "other_supplier_answer_changed",
    "hub_scheduled",
    "hub_listed",
    "hub_activated",
    "hub_failed",
    "hub_missed",
    "hub_cancelled",
}


@pytest.fixture(scope="module")
def official(duis_reference: Path) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(duis_reference / "schema" / "DUIS-5.4.xsd"))


def _schedule(world: World, hubs: list[TestHub], replaces: int | None = None) -> DecodedResponse:
    ids = tuple(hub.chf for hub in hubs)
    return world.send(A, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, ids, False, replaces), "11.5")


def _played(directory: Path) -> World:
    """A release from its opening to outcomes of every kind, in one region, with split homes."""
    world = make_world(directory)
    hubs = [TestHub(number, gas=B.name) for number in range(1, 7)]
    world.add_hubs(hubs)
    world.open_release()
    first = _schedule(world, hubs).result
    assert isinstance(first, CommsHubFirmwareResult)
    _schedule(world, hubs[:5], replaces=first.schedule_id)
    approved = tuple(hub.chf for hub in hubs[:4])
    world.send(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, approved), "11.6")
    region = world.instance.configuration.regions["Central"]
    period = next(open_periods(region, WINDOW))
    world.clock.set(cut_time(region, period))
    cutter = list_cutter(world.instance)
    world.run(lambda uow: cutter.run(uow, region, world.clock.now(), period))
    with world.instance.reading_engine.connect() as connection:
        list_id = connection.scalars(select(upgrade_lists.c.list_id)).one()
    outcomes = outcomes_of(world.instance)
    report = UpgradeReport(
        RequestId.make(region.csp_eui, BROKER, 1),
        period.start,
        list_id,
        region.name,
        (
            ReportEntry(hubs[0].chf, ReportStatus.ACTIVATED, period.start),
            ReportEntry(hubs[1].chf, ReportStatus.FAILED, period.start, "image verification failed"),
        ),
    )
    world.run(lambda uow: outcomes.report(uow, report))
    world.clock.set(WINDOW.end + region.completion_sla + timedelta(hours=1))
    world.run(lambda uow: outcomes.time_out(uow, region))
    return world


def test_every_alert_the_processor_emits_is_valid_against_the_published_schema(
    official: etree.XMLSchema, tmp_path: Path
) -> None:
    world = _played(tmp_path / "instance")
    with world.instance.reading_engine.connect() as connection:
        alerts = messages(connection, outbox.c.kind == "alert")
    world.close()

    assert {alert.event for alert in alerts} == EVENTS
    for alert in alerts:
        official.assertValid(etree.fromstring(alert.body))


def test_the_answer_to_8_2_is_valid_against_the_published_schema(official: etree.XMLSchema, tmp_path: Path) -> None:
    world = make_world(tmp_path / "instance")
    hub = TestHub(1, gas=B.name, han=("1A2B", "PPM1"))
    world.add_hubs([hub])
    # More devices than an answer may hold, each with every field that the importer takes.
    crowd = [row | FULL | {"uprn": 5, "import_mpxn": None} for number in range(2, 8) for row in TestHub(number).rows()]
    world.run(lambda uow: inventory.put_devices(uow.connection, crowd))
    queries = [
        ReadInventory(device_id=hub.chf),
        ReadInventory(mpxn=hub.mpan),
        ReadInventory(uprn=100_000_001),
        ReadInventory(property_filter=PropertyFilter("AB1 2CD", "1")),
        ReadInventory(uprn=5),
        ReadInventory(uprn=999),
    ]

    answers = [world.post(world.signed(A, query, "8.2")) for query in queries]
    counts = [answer.body.count(b"<sr:Device>") for answer in answers]
    world.close()

    assert [answer.code for answer in answers] == ["I0"] * 5 + ["E080201"]
    assert counts == [5, 5, 5, 5, 17, 0]
    for answer in answers:
        official.assertValid(etree.fromstring(answer.body))


def test_what_11_1_and_11_4_are_answered_and_their_users_told_is_valid_against_the_published_schema(
    official: etree.XMLSchema, tmp_path: Path
) -> None:
    world = make_world(tmp_path / "instance")
    meters = Meters(world)
    hubs = [TestHub(number, gas=B.name, han=PPMID) for number in range(1, 5)]
    world.add_hubs(hubs)
    listed(world, replace(ENTRY, gbcs_version="4.1"), PPMID_ENTRY)
    ids = [esme(hub) for hub in hubs]
    for device_id, values in (
        (ids[0], {"device_status": "Pending"}),
        (ids[1], {"model": "OTHER"}),
        (ids[2], {"gbcs_version": "3.2"}),
    ):
        statement = devices.update().where(devices.c.device_id == device_id).values(**values)
        world.execute(statement)

    def every_list() -> str:
        """What is refused for all five reasons, in the order of their lists."""
        body = UpdateFirmware(IMAGE, VERSION, (HUB_NOT_HERE, *ids))
        answer = world.post(world.signed(A, body, "11.1"))
        official.assertValid(etree.fromstring(answer.body))
        return answer.code or ""

    assert every_list() == "W110101"
    assert every_list() == "E110103"
    assert meters.update_ppmids([ppmid(hub) for hub in hubs[:3]]).code == "I99"
    meter_list, ppmid_list = meters.lists()
    meters.report(meter_list.list_id, ids)
    meters.acknowledge(ppmid_list.list_id, refusals={"no coverage": [ppmid(hubs[0]), ppmid(hubs[1])]})
    meters.report(ppmid_list.list_id, [ppmid(hubs[2])], ReportStatus.FAILED)
    world.settle()
    with world.instance.reading_engine.connect() as connection:
        alerts = messages(connection, outbox.c.kind == "alert")
    world.close()

    assert {alert.event for alert in alerts} == {"firmware_delivered", "delivery_failed", "firmware_not_distributed"}
    for alert in alerts:
        official.assertValid(etree.fromstring(alert.body))
