"""What the processor really emits, held against the published DUIS schema."""

from __future__ import annotations

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
    UpgradeReport,
)
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store import inventory
from sr_engine.store.tables import outbox, upgrade_lists
from tests.requests.test_read_inventory import FULL
from tests.world import BROKER, FIRMWARE, WINDOW, A, B, TestHub, World, make_world

pytestmark = pytest.mark.reference
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
        alerts = connection.execute(select(outbox.c.event, outbox.c.body).where(outbox.c.kind == "alert")).all()
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
