"""Lists that are replaced before they start: what the CSP takes off stands on a new one, as far as it still may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert

from signing import parse
from sr_engine.bootstrap import outcomes_of, phases_of, withdrawing_of
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.model import (
    Decision,
    RefusedHubs,
    ReportStatus,
    UpgradeListAcknowledgement,
    UpgradeListWithdrawal,
)
from sr_engine.operations.lists import NotWithdrawable, find_list
from sr_engine.operations.phases import halt
from sr_engine.store.mailbox import message as message_of
from sr_engine.store.mailbox import messages
from sr_engine.store.tables import exclusions
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import FIRMWARE, A, B, TestHub

ACTIVATED = ReportStatus.ACTIVATED
BACK = "its upgrade list was replaced: another night is better"


def listed(nights: Nights, number: int, **values: object) -> tuple[list[TestHub], str]:
    """So many hubs on a list that has reached its CSP."""
    chosen = hubs(number, **values)
    nights.world.add_hubs(chosen)
    nights.schedule(chosen)
    if "gas" in values:
        nights.decide(chosen, B, Decision.APPROVE)
    nights.cut()
    nights.deliver_all()
    return chosen, nights.list_ids()[-1]


def ask(nights: Nights, list_id: str) -> UpgradeListWithdrawal:
    """The operator's command; returns what the CSP is sent."""
    withdrawing = withdrawing_of(nights.world.instance)
    nights.world.run(
        lambda uow: withdrawing(
            uow, nights.region, find_list(uow, list_id), (), "another night is better", replacing=True
        )
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
    nights: Nights, asked: UpgradeListWithdrawal, taken_off: Sequence[TestHub], refused: Sequence[TestHub] = ()
) -> str:
    """What the CSP says of it; the region is as the test has made it."""
    message = UpgradeListAcknowledgement(
        nights.message_id(),
        nights.world.clock.now(),
        asked.list_id,
        nights.region.name,
        tuple(hub.chf for hub in taken_off),
        (RefusedHubs("under way", tuple(hub.chf for hub in refused)),) if refused else (),
        asked.message_id,
    )
    outcomes = outcomes_of(nights.world.instance)
    here = replace(outcomes.replacing, regions={nights.region.name: nights.region})
    return nights.world.run(lambda uow: replace(outcomes, replacing=here).acknowledge(uow, message))


def test_nothing_moves_before_the_csp_has_acknowledged_it_and_then_the_new_list_names_the_old(central: Nights) -> None:
    chosen, old = listed(central, 2, gas=B.name)
    central.acknowledge(old, accepted=chosen[:1])

    asked = ask(central, old)

    assert (asked.list_id, asked.reason, asked.device_ids) == (old, "another night is better", ())
    assert (central.states(chosen), central.list_ids()) == (["Accepted", "Listed"], [old])
    assert answer(central, asked, chosen) == "2 hubs withdrawn, 2 of them listed anew, 0 not"
    first, second = central.lists()
    assert (second.replaces, second.entries) == (old, first.entries)
    assert second.list_id != old
    assert {central.attempt(hub).list_id for hub in chosen} == {second.list_id}
    assert central.states(chosen) == ["Listed", "Listed"]
    assert central.said("list replacement asked for") == [f"Central: list {old}, 2 hubs: another night is better"]
    assert central.said("list replaced") == [
        f"Central: list {old}, 2 hubs listed anew, 0 back in planning: another night is better"
    ]


def test_for_the_suppliers_of_a_hub_that_keeps_its_night_nothing_changes(central: Nights) -> None:
    (hub,), old = listed(central, 1)
    answer(central, ask(central, old), [hub])
    assert central.told("hub_listed") == [(hub.chf, A.name)]
    assert (central.told("hub_returned"), central.told("hub_cancelled")) == ([], [])
    assert central.attempt(hub).number == 1


def test_what_the_csp_refuses_to_take_off_or_has_begun_stays(central: Nights) -> None:
    chosen, old = listed(central, 4)
    moved, refused, begun, forgotten = chosen
    asked = ask(central, old)
    central.report(old, central.saw(begun, ReportStatus.DELIVERED))

    assert answer(central, asked, [moved, begun], [refused]) == "1 hubs withdrawn, 1 of them listed anew, 1 not"

    assert central.states(chosen) == ["Listed", "Listed", "Delivered", "Listed"]
    stay = {central.attempt(hub).list_id for hub in (refused, begun, forgotten)}
    assert stay == {old} != {central.attempt(moved).list_id}


def test_what_may_not_go_any_more_is_back_in_planning_and_its_suppliers_are_told(central: Nights) -> None:
    chosen, old = listed(central, 2)
    excluded, other = chosen
    asked = ask(central, old)
    row = {"hub_id": excluded.chf, "organisation": A.name, "set_at": central.world.clock.now(), "until": None}
    central.world.run(lambda uow: uow.connection.execute(insert(exclusions).values(row)))

    assert answer(central, asked, chosen) == "2 hubs withdrawn, 1 of them listed anew, 0 not"

    assert central.states(chosen) == ["Scheduled", "Listed"]
    attempt = central.attempt(excluded)
    assert (attempt.list_id, attempt.period, attempt.reason) == (None, None, BACK)
    assert central.told("hub_returned") == [(excluded.chf, A.name)]
    assert central.lists()[-1].entries[0].device_ids == (other.chf,)


