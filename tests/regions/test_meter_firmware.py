"""What CSPs are sent of an accepted 11.1 or 11.4, what they answer, and what the Supplier that asked is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from itertools import permutations
from pathlib import Path

import pytest

from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.model import (
    CSPFirmwareDeliveryStatus,
    FirmwareDistributionFailure,
    FirmwareImage,
    MeterFirmwareList,
    ReportStatus,
    UpdateFirmware,
)
from sr_engine.regions import meter_outcomes
from sr_engine.store import outbox
from sr_engine.store.outbox import Attempted
from tests.firmware import (
    ENTRY,
    IMAGE,
    PPMID,
    PPMID_ENTRY,
    VERSION,
    Meters,
    esme,
    hash_of,
    listed,
    ota,
    ppmid,
)
from tests.world import NOW, A, B, TestHub, edit, make_world

HOUR = timedelta(hours=1)
HUBS = [TestHub(number, gas=B.name) for number in range(1, 6)]
NORTHERN = TestHub(6, region="North", han=PPMID)


@pytest.fixture
def meters(tmp_path: Path) -> Iterator[Meters]:
    world = make_world(
        tmp_path / "instance",
        prepare=lambda folder: edit(
            folder / "config" / "policy.toml", "alert_max_devices = 4_000", "alert_max_devices = 2"
        ),
    )
    world.add_hubs([*HUBS, NORTHERN])
    listed(world, ENTRY, PPMID_ENTRY)
    yield Meters(world)
    world.close()


def accepted(meters: Meters, *hubs: TestHub) -> str:
    """An 11.1 for the ESMEs of hubs in Central; the id of its list."""
    assert meters.update([esme(hub) for hub in hubs]).code == "I99"
    return meters.lists()[-1].list_id


def told(meters: Meters) -> list[tuple[str | None, object]]:
    """Code and body of what Supplier A was told, but for what differs each time."""
    return [(alert.alert_code, alert.alert) for alert in meters.alerts()]


def delivery(alert: DecodedResponse) -> CSPFirmwareDeliveryStatus:
    assert isinstance(alert.alert, CSPFirmwareDeliveryStatus)
    return alert.alert


# --- what goes out ---------------------------------------------------------------------------------------------------


def test_each_region_gets_the_image_and_its_own_devices_by_hub(meters: Meters) -> None:
    meters.update([esme(hub) for hub in (*HUBS, NORTHERN)])

    for region, hubs in (("Central", HUBS), ("North", [NORTHERN])):
        image, meter_list = meters.sent(region)
        assert isinstance(image, FirmwareImage)
        assert isinstance(meter_list, MeterFirmwareList)
        assert (image.image, image.image_hash) == (IMAGE, hash_of())
        assert image.image_id == hash_of(IMAGE)
        assert (meter_list.region, meter_list.version, meter_list.created) == (region, VERSION, NOW)
        assert (meter_list.image_id, meter_list.image_hash) == (image.image_id, image.image_hash)
        assert meter_list.hubs == {hub.chf: (esme(hub),) for hub in hubs}
    assert meters.sent("South") == []
    assert meters.images("Central") == meters.images("North"), "signed once"


def test_an_image_is_sent_to_a_region_once_however_many_lists_name_it(meters: Meters) -> None:
    first, second, third = HUBS[:3]
    meters.update([esme(first)])
    meters.update([esme(second)])
    assert meters.update([esme(third)], image=ota(text=b"another header")).code == "I99"

    assert len(meters.images()) == 2
    assert [one.image_id for one in meters.lists()] == [
        meters.images()[0].image_id,
        meters.images()[0].image_id,
        meters.images()[1].image_id,
    ]


def test_a_list_is_not_sent_before_its_image_has_been_taken(meters: Meters) -> None:
    accepted(meters, HUBS[0])

    def due() -> list[outbox.Queued]:
        with meters.world.instance.reading_engine.connect() as connection:
            return outbox.sendable(connection, "csp:Central", NOW + HOUR, 10)

    (image,) = due()
    taken = Attempted(image.outbox_id, image.message_id, outbox.DELIVERED, 1, NOW, NOW, None)
    meters.world.run(lambda uow: outbox.settle(uow.connection, [taken]))

    (meter_list,) = due()
    assert b"MeterFirmwareList" in meter_list.body
    assert b"FirmwareImage" in image.body


def test_a_duplicate_gets_the_stored_answer_and_makes_no_second_list(meters: Meters) -> None:
    world = meters.world
    body = UpdateFirmware(IMAGE, VERSION, (esme(HUBS[0]), esme(NORTHERN)))
    request_id = world.request_id(A)
    first = world.post(world.signed(A, body, "11.1", request_id=request_id))
    before = world.snapshot()

    again = world.post(world.signed(A, body, "11.1", request_id=request_id))
    other = UpdateFirmware(IMAGE, VERSION, (esme(HUBS[1]),))
    used = world.post(world.signed(A, other, "11.1", request_id=request_id))

    assert again.body == first.body
    assert used.code == "E100"
    assert world.snapshot() == before


# --- what comes back -------------------------------------------------------------------------------------------------


def test_a_delivery_is_told_with_n60_to_the_user_that_asked_and_to_nobody_else(meters: Meters) -> None:
    answer = meters.update([esme(HUBS[0])])
    (meter_list,) = meters.lists()
    meters.acknowledge(meter_list.list_id, [esme(HUBS[0])])
    assert meters.states() == {esme(HUBS[0]): "Accepted"}

    meters.report(meter_list.list_id, [esme(HUBS[0])])

    assert meters.states() == {esme(HUBS[0]): "Delivered"}
    (alert,) = meters.alerts()
    assert answer.request_id is not None
    assert alert.alert_code == "N60"
    assert delivery(alert) == CSPFirmwareDeliveryStatus(
        answer.request_id.text, HUBS[0].chf, esme(HUBS[0]), VERSION, NOW, delivered=True
    )
    assert meters.alerts(B) == []


def test_a_failure_is_told_with_n61_and_the_time_the_csp_saw_it_but_none_that_is_to_come(meters: Meters) -> None:
    first, second = HUBS[:2]
    list_id = accepted(meters, first, second)

    meters.report(list_id, [esme(first)], ReportStatus.FAILED, at=NOW - HOUR, reason="no room")
    meters.report(list_id, [esme(second)], ReportStatus.FAILED, at=NOW + HOUR)

    assert [(alert.alert_code, delivery(alert).delivered) for alert in meters.alerts()] == [("N61", False)] * 2
    assert [delivery(alert).time_stamp for alert in meters.alerts()] == [NOW - HOUR, NOW]


def test_devices_the_csp_refuses_are_told_together_and_free_for_another_request(meters: Meters) -> None:
    answer = meters.update([esme(hub) for hub in HUBS])
    (meter_list,) = meters.lists()
    assert answer.request_id is not None

    meters.acknowledge(meter_list.list_id, [esme(HUBS[0])], {"no coverage": [esme(hub) for hub in HUBS[1:4]]})

    bodies = [alert.alert for alert in meters.alerts()]
    assert all(isinstance(body, FirmwareDistributionFailure) for body in bodies)
    failures = [body for body in bodies if isinstance(body, FirmwareDistributionFailure)]
    assert [len(body.device_ids) for body in failures] == [2, 1], "at most two ids an alert, as configured here"
    assert {one for body in failures for one in body.device_ids} == {esme(hub) for hub in HUBS[1:4]}
    assert {body.update_firmware_request_id for body in failures} == {answer.request_id.text}
    assert meters.update([esme(hub) for hub in HUBS[1:4]]).code == "I99"


def test_firmware_is_days_on_its_way_before_it_is_given_up(meters: Meters) -> None:
    """Far longer than an upgrade of hubs may take after its night."""
    accepted(meters, *HUBS)

    meters.wait(timedelta(days=5) - HOUR)

    assert set(meters.states().values()) == {"Listed"}
    assert meters.alerts() == []


def test_what_nothing_is_heard_of_by_the_distribution_sla_is_told_and_a_late_delivery_too(meters: Meters) -> None:
    first, second = HUBS[:2]
    list_id = accepted(meters, first, second)
    meters.acknowledge(list_id, [esme(first)])
    meters.wait(meters.region().distribution_sla - HOUR)
    assert meters.alerts() == []

    meters.wait(HOUR)
    assert meters.states() == {esme(first): "Missed", esme(second): "Missed"}
    meters.wait(HOUR)
    meters.report(list_id, [esme(second)])

    assert [alert.alert_code for alert in meters.alerts()] == ["N18", "N60"]
    assert meters.states() == {esme(first): "Missed", esme(second): "Delivered"}


def test_more_devices_than_one_transaction_gives_up_are_given_up_all_the_same(
    meters: Meters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_outcomes, "MISSED_AT_ONCE", 2)
    accepted(meters, *HUBS)

    meters.wait(meters.region().distribution_sla)

    assert set(meters.states().values()) == {"Missed"}


@pytest.mark.parametrize("order", list(permutations(["acknowledged", "failed", "delivered"])))
def test_whatever_the_order_of_messages_delivered_is_the_end_and_told_once(
    meters: Meters, order: tuple[str, ...]
) -> None:
    device_id = esme(HUBS[0])
    list_id = accepted(meters, HUBS[0])
    say = {
        "acknowledged": lambda: meters.acknowledge(list_id, [device_id]),
        "failed": lambda: meters.report(list_id, [device_id], ReportStatus.FAILED),
        "delivered": lambda: meters.report(list_id, [device_id]),
    }
    for what in order:
        say[what]()
        say[what]()

    assert meters.states() == {device_id: "Delivered"}
    codes = [alert.alert_code for alert in meters.alerts()]
    assert codes.count("N60") == 1
    assert codes == (["N61", "N60"] if order.index("failed") < order.index("delivered") else ["N60"])


def test_several_outcomes_of_one_device_in_one_report_are_taken_in_their_order(meters: Meters) -> None:
    list_id = accepted(meters, HUBS[0])

    taken = meters.report(list_id, [esme(HUBS[0])] * 2)

    assert taken.detail == "1 devices brought forward"
    assert len(meters.alerts()) == 1


def test_the_same_message_again_changes_nothing(meters: Meters) -> None:
    list_id = accepted(meters, HUBS[0])
    meters.report(list_id, [esme(HUBS[0])])
    before = meters.world.snapshot()
    meters.counter -= 1

    again = meters.report(list_id, [esme(HUBS[0])])

    assert (again.status, again.detail) == (HTTPStatus.NO_CONTENT, "1 devices brought forward")
    assert meters.world.snapshot() == before


def test_devices_that_are_not_on_the_list_are_counted_and_left_alone(meters: Meters) -> None:
    list_id = accepted(meters, HUBS[0])

    assert meters.report(list_id, [esme(HUBS[1])]).detail == "0 devices brought forward; 1 not on the list"
    assert meters.acknowledge(list_id, [esme(HUBS[1])]).detail == "0 devices acknowledged; 1 not on the list"
    assert meters.states() == {esme(HUBS[0]): "Listed"}


def test_a_list_of_another_region_or_of_nobody_is_not_found(meters: Meters) -> None:
    list_id = accepted(meters, HUBS[0])

    assert meters.report(list_id, [esme(HUBS[0])], region="South").status == HTTPStatus.NOT_FOUND
    assert meters.acknowledge("nobody", [esme(HUBS[0])]).status == HTTPStatus.NOT_FOUND
    assert meters.alerts() == []


def test_ppmids_are_brought_their_firmware_in_the_same_way(meters: Meters) -> None:
    answer = meters.update_ppmids([ppmid(NORTHERN)])
    (meter_list,) = meters.lists("North")
    meters.report(meter_list.list_id, [ppmid(NORTHERN)], region="North")

    (alert,) = meters.alerts()
    assert answer.request_id is not None
    assert delivery(alert).update_firmware_request_id == answer.request_id.text
    assert (delivery(alert).hub_id, delivery(alert).device_id) == (NORTHERN.chf, ppmid(NORTHERN))


def test_alerts_about_devices_behind_one_hub_keep_their_order(meters: Meters) -> None:
    list_id = accepted(meters, HUBS[0])
    meters.report(list_id, [esme(HUBS[0])], ReportStatus.FAILED)
    meters.report(list_id, [esme(HUBS[0])])
    assert len(told(meters)) == 2

    with meters.world.instance.reading_engine.connect() as connection:
        due = outbox.sendable(connection, f"user:{A.eui}", NOW + HOUR, 10)

    assert [(one.hub_id, b"Failure" in one.body) for one in due] == [(HUBS[0].chf, True)]


def test_a_list_that_is_not_acknowledged_in_time_is_sent_again_until_every_device_is_answered_for(
    meters: Meters,
) -> None:
    first, second = HUBS[:2]
    list_id = accepted(meters, first, second)
    sla = meters.region().acknowledgement_sla

    def waiting() -> int:
        with meters.world.instance.reading_engine.connect() as connection:
            due = outbox.sendable(connection, "csp:Central", meters.world.clock.now(), 10)
        taken = [
            Attempted(one.outbox_id, one.message_id, outbox.DELIVERED, 1, NOW, meters.world.clock.now(), None)
            for one in due
        ]
        meters.world.run(lambda uow: outbox.settle(uow.connection, taken))
        return len(due)

    assert (waiting(), waiting(), waiting()) == (1, 1, 0), "the image, then the list"
    meters.acknowledge(list_id, [esme(first)])
    meters.wait(sla - HOUR)
    assert waiting() == 0
    meters.wait(HOUR)
    assert waiting() == 1
    meters.wait(HOUR)
    assert waiting() == 0, "it is asked for once in that time"
    meters.acknowledge(list_id, [esme(second)])
    meters.wait(sla)
    assert waiting() == 0
