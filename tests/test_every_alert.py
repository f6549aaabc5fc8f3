"""Every alert of the table is raised by at least one thing that happens here, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from sr_engine.bootstrap import chores, phases_of
from sr_engine.configuration import AlertEvent
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.domain.terms import Obligation
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Period, ReportEntry, ReportStatus
from sr_engine.operations.phases import halt, resume
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.operations.terms import Wanted, announce
from sr_engine.store import inventory
from sr_engine.store.tables import outbox
from tests.firmware import ENTRY, Meters, esme, listed
from tests.regions.conftest import HOUR, Nights
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, make_world, reopen

_numbers = count(1)
DAY = timedelta(days=1)


def _hub(nights: Nights, *, gas: str = A.name) -> TestHub:
    hub = TestHub(next(_numbers), gas=gas)
    nights.world.add_hubs([hub])
    return hub


def _listed(nights: Nights) -> tuple[TestHub, str]:
    hub = _hub(nights)
    nights.schedule([hub])
    assert nights.cut() == 1
    return hub, nights.list_ids()[-1]


def _put_on_a_list(nights: Nights) -> None:
    _listed(nights)


def _opened(nights: Nights) -> None:
    _hub(nights)
    nights.world.open_release()


def _terms(nights: Nights) -> None:
    _hub(nights)
    instance = nights.world.instance
    wanted = Wanted(
        obligation=Obligation.MANDATORY,
        management=None,
        comply_by=NOW + 200 * DAY,
        effective_at=None,
        consultation_reference="C-1",
        consultation_date=(NOW - 30 * DAY).date(),
    )
    policy = instance.configuration.policy.compulsion
    nights.world.run(lambda uow: announce(uow, firmware=FIRMWARE, wanted=wanted, policy=policy, alerts=instance.alerts))


def _scheduled(nights: Nights) -> None:
    hub = _hub(nights, gas=B.name)
    nights.schedule([hub])
    nights.decide([hub], B, Decision.APPROVE)


def _returned(nights: Nights) -> None:
    hub, list_id = _listed(nights)
    nights.acknowledge(list_id, refused={"no coverage": [hub]})


def _reported(status: ReportStatus) -> Callable[[Nights], None]:
    def play(nights: Nights) -> None:
        hub, list_id = _listed(nights)
        nights.report(list_id, nights.saw(hub, status))

    return play


def _runs_something_else(nights: Nights) -> None:
    hub, list_id = _listed(nights)
    nights.report(list_id, ReportEntry(hub.chf, ReportStatus.FAILED, nights.world.clock.now(), version="9000"))


def _missed(nights: Nights) -> None:
    nights.schedule([_hub(nights)])
    nights.time_out(WINDOW.end + HOUR)


def _cancelled(nights: Nights) -> None:
    hub = _hub(nights)
    nights.schedule([hub])
    nights.decide([hub], A, Decision.DECLINE)


def _moved(nights: Nights) -> None:
    """A chooses a night; the next day B supplies both fuels."""
    hub = _hub(nights)
    nights.schedule([hub])
    effective_from = NOW + DAY
    rows = [
        {"mpxn": mpxn, "role": role, "effective_from": effective_from, "organisation": B.name}
        for mpxn, role in ((hub.mpan, "IS"), (hub.mprn, "GS"))
    ]
    nights.world.run(lambda uow: inventory.put_registrations(uow.connection, rows))
    nights.world.clock.set(effective_from + HOUR)
    for chore in chores(nights.world.instance):
        while nights.world.run(chore):
            pass


def _halted(nights: Nights) -> None:
    nights.schedule([_hub(nights)])
    machinery = phases_of(nights.world.instance)
    nights.world.run(lambda uow: halt(uow, machinery, FIRMWARE, nights.region.name, "smoke"))


def _resumed(nights: Nights) -> None:
    _halted(nights)
    machinery = phases_of(nights.world.instance)
    nights.world.run(lambda uow: resume(uow, machinery, FIRMWARE, nights.region.name))


def _conflict(nights: Nights) -> None:
    hub = _hub(nights, gas=B.name)
    nights.schedule([hub], window=Period(WINDOW.start, WINDOW.start + 4 * DAY))
    nights.schedule([hub], B, window=Period(WINDOW.end - 4 * DAY, WINDOW.end))


def _answered(nights: Nights) -> None:
    nights.decide([_hub(nights, gas=B.name)], A, Decision.APPROVE)


def _quarantined(nights: Nights) -> None:
    nights.world.run(lambda uow: set_thresholds(uow, A.eui, Breach.USER, Thresholds(None, 1)))
    hubs = [_hub(nights), _hub(nights)]
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, tuple(hub.chf for hub in hubs))
    assert nights.world.send(A, body, "11.6").code == "I99"


def _too_new(nights: Nights) -> None:
    """A's systems are of a version in which there is no alert of a hub that runs its new firmware."""
    users = nights.world.directory / "users.toml"
    users.write_text(users.read_text(encoding="utf-8").replace("5.4", "5.0", 1), encoding="utf-8")
    nights.world = reopen(nights.world)
    _reported(ReportStatus.ACTIVATED)(nights)