def test_the_new_list_keeps_to_the_places_of_the_night_as_they_are_now(central: Nights) -> None:
    central.change(list_size=3)
    chosen, old = listed(central, 5)
    on_old = [hub for hub in chosen if central.attempt(hub).list_id == old]
    assert len(on_old) == 2

    central.change(hubs_per_night=4)  # three of which a list has that is not replaced
    assert answer(central, ask(central, old), on_old) == "2 hubs withdrawn, 1 of them listed anew, 0 not"
    assert sorted(central.states(on_old)) == ["Listed", "Scheduled"]


def test_a_new_list_is_cut_to_the_size_that_is_in_force(central: Nights) -> None:
    chosen, old = listed(central, 5)
    central.change(list_size=2)
    answer(central, ask(central, old), chosen)
    new = [one for one in central.lists() if one.replaces == old]
    assert sorted(len(one.entries[0].device_ids) for one in new) == [1, 2, 2]


def test_an_answer_that_comes_once_the_night_has_begun_leaves_the_hubs_for_another(central: Nights) -> None:
    chosen, old = listed(central, 2)
    asked = ask(central, old)
    central.world.clock.set(central.period().start)

    assert answer(central, asked, chosen) == "2 hubs withdrawn, 0 of them listed anew, 0 not"

    assert central.states(chosen) == ["Scheduled", "Scheduled"]
    assert central.list_ids() == [old]
    assert central.cut(2) == 2


def test_a_night_that_is_closed_now_gets_no_new_list(central: Nights) -> None:
    chosen, old = listed(central, 2)
    starts_on = central.period().start.astimezone(central.region.time_zone).date()
    central.change(blackout_dates=central.region.blackout_dates | {starts_on})

    assert answer(central, ask(central, old), chosen) == "2 hubs withdrawn, 0 of them listed anew, 0 not"

    assert central.states(chosen) == ["Scheduled", "Scheduled"]
    assert central.list_ids() == [old]


def test_a_halted_region_gets_no_new_list(central: Nights) -> None:
    chosen, old = listed(central, 1)
    asked = ask(central, old)
    machinery = phases_of(central.world.instance)
    central.world.run(lambda uow: halt(uow, machinery, FIRMWARE, "Central", "smoke"))
    answer(central, asked, chosen)
    assert (central.states(chosen), central.list_ids()) == (["Scheduled"], [old])


def test_an_answer_that_comes_twice_and_a_second_request_change_nothing_more(central: Nights) -> None:
    chosen, old = listed(central, 2)
    first, second = ask(central, old), ask(central, old)
    answer(central, first, chosen)
    before = central.list_ids(), [central.attempt(hub) for hub in chosen]

    assert answer(central, first, chosen) == "0 hubs withdrawn, 0 of them listed anew, 0 not"
    assert answer(central, second, chosen) == "0 hubs withdrawn, 0 of them listed anew, 0 not"
    assert (central.list_ids(), [central.attempt(hub) for hub in chosen]) == before


def test_a_new_list_can_be_replaced_again_and_a_report_under_any_of_their_ids_is_taken_in(central: Nights) -> None:
    chosen, old = listed(central, 3)
    answer(central, ask(central, old), chosen)
    middle = central.attempt(chosen[0]).list_id
    assert middle is not None
    central.deliver_all()
    answer(central, ask(central, middle), chosen)
    newest = central.attempt(chosen[0]).list_id
    assert newest is not None
    central.world.clock.advance(60 * HOUR)

    for hub, list_id in zip(chosen, (old, middle, newest), strict=True):
        assert central.report(list_id, central.saw(hub, ACTIVATED)) == "1 hubs brought forward"

    assert central.states(chosen) == ["Activated"] * 3


def test_the_old_list_is_not_chased_and_the_new_one_is(central: Nights) -> None:
    chosen, old = listed(central, 1)
    central.world.clock.advance(HOUR)
    answer(central, ask(central, old), chosen)
    central.deliver_all()
    assert central.chase(central.world.clock.now() + timedelta(days=1, hours=1)) == 1
    assert central.acknowledge(central.list_ids()[-1], accepted=chosen) == "1 hubs acknowledged"
    central.deliver_all()
    assert central.chase(central.world.clock.now() + timedelta(days=9)) == 0


@pytest.mark.parametrize("replaced_first", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_hub_that_is_to_be_withdrawn_for_good_stands_on_no_new_list_in_whatever_order_that_was_asked(
    central: Nights, replaced_first: bool, whole: bool
) -> None:
    chosen, old = listed(central, 3)
    withdrawing = withdrawing_of(central.world.instance)
    only = () if whole else (chosen[0].chf,)

    def withdraw() -> None:
        central.world.run(
            lambda uow: withdrawing(uow, central.region, find_list(uow, old), only, "a fault in the firmware")
        )

    if not replaced_first:
        withdraw()
    asked = ask(central, old)
    if replaced_first:
        withdraw()

    answer(central, asked, chosen)

    assert central.states(chosen) == (["Cancelled"] * 3 if whole else ["Cancelled", "Listed", "Listed"])
    assert central.attempt(chosen[0]).reason == "withdrawn from its CSP: a fault in the firmware"
    assert len(central.list_ids()) == (1 if whole else 2)
    assert central.told("hub_cancelled") == [(hub.chf, A.name) for hub in (chosen if whole else chosen[:1])]


@pytest.mark.parametrize("why", ["started", "not delivered"])
def test_what_cannot_be_withdrawn_cannot_be_replaced(central: Nights, why: str) -> None:
    chosen = hubs(1)
    central.world.add_hubs(chosen)
    central.schedule(chosen)
    central.cut()
    if why == "started":
        central.deliver_all()
        central.world.clock.set(central.period().start)
    with pytest.raises(NotWithdrawable, match=r"has started|has not reached its CSP"):
        ask(central, central.list_ids()[-1])
