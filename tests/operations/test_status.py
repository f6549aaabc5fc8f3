"""Where everything stands, in counts."""

from __future__ import annotations

from datetime import timedelta

from sr_engine.domain.states import AttemptState
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.operations.status import ListStatus
from tests.firmware import ENTRY, VERSION, Meters, esme, listed
from tests.operations.conftest import Operator
from tests.operations.test_why import cut_lists
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World


def test_an_empty_instance_has_nothing_to_count(operator: Operator) -> None:
    found = operator.status()

    assert (found.at, found.releases, found.lists, found.messages) == (NOW, (), (), {})


def test_hubs_are_counted_by_region_and_by_the_state_of_their_newest_attempt(world: World, operator: Operator) -> None:
    hubs = [TestHub(number, gas=B.name if number == 3 else A.name) for number in (1, 2, 3)]
    world.add_hubs([*hubs, TestHub(4, region="North"), TestHub(5, version="9002"), TestHub(6, model="OTHER")])
    world.open_release(general_open=False)
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))
    assert world.send(A, body, "11.5").code == "I0"

    (release,) = operator.status().releases

    regions = {one.region: one for one in release.regions}
    assert list(regions) == ["Central", "North", "South"]
    central, north = regions["Central"], regions["North"]
    assert (central.hubs, central.on_version, central.general_open) == (4, 1, False)
    assert central.states == {AttemptState.AWAITING_APPROVAL: 1, AttemptState.SCHEDULED: 2}
    assert (north.hubs, north.on_version, north.states) == (1, 0, {})
    assert release.answers == {"Approved": 3}


def test_only_the_newest_attempt_of_a_hub_counts(world: World, operator: Operator) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (hub.chf,))
    decline = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (hub.chf,))
    codes = [world.send(A, body, "11.5").code, world.send(A, decline, "11.6").code, world.send(A, body, "11.5").code]
    assert codes == ["I0", "I99", "I0"]

    (release,) = operator.status().releases

    assert release.regions[0].states == {AttemptState.SCHEDULED: 1}


def test_a_deferral_that_has_run_out_is_no_answer(world: World, operator: Operator) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    world.open_release()
    until = NOW + timedelta(days=2)
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DEFER, (hub.chf,), defer_until=until)
    assert world.send(A, body, "11.6").code == "I99"
    before = operator.status().releases[0].answers

    world.clock.set(until)

    assert (before, operator.status().releases[0].answers) == ({"Deferred": 1}, {"Pending": 1})


def test_lists_and_messages_are_counted(world: World, operator: Operator) -> None:
    hubs = [TestHub(1), TestHub(2)]
    world.add_hubs(hubs)
    world.open_release()
    cut_lists(world)
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))
    assert world.send(A, body, "11.5").code == "I0"
    world.clock.set(NOW + timedelta(days=10))
    cut_lists(world)
    world.settle()

    found = operator.status()

    assert found.lists == (ListStatus("Central", 1, 2, 0),)
    assert found.messages["upgrade_list", "upgrade_list", "Pending"] == 1
    assert found.messages["alert", "hub_listed", "Pending"] == 2


def test_firmware_requests_are_counted_newest_first(world: World, operator: Operator) -> None:
    hubs = [TestHub(number) for number in range(1, 4)]
    world.add_hubs(hubs)
    listed(world, ENTRY)
    meters = Meters(world)
    meters.update([esme(hubs[0]), esme(hubs[1])])
    meters.report(meters.lists()[0].list_id, [esme(hubs[0])])
    meters.update([esme(hubs[2])])

    found = operator.status().firmware_requests

    assert [(one.organisation, one.version, one.accepted_at) for one in found] == [(A.name, VERSION, NOW)] * 2
    assert [one.states for one in found] == [{"Listed": 1}, {"Delivered": 1, "Listed": 1}]