def _firmware(nights: Nights) -> tuple[Meters, str, str]:
    """A meter on a list: its id and that of the list."""
    meter = esme(_hub(nights))
    listed(nights.world, ENTRY)
    meters = Meters(nights.world)
    assert meters.update([meter]).code == "I99"
    return meters, meter, meters.lists()[-1].list_id


def _brought(status: ReportStatus) -> Callable[[Nights], None]:
    def play(nights: Nights) -> None:
        meters, meter, list_id = _firmware(nights)
        meters.report(list_id, [meter], status)

    return play


def _not_distributed(nights: Nights) -> None:
    meters, meter, list_id = _firmware(nights)
    meters.acknowledge(list_id, refusals={"no coverage": [meter]})


ROWS: dict[AlertEvent, Callable[[Nights], None]] = {
    AlertEvent.RELEASE_OPENED: _opened,
    AlertEvent.RELEASE_CHANGED: _terms,
    AlertEvent.HUB_SCHEDULED: _scheduled,
    AlertEvent.HUB_LISTED: _put_on_a_list,
    AlertEvent.HUB_RETURNED: _returned,
    AlertEvent.HUB_DELIVERED: _reported(ReportStatus.DELIVERED),
    AlertEvent.HUB_ACTIVATED: _reported(ReportStatus.ACTIVATED),
    AlertEvent.HUB_FAILED: _reported(ReportStatus.FAILED),
    AlertEvent.HUB_MISSED: _missed,
    AlertEvent.HUB_CANCELLED: _cancelled,
    AlertEvent.HUB_VOIDED: _moved,
    AlertEvent.HUB_HALTED: _halted,
    AlertEvent.HUB_RESUMED: _resumed,
    AlertEvent.WINDOW_CONFLICT: _conflict,
    AlertEvent.OTHER_SUPPLIER_ANSWER_CHANGED: _answered,
    AlertEvent.FIRMWARE_DELIVERED: _brought(ReportStatus.DELIVERED),
    AlertEvent.DELIVERY_FAILED: _brought(ReportStatus.FAILED),
    AlertEvent.FIRMWARE_NOT_DISTRIBUTED: _not_distributed,
    AlertEvent.FIRMWARE_VERSION_MISMATCH: _runs_something_else,
    AlertEvent.CHANGE_OF_SUPPLIER: _moved,
    AlertEvent.QUARANTINED_REQUEST: _quarantined,
    AlertEvent.DUIS_VERSION_MISMATCH: _too_new,
}


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    world = make_world(tmp_path / "instance")
    nights = Nights(world, world.instance.configuration.regions["Central"])
    yield nights
    nights.world.close()


def _sent(world: World) -> set[str]:
    """The events of all alerts that were signed and queued."""
    world.settle()
    with world.instance.reading_engine.connect() as connection:
        return set(connection.scalars(select(outbox.c.event).where(outbox.c.kind.in_(["alert", "notice"]))))


@pytest.mark.parametrize("event", ROWS)
def test_the_alert_is_raised(event: AlertEvent, nights: Nights) -> None:
    if event is not AlertEvent.RELEASE_OPENED:
        nights.world.open_release()

    ROWS[event](nights)

    assert event in _sent(nights.world)


def test_no_row_of_the_table_is_left_out(nights: Nights) -> None:
    alerts = nights.world.instance.configuration.alerts
    assert set(ROWS) == set(alerts)
