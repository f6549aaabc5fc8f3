"""Upgrade lists: which hubs stand on them, when they are cut, and who is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from sr_engine.bootstrap import supplier_changes_of
from sr_engine.domain.states import AttemptState
from sr_engine.messages.model import Decision, Period, Phase
from sr_engine.operations import registrations
from sr_engine.operations.phases import open_gate
from sr_engine.store import inventory
from sr_engine.store.tables import releases
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import BROKER, FIRMWARE, WINDOW, A, B, TestHub, World, change_record


def listed(nights: Nights) -> list[tuple[str, ...]]:
    """The hubs of each list, in the order of the outbox."""
    return [entry.device_ids for one in nights.lists() for entry in one.entries]


def chfs(of: list[TestHub]) -> tuple[str, ...]:
    return tuple(hub.chf for hub in of)


def register(nights: Nights, hub: TestHub, organisation: str | None) -> None:
    """Both fuels of a home go to another Supplier, or to nobody, an hour before the cut."""
    rows = [
        {"mpxn": mpxn, "role": role, "effective_from": nights.due() - HOUR, "organisation": organisation}
        for mpxn, role in ((hub.mpan, "IS"), (hub.mprn, "GS"))
    ]
    nights.world.run(lambda uow: registrations.receive(uow, rows))


def carry_out_changes(nights: Nights) -> None:
    """Carry out the changes of Supplier that are effective."""
    chore = supplier_changes_of(nights.world.instance)
    while nights.world.run(chore):
        pass


# --- the list itself -------------------------------------------------------------------------------------------------


def test_a_list_names_its_hubs_period_and_firmware_and_is_signed_and_valid(central: Nights) -> None:
    three = hubs(3)
    central.world.add_hubs(three)
    central.schedule(three)

    assert central.cut() == 3

    (message,) = central.lists()
    (entry,) = message.entries
    assert (message.region, message.firmware, message.image_hash) == ("Central", FIRMWARE, "AB" * 32)
    assert (entry.period, entry.device_ids) == (central.period(), chfs(three))
    assert message.created == central.due()
    assert (message.message_id.originator, message.message_id.target) == (BROKER, central.region.csp_eui)
    assert [message.list_id] == central.list_ids()


def test_listed_hubs_carry_list_and_period(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    central.cut()

    attempt = central.attempt(hub)
    assert (attempt.state, attempt.list_id, attempt.period) == (
        AttemptState.LISTED,
        central.list_ids()[0],
        central.period(),
    )


def test_the_period_keeps_its_local_hours_in_summer(central: Nights) -> None:
    central.world.clock.set(datetime(2027, 5, 3, 9, tzinfo=UTC))
    window = Period(datetime(2027, 5, 9, tzinfo=UTC), datetime(2027, 5, 20, tzinfo=UTC))
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub], window=window)
    night = Period(datetime(2027, 5, 9, 21, tzinfo=UTC), datetime(2027, 5, 10, 5, tzinfo=UTC))
    due = night.start - 48 * HOUR
    central.world.clock.set(due)

    central.world.run(lambda uow: central.cutter.run(uow, central.region, due, night))

    assert central.lists()[0].entries[0].period == night


@pytest.mark.parametrize(
    ("region", "due", "start"),
    [
        ("North", datetime(2026, 11, 27, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        ("Central", datetime(2026, 11, 27, 22, tzinfo=UTC), datetime(2026, 11, 29, 22, tzinfo=UTC)),
        ("South", datetime(2026, 11, 27, 22, tzinfo=UTC), datetime(2026, 11, 29, 22, tzinfo=UTC)),
    ],
)
def test_each_region_is_cut_its_own_lead_time_before_its_own_first_night(
    world: World, region: str, due: datetime, start: datetime
) -> None:
    world.open_release()
    nights = Nights(world, world.instance.configuration.regions[region])
    of_each = [TestHub(n, region=name) for n, name in enumerate(("North", "Central", "South"), start=1)]
    world.add_hubs(of_each)
    nights.schedule(of_each)

    assert nights.due() == due
    assert nights.cut() == 1

    (entry,) = nights.lists()[0].entries
    assert entry.period.start == start
    assert entry.device_ids == chfs([hub for hub in of_each if hub.region == region])


def test_lists_hold_no_more_hubs_than_the_region_allows(central: Nights) -> None:
    seven = hubs(7)
    central.world.add_hubs(seven)
    central.schedule(seven)
    central.change(list_size=3)

    central.cut()

    assert listed(central) == [chfs(seven[:3]), chfs(seven[3:6]), chfs(seven[6:])]
    assert len(set(central.list_ids())) == 3


def test_a_night_takes_no_more_hubs_than_the_region_allows_and_the_next_takes_the_rest(central: Nights) -> None:
    seven = hubs(7)
    central.world.add_hubs(seven)
    central.schedule(seven)
    central.change(hubs_per_night=4)

    assert [central.cut(0), central.cut(1)] == [4, 3]

    assert listed(central) == [chfs(seven[:4]), chfs(seven[4:])]
    assert [entry.period for one in central.lists() for entry in one.entries] == [central.period(0), central.period(1)]


def test_hubs_with_fewer_nights_left_go_first(central: Nights) -> None:
    two = hubs(2)
    central.world.add_hubs(two)
    central.schedule(two[:1])
    central.schedule(two[1:], window=Period(WINDOW.start, WINDOW.start + timedelta(days=4)))
    central.change(hubs_per_night=1)

    central.cut()

    assert listed(central) == [(two[1].chf,)]


def test_a_window_that_does_not_hold_the_whole_night_is_not_listed_for_it(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub], window=replace(WINDOW, start=central.period(0).start + timedelta(minutes=1)))

    assert [central.cut(0), central.cut(1)] == [0, 1]


def test_only_pilot_hubs_are_listed_until_the_gate_opens(world: World) -> None:
    world.open_release(general_open=False)
    central = Nights(world, world.instance.configuration.regions["Central"])
    two = hubs(2)
    world.add_hubs(two)
    central.schedule(two[:1], phase=Phase.PILOT)
    central.schedule(two[1:], phase=Phase.GENERAL)

    assert central.cut(0) == 1
    assert central.states(two) == ["Listed", "Scheduled"]

    assert world.run(lambda uow: open_gate(uow, FIRMWARE, "Central"))
    assert central.cut(1) == 1
    assert central.states(two) == ["Listed", "Listed"]


def test_the_gate_of_one_region_opens_no_other(world: World) -> None:
    world.open_release(general_open=False)
    central = Nights(world, world.instance.configuration.regions["Central"])
    (hub,) = hubs(1)
    world.add_hubs([hub])
    central.schedule([hub])
    world.run(lambda uow: open_gate(uow, FIRMWARE, "South"))

    assert central.cut() == 0


# --- checked again at the cut ----------------------------------------------------------------------------------------


def test_a_hub_whose_gas_supplier_has_not_approved_is_not_listed(central: Nights) -> None:
    (hub,) = hubs(1, gas=B.name)
    central.world.add_hubs([hub])
    central.schedule([hub], A)

    assert central.cut(0) == 0
    central.decide([hub], B, Decision.APPROVE)
    assert central.cut(1) == 1


def test_a_registration_that_changed_before_the_cut_takes_the_hub_back_to_awaiting_approval(central: Nights) -> None:
    stays, changes = hubs(2)
    central.world.add_hubs([stays, changes])
    central.schedule([stays, changes])
    gained = {
        "mpxn": changes.mprn,
        "role": "GS",
        "effective_from": central.due() - HOUR,
        "organisation": B.name,
    }
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, [gained]))

    assert central.cut() == 1

    assert central.states([stays, changes]) == ["Listed", "AwaitingApproval"]
    assert central.told("hub_listed") == [(stays.chf, A.name)]


def test_a_registration_that_takes_effect_well_after_the_night_changes_nothing_yet(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    effective_from = central.period().end + timedelta(days=3)
    later = {"mpxn": hub.mprn, "role": "GS", "effective_from": effective_from, "organisation": B.name}
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, [later]))

    assert central.cut() == 1


def test_a_hub_without_any_supplier_left_is_not_listed(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    register(central, hub, None)

    assert central.cut() == 0
    carry_out_changes(central)
    assert central.attempt(hub).state is AttemptState.VOIDED


def test_whoever_has_just_come_is_not_told_by_the_cut_of_an_attempt_from_before_its_time(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    register(central, hub, B.name)

    assert central.cut() == 0
    assert central.attempt(hub).state is AttemptState.SCHEDULED, "what follows is not for the cut to say"
    carry_out_changes(central)

    assert central.attempt(hub).state is AttemptState.VOIDED
    assert central.told("hub_cancelled") == []
    assert central.told("hub_voided") == [(hub.chf, A.name)]


@pytest.mark.parametrize(
    "values",
    [
        {"device_status": "Decommissioned"},
        {"device_status": "Pending"},
        {"firmware_version": "8000"},
        {"firmware_version": FIRMWARE.version},
        {"model": "OTHER"},
        {"csp_region": "South"},
    ],
    ids=lambda values: next(iter(values.items()))[1],
)
def test_a_hub_to_which_the_release_no_longer_applies_stays_scheduled(
    central: Nights, values: dict[str, object]
) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    central.world.run(lambda uow: change_record(uow.connection, hub.chf, **values))

    assert central.cut() == 0
    assert central.attempt(hub).state is AttemptState.SCHEDULED


@pytest.mark.parametrize("status", ["Suspended", "Recovered"])
def test_a_suspended_or_recovered_hub_is_listed(central: Nights, status: str) -> None:
    (hub,) = hubs(1, status=status)
    central.world.add_hubs([hub])
    central.schedule([hub])

    assert central.cut() == 1


@pytest.mark.parametrize("values", [{"cpl_status": "Removed"}, {"status": "Withdrawn"}])
def test_nothing_is_listed_of_a_release_that_is_closed_or_off_the_certified_products_list(
    central: Nights, values: dict[str, object]
) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    central.world.run(lambda uow: uow.connection.execute(update(releases).values(values)))

    assert central.cut() == 0
    assert central.lists() == []


# --- once, and never late --------------------------------------------------------------------------------------------


def test_a_second_run_does_nothing(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    central.cut()
    before = central.world.snapshot()

    assert central.cut() == 0
    assert central.world.snapshot() == before


def test_a_cut_that_comes_late_but_before_its_night_is_made_and_says_how_late(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    assert central.cut(at=central.due() + 2 * HOUR) == 1
    assert central.said("cut") == [
        "Central: lists for 2026-11-29T22:00Z to 2026-11-30T06:00Z cut 120 min late: 1 hubs listed, 0 left for later"
    ]


def test_a_run_after_the_night_has_begun_cuts_nothing_and_says_so(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    assert central.cut(0, at=central.period(0).start) == 0

    assert central.said("cut") == [
        "Central: lists for 2026-11-29T22:00Z to 2026-11-30T06:00Z not cut: 2880 min late, the period had begun"
    ]
    assert (central.lists(), central.told("hub_listed")) == ([], [])
    assert central.attempt(hub).state is AttemptState.SCHEDULED
    assert central.cut(2) == 1


def test_a_night_for_which_nobody_is_scheduled_leaves_no_list_and_no_word(central: Nights) -> None:
    assert central.cut() == 0
    assert (central.lists(), central.said("cut")) == ([], [])


# --- who is told -----------------------------------------------------------------------------------------------------


def test_every_responsible_supplier_is_told_once_that_its_hub_is_listed(central: Nights) -> None:
    alone, shared = TestHub(1), TestHub(2, gas=B.name)
    central.world.add_hubs([alone, shared])
    central.schedule([alone, shared], A)
    central.decide([shared], B, Decision.APPROVE)

    central.cut()
    central.cut()

    assert central.told("hub_listed") == [(alone.chf, A.name), (shared.chf, A.name), (shared.chf, B.name)]


def test_the_audit_trail_names_the_hubs_and_the_list_message(central: Nights) -> None:
    from sr_engine.store import audit

    two = hubs(2)
    central.world.add_hubs(two)
    central.schedule(two)
    central.cut()

    with central.world.instance.reading_engine.connect() as connection:
        (entry,) = [one for one in audit.newest(connection, 100) if one.to_state == "Listed"]
    assert (entry.from_state, entry.hubs, entry.actor) == ("Scheduled", chfs(two), "processor")
    assert entry.message_key == central.lists()[0].message_id.key


# --- refused by the CSP ----------------------------------------------------------------------------------------------


def test_a_hub_the_csp_refused_is_listed_again_on_a_later_night_under_a_new_list_and_told_again(
    central: Nights,
) -> None:
    two = hubs(2)
    central.world.add_hubs(two)
    central.schedule(two)
    central.cut(0)
    (first,) = central.list_ids()
    central.acknowledge(first, accepted=two[:1], refused={"no radio link": two[1:]})

    refused = central.attempt(two[1])
    assert (refused.state, refused.list_id, refused.period) == (AttemptState.SCHEDULED, None, None)
    assert refused.reason == "refused by the CSP: no radio link"

    assert central.cut(1) == 1

    again = central.attempt(two[1])
    assert (again.number, again.state, again.period, again.reason) == (
        1,
        AttemptState.LISTED,
        central.period(1),
        None,
    )
    assert again.list_id not in {None, first}
    assert listed(central) == [chfs(two), (two[1].chf,)]
    assert central.told("hub_listed").count((two[1].chf, A.name)) == 2
