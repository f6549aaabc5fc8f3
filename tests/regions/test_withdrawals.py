"""Lists that an operator has a CSP withdraw: only what the CSP acknowledges is cancelled (section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from signing import parse
from sr_engine.bootstrap import withdrawing_of
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import RefusedHubs, ReportStatus, UpgradeListAcknowledgement, UpgradeListWithdrawal
from sr_engine.operations.lists import NotWithdrawable, find_list
from sr_engine.regions.outcomes import UnknownList
from sr_engine.store.mailbox import message as message_of
from sr_engine.store.mailbox import messages
from tests.regions.conftest import Nights, hubs
from tests.world import BROKER, FIRMWARE, OLD_VERSION, A, TestHub


def listed(nights: Nights, number: int) -> tuple[list[TestHub], str]:
    """So many hubs on a list that has reached its CSP."""
    chosen = hubs(number)
    nights.world.add_hubs(chosen)
    nights.schedule(chosen)
    nights.cut()
    nights.deliver_all()
    return chosen, nights.list_ids()[-1]


def ask(nights: Nights, list_id: str, *only: TestHub) -> UpgradeListWithdrawal:
    """The operator's command; returns what the CSP is sent."""
    withdrawing = withdrawing_of(nights.world.instance)
    chosen = tuple(hub.chf for hub in only)
    nights.world.run(
        lambda uow: withdrawing(uow, nights.region, find_list(uow, list_id), chosen, "a fault in the firmware")
    )
    with nights.world.instance.reading_engine.connect() as connection:
        receiver = f"csp:{nights.region.name}"
        newest = messages(connection, receiver, after=None, limit=100)[-1]
        body, _ = message_of(connection, receiver, newest.message_id)
    verified = nights.world.instance.verifier.verify(parse(body), roles={"89"}, at=nights.world.clock.now())
    message = decode_csp_message(verified)
    assert isinstance(message, UpgradeListWithdrawal)
    return message


def answer(
    nights: Nights,
    withdrawal: UpgradeListWithdrawal,
    accepted: Sequence[TestHub],
    refused: Sequence[TestHub] = (),
) -> str:
    message = UpgradeListAcknowledgement(
        nights.message_id(),
        nights.world.clock.now(),
        withdrawal.list_id,
        nights.region.name,
        tuple(hub.chf for hub in accepted),
        (RefusedHubs("under way", tuple(hub.chf for hub in refused)),) if refused else (),
        withdrawal.message_id,
    )
    return nights.world.run(lambda uow: nights.outcomes.acknowledge(uow, message))


def test_nothing_is_cancelled_before_the_csp_has_acknowledged_it(central: Nights) -> None:
    (hub,), list_id = listed(central, 1)

    withdrawal = ask(central, list_id)

    assert (withdrawal.list_id, withdrawal.device_ids) == (list_id, ())
    assert withdrawal.reason == "a fault in the firmware"
    assert central.states([hub]) == ["Listed"]
    answer(central, withdrawal, [hub])
    assert central.states([hub]) == ["Cancelled"]
    assert central.attempt(hub).reason == "withdrawn from its CSP: a fault in the firmware"
    assert central.told("hub_cancelled") == [(hub.chf, A.name)]
    assert central.said("list withdrawal asked for") == [f"Central: list {list_id}, 1 hubs: a fault in the firmware"]


def test_some_hubs_of_a_list_can_be_withdrawn_and_scheduled_anew(central: Nights) -> None:
    (first, second), list_id = listed(central, 2)
    withdrawal = ask(central, list_id, first)
    assert withdrawal.device_ids == (first.chf,)

    answer(central, withdrawal, [first])
    central.schedule([first])

    assert central.states([first, second]) == ["Scheduled", "Listed"]
    assert central.attempt(first).number == 2


def test_what_the_csp_cannot_stop_goes_on(central: Nights) -> None:
    chosen, list_id = listed(central, 3)
    stopped, under_way, both = chosen
    withdrawal = ask(central, list_id)

    said = answer(central, withdrawal, [stopped, both], [under_way, both])

    assert said == "1 hubs withdrawn, 2 not"
    assert central.states(chosen) == ["Cancelled", "Listed", "Listed"]
    central.report(list_id, central.saw(under_way, ReportStatus.ACTIVATED))
    assert central.states([under_way]) == ["Activated"]


