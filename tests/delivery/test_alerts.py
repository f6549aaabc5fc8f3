"""From events to alerts: one for each hub, event and Supplier, signed before they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from signing import parse
from sr_engine.bootstrap import outcomes_of
from sr_engine.configuration import AlertEvent
from sr_engine.delivery.telling import remind
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.domain.upgrades import Release
from sr_engine.messages.decode import decode_response
from sr_engine.messages.model import (
    AlertBody,
    ApproveCommsHubFirmware,
    CommsHubAlert,
    CommsHubFirmwareActivation,
    DCCAlertVersionMismatch,
    Decision,
    DUISVersionMismatch,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
    Period,
    Phase,
    ReportStatus,
    ScheduleCommsHubFirmware,
    UpgradeReport,
)
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.pipeline.process import Admitted
from sr_engine.store import releases
from sr_engine.store.tables import outbox
from sr_engine.store.transactions import Transactions
from tests.delivery.conftest import GAS_EUI, with_a_user_for_gas
from tests.firmware import ENTRY, Meters, esme, listed
from tests.outbox import messages
from tests.regions.conftest import Nights
from tests.told import say_it_beside
from tests.world import BROKER, FIRMWARE, WINDOW, A, B, TestHub, World, edit, make_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    def few_ids(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", "alert_max_devices = 4_000", "alert_max_devices = 3")

    world = make_world(tmp_path / "instance", prepare=few_ids)
    yield world
    world.close()


def release_of(world: World) -> Release:
    with world.instance.reading_engine.connect() as connection:
        release = releases.by_firmware(connection, FIRMWARE)
    assert release is not None
    return release


def sent(world: World) -> list[tuple[str, str | None, str | None, AlertBody | None]]:
    """Destination, hub, DCCAlertCode and body of each alert, each verified, in order."""
    with world.instance.reading_engine.connect() as connection:
        found = messages(connection, outbox.c.kind == "alert")
    alerts = []
    for one in found:
        verified = world.instance.verifier.verify(parse(one.body), roles={"89"}, at=world.clock.now())
        decoded = decode_response(verified)
        assert (decoded.code, decoded.request_id, decoded.response_id) == ("I0", None, None)
        alerts.append((one.destination, one.hub_id, decoded.alert_code, decoded.alert))
    return alerts


def post(world: World, *events: HubEvent) -> int:
    """How many alerts come of it."""
    before = len(sent(world))
    own = [one._replace(release_id=release_of(world).release_id) for one in events]
    world.run(lambda uow: world.instance.alerts.post(uow, own))
    return len(sent(world)) - before


def event(name: AlertEvent, hub: TestHub, organisation: str = A.name, occurrence: str = "once") -> HubEvent:
    return HubEvent(name, hub.chf, organisation, "release", occurrence)


def test_opening_a_release_names_each_suppliers_own_hubs_in_alerts_of_limited_length(world: World) -> None:
    mine = [TestHub(n) for n in range(1, 6)]
    theirs = TestHub(6, electricity=B.name, gas=B.name)
    world.add_hubs([*mine, theirs])

    world.open_release()

    bodies = [(destination, hub_id, body) for destination, hub_id, _, body in sent(world)]
    assert bodies == [
        (f"user:{A.eui}", None, FirmwareUpgradeRequested("CHF", "9002", tuple(hub.chf for hub in mine[:3]))),
        (f"user:{A.eui}", None, FirmwareUpgradeRequested("CHF", "9002", tuple(hub.chf for hub in mine[3:]))),
        (f"user:{B.eui}", theirs.chf, FirmwareUpgradeRequested("CHF", "9002", (theirs.chf,))),
    ]


def test_an_event_about_a_hub_is_an_alert_of_its_own_under_that_hub(world: World) -> None:
    world.open_release()
    hub = TestHub(1)

    assert post(world, event(AlertEvent.HUB_LISTED, hub), event(AlertEvent.HUB_ACTIVATED, hub)) == 2

    assert sent(world) == [
        (f"user:{A.eui}", hub.chf, "N62", CommsHubAlert(hub.chf, "A502", world.clock.now())),
        (f"user:{A.eui}", hub.chf, "N64", CommsHubFirmwareActivation(hub.chf, "9002")),
    ]


def test_the_same_event_is_told_once_and_another_occurrence_again(world: World) -> None:
    world.open_release()
    listed = event(AlertEvent.HUB_LISTED, TestHub(1))

    assert post(world, listed, listed) == 1
    assert post(world, listed) == 0
    assert post(world, event(AlertEvent.HUB_LISTED, TestHub(1), occurrence="again")) == 1
    assert post(world, event(AlertEvent.HUB_LISTED, TestHub(1), B.name)) == 1


def test_what_was_told_before_alerts_said_it_themselves_is_not_told_again(world: World) -> None:
    world.open_release()
    before = [event(AlertEvent.HUB_LISTED, TestHub(number), one.name) for number in (1, 2) for one in (A, B)]
    assert post(world, *before) == 4
    assert world.run(lambda uow: say_it_beside(uow.connection)) == 4

    assert post(world, *before, event(AlertEvent.HUB_LISTED, TestHub(3))) == 1
    assert post(world, event(AlertEvent.HUB_LISTED, TestHub(1), occurrence="again")) == 1
    assert post(world, *before, event(AlertEvent.HUB_LISTED, TestHub(1), occurrence="again")) == 0


def test_what_was_told_of_a_hub_alone_is_not_told_of_it_among_others_and_the_other_way_round(world: World) -> None:
    world.open_release()
    first, *rest = (event(AlertEvent.RELEASE_OPENED, TestHub(number)) for number in range(1, 4))

    assert post(world, first) == 1
    assert post(world, first, *rest) == 1
    assert post(world, *rest) == 0
    assert post(world, rest[1]) == 0

    assert [body for *_, body in sent(world)] == [
        FirmwareUpgradeRequested("CHF", "9002", tuple(one.hub_id for one in some)) for some in ([first], rest)
    ]


def test_an_organisation_without_user_is_passed_over(world: World) -> None:
    world.open_release()

    assert post(world, event(AlertEvent.HUB_LISTED, TestHub(1), "somebody-else")) == 0
    assert sent(world) == []


def test_an_alert_is_written_in_the_version_its_receiver_understands(tmp_path: Path) -> None:
    world = make_world(tmp_path / "older", prepare=of_version("5.1"))
    world.open_release()
    post(world, event(AlertEvent.HUB_LISTED, TestHub(1)), event(AlertEvent.HUB_LISTED, TestHub(1), B.name))

    with world.instance.reading_engine.connect() as connection:
        found = messages(connection)
    assert [parse(one.body).root.get("schemaVersion") for one in found] == ["5.1", "5.4"]
    world.close()


def of_version(version: str) -> Callable[[Path], None]:
    """An instance in which the systems of A understand no newer version."""

    def prepare(directory: Path) -> None:
        users = directory / "users.toml"
        text = users.read_text(encoding="utf-8")
        users.write_text(text.replace("duis_version = 5.4", f"duis_version = {version}", 1), encoding="utf-8")

    return prepare


def test_an_alert_newer_than_its_receiver_is_replaced_by_one_that_says_so_hub_by_hub(tmp_path: Path) -> None:
    world = make_world(tmp_path / "older", prepare=of_version("5.0"))
    world.open_release()
    hubs = [TestHub(1), TestHub(2)]
    events = [event(AlertEvent.HUB_ACTIVATED, hub, supplier.name) for hub in hubs for supplier in (A, B)]

    assert post(world, *events) == 4
    assert post(world, *events) == 0, "what was replaced has been told all the same"

    alerts = sent(world)
    assert [one for one in alerts if one[0] == f"user:{A.eui}"] == [
        (f"user:{A.eui}", hub.chf, "N999", DUISVersionMismatch(DCCAlertVersionMismatch("N64", hub.chf), "5.0"))
        for hub in hubs
    ]
    assert [one for one in alerts if one[0] == f"user:{B.eui}"] == [
        (f"user:{B.eui}", hub.chf, "N64", CommsHubFirmwareActivation(hub.chf, "9002")) for hub in hubs
    ]
    world.close()


def test_the_version_that_first_has_an_alert_is_sent_it_as_it_is(tmp_path: Path) -> None:
    world = make_world(tmp_path / "first", prepare=of_version("5.1"))
    world.open_release()

    post(world, event(AlertEvent.HUB_ACTIVATED, TestHub(1)))

    ((_, _, code, body),) = sent(world)
    assert (code, body) == ("N64", CommsHubFirmwareActivation(TestHub(1).chf, "9002"))
    world.close()


def since(name: str, version: str) -> Callable[[Path], None]:
    """As `of_version("5.0")`, where an alert has its body only since a version."""

    def prepare(directory: Path) -> None:
        of_version("5.0")(directory)
        edit(directory / "config" / "alerts.toml", f"[alert.{name}]\n", f"[alert.{name}]\nsince = {version}\n")

    return prepare


@pytest.mark.parametrize(
    ("hubs", "named"), [([TestHub(1), TestHub(2)], None), ([TestHub(1)], TestHub(1).chf)], ids=["two hubs", "one hub"]
)
def test_one_that_lists_hubs_is_replaced_by_one_that_names_a_hub_only_if_it_is_alone(
    tmp_path: Path, hubs: list[TestHub], named: str | None
) -> None:
    world = make_world(tmp_path / "many", prepare=since("release_opened", "5.2"))
    world.add_hubs(hubs)

    world.open_release()

    mismatch = DUISVersionMismatch(DCCAlertVersionMismatch("N59", named), "5.0")
    assert sent(world) == [(f"user:{A.eui}", named, "N999", mismatch)]
    world.close()


def test_one_that_is_about_a_request_is_replaced_by_one_that_names_it(tmp_path: Path) -> None:
    world = make_world(tmp_path / "request", prepare=since("hub_failed", "5.2"))
    world.open_release()
    hub = TestHub(1)

    post(world, event(AlertEvent.HUB_FAILED, hub))

    drawn = f"{BROKER}:{BROKER}:1"
    mismatch = DCCAlertVersionMismatch("N18", hub.chf, drawn)
    assert sent(world) == [(f"user:{A.eui}", hub.chf, "N999", DUISVersionMismatch(mismatch, "5.0"))]
    world.close()


def test_an_event_whose_body_nobody_builds_is_refused_by_name(world: World) -> None:
    world.open_release()

    with pytest.raises(ValueError, match="event quarantined_request: no alert of body QuarantinedRequest"):
        post(world, event(AlertEvent.QUARANTINED_REQUEST, TestHub(1)))


def test_an_alert_goes_to_the_user_whose_role_applies_to_the_hub_electricity_first(tmp_path: Path) -> None:
    world = make_world(tmp_path / "two", prepare=with_a_user_for_gas)
    both, power, gas = TestHub(1), TestHub(2, gas=B.name), TestHub(3, electricity=B.name)
    world.add_hubs([both, power, gas])

    world.open_release()

    assert [(destination, body) for destination, _, _, body in sent(world)] == [
        (f"user:{A.eui}", FirmwareUpgradeRequested("CHF", "9002", (both.chf, power.chf))),
        (f"user:{GAS_EUI}", FirmwareUpgradeRequested("CHF", "9002", (gas.chf,))),
        (f"user:{B.eui}", FirmwareUpgradeRequested("CHF", "9002", (power.chf, gas.chf))),
    ]
    world.close()


def test_a_failure_names_the_request_that_stood_when_it_happened_though_a_later_one_came_before_the_alert(
    world: World,
) -> None:
    world.open_release()
    hub = TestHub(1)
    world.add_hubs([hub])
    nights = Nights(world, world.instance.configuration.regions["Central"])
    # Nothing is told after these transactions: as if the processor had stopped between them and the alerts.
    silent = Transactions(world.instance.engine, world.clock)

    def schedule(window: Period) -> str:
        request_id = world.request_id(A)
        body = ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, (hub.chf,))
        data = world.signed(A, body, "11.5", request_id=request_id)
        admitted = world.processor.admit("serviceD", data, world.clock.now())
        assert isinstance(admitted, Admitted)
        answer = silent.run_now(lambda uow: world.processor.execute(uow, admitted))
        assert world.decoded(answer).code == "I0"
        return request_id

    first = schedule(WINDOW)
    assert nights.cut() == 1
    world.clock.advance(timedelta(days=3))
    now = world.clock.now()
    entry = nights.saw(hub, ReportStatus.FAILED, "no power")
    report = UpgradeReport(nights.message_id(), now, nights.list_ids()[0], "Central", (entry,))
    silent.run_now(lambda uow: outcomes_of(world.instance).report(uow, report))
    second = schedule(Period(now + timedelta(days=5), now + timedelta(days=9)))
    assert not [body for *_, body in sent(world) if isinstance(body, FirmwareDistributionFailure)]

    world.run(remind)

    (failure,) = [body for *_, body in sent(world) if isinstance(body, FirmwareDistributionFailure)]
    assert failure.update_firmware_request_id == first != second


def test_what_became_of_a_meters_firmware_is_said_in_a_version_its_user_knows(tmp_path: Path) -> None:
    world = make_world(tmp_path / "meters", prepare=since("firmware_delivered", "5.2"))
    hub = TestHub(1)
    world.add_hubs([hub])
    listed(world, ENTRY)
    meters = Meters(world)
    assert meters.update([esme(hub)]).code == "I99"
    meters.report(meters.lists()[-1].list_id, [esme(hub)])
    world.settle()

    (alert,) = world.sent(A, "alert")

    assert isinstance(alert.alert, DUISVersionMismatch)
    assert isinstance(alert.alert.mismatch, DCCAlertVersionMismatch)
    assert (alert.alert.mismatch.alert_code, alert.alert.mismatch.device_id) == ("N60", esme(hub))
    world.close()


def test_that_a_request_is_in_quarantine_is_said_in_a_version_its_user_knows(tmp_path: Path) -> None:
    world = make_world(tmp_path / "held", prepare=since("quarantined_request", "5.2"))
    hubs = [TestHub(1), TestHub(2)]
    world.add_hubs(hubs)
    world.open_release()
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(None, 1)))
    request_id = world.request_id(A)
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, tuple(hub.chf for hub in hubs))
    assert world.post(world.signed(A, body, "11.6", request_id=request_id)).code == "I99"

    (alert,) = world.sent(A, "notice")

    assert isinstance(alert.alert, DUISVersionMismatch)
    assert isinstance(alert.alert.mismatch, DCCAlertVersionMismatch)
    assert (alert.alert.mismatch.alert_code, alert.alert.mismatch.request_id) == ("N46", request_id)
    world.close()