def test_an_acknowledgement_that_comes_twice_changes_nothing_more(central: Nights) -> None:
    (hub,), list_id = listed(central, 1)
    withdrawal = ask(central, list_id)
    answer(central, withdrawal, [hub])
    before = central.world.snapshot()

    assert answer(central, withdrawal, [hub]) == "0 hubs withdrawn, 0 not"
    assert central.world.snapshot() == before


def test_firmware_that_is_on_the_hub_is_not_withdrawn(central: Nights) -> None:
    (hub, other), list_id = listed(central, 2)
    withdrawal = ask(central, list_id)
    central.report(list_id, central.saw(hub, ReportStatus.DELIVERED))

    answer(central, withdrawal, [hub, other])

    assert central.states([hub, other]) == ["Delivered", "Cancelled"]


def test_the_truth_about_a_hub_that_was_upgraded_all_the_same_is_taken_in(central: Nights) -> None:
    (hub,), list_id = listed(central, 1)
    answer(central, ask(central, list_id), [hub])
    assert central.version(hub.chf) == OLD_VERSION

    central.report(list_id, central.saw(hub, ReportStatus.ACTIVATED))

    assert central.states([hub]) == ["Activated"]
    assert central.version(hub.chf) == central.version(hub.gpf) == FIRMWARE.version


def test_a_list_that_has_started_is_too_late_to_withdraw(central: Nights) -> None:
    _, list_id = listed(central, 1)
    central.world.clock.set(central.period().start)

    with pytest.raises(NotWithdrawable, match="has started"):
        ask(central, list_id)


def test_a_list_that_has_not_reached_its_csp_is_not_withdrawn(central: Nights) -> None:
    chosen = hubs(1)
    central.world.add_hubs(chosen)
    central.schedule(chosen)
    central.cut()

    with pytest.raises(NotWithdrawable, match="has not reached its CSP"):
        ask(central, central.list_ids()[-1])


def test_only_what_stands_on_the_list_is_withdrawn(central: Nights) -> None:
    (hub,), list_id = listed(central, 1)
    with pytest.raises(NotWithdrawable, match=TestHub(9).chf):
        ask(central, list_id, hub, TestHub(9))
    with pytest.raises(NotWithdrawable, match="no upgrade list nothing"):
        ask(central, "nothing")
    answer(central, ask(central, list_id), [hub])
    with pytest.raises(NotWithdrawable, match="nothing on list"):
        ask(central, list_id)


def test_an_acknowledgement_of_a_withdrawal_nobody_asked_for_is_refused(central: Nights) -> None:
    (hub,), list_id = listed(central, 1)
    withdrawal = ask(central, list_id)
    stranger = replace(withdrawal, message_id=RequestId.make(BROKER, central.region.csp_eui, 999))

    with pytest.raises(UnknownList, match="was not withdrawn by message"):
        answer(central, stranger, [hub])

    assert central.states([hub]) == ["Listed"]


def test_a_list_that_its_csp_fetched_and_acknowledged_can_be_withdrawn(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    central.cut()
    (list_id,) = central.list_ids()
    with pytest.raises(NotWithdrawable, match="has not reached its CSP"):
        ask(central, list_id)
    central.acknowledge(list_id, [hub])

    answer(central, ask(central, list_id), [hub])

    assert central.states([hub]) == ["Cancelled"]


def test_a_list_that_is_on_its_way_once_more_can_be_withdrawn(central: Nights) -> None:
    (hub,), list_id = listed(central, 1)
    assert central.chase(central.world.clock.now() + central.region.acknowledgement_sla) == 1

    answer(central, ask(central, list_id), [hub])

    assert central.states([hub]) == ["Cancelled"]


def test_a_list_all_of_which_is_to_be_withdrawn_is_not_chased(central: Nights) -> None:
    """A CSP that has lost it is not to get it behind the message that takes it back."""
    two = hubs(2)
    central.world.add_hubs(two)
    central.schedule(two)
    central.cut()
    (list_id,) = central.list_ids()
    central.deliver_all()
    sla = central.region.acknowledgement_sla
    ask(central, list_id, two[0])
    central.deliver_all()
    assert central.chase(central.due() + sla) == 1
    ask(central, list_id)
    central.deliver_all()

    assert central.chase(central.due() + 2 * sla) == 0
