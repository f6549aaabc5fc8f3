"""What is laid over a hub, at 11.5 and again when a list is cut: exclusions, quiet days, HAN impact, pilot places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from sr_engine.bootstrap import outcomes_of
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import CommsHubFirmwareResult, Decision, Period, Phase, RefusalReason
from sr_engine.store import inventory
from sr_engine.store.tables import pilot_shares, release_regions
from tests.requests.conftest import SCHEDULE, SOLE, SPLIT, Suppliers, days, refused, schedule_id
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World

IHD = ("0F0F", "IHD9000")
EITHER = pytest.mark.parametrize("by", [A, B], ids=["electricity", "gas"])
LATER = days(10, 20)
"""The part of the window that is left once its first week has passed."""


# --- Exclusions --------------------------------------------------------------------------------------------------


@EITHER
def test_a_hub_is_not_listed_while_either_supplier_excludes_it_and_is_once_neither_does(
    suppliers: Suppliers, by: SupplierSeed
) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)
    suppliers.exclude(by)

    assert suppliers.cut_lists() == 0

    suppliers.include(by)
    assert suppliers.view(A).status == "Scheduled"
    assert suppliers.cut_lists(LATER) == 1


@EITHER
def test_a_hub_is_listed_for_the_first_night_after_an_exclusion_has_ended(
    suppliers: Suppliers, by: SupplierSeed
) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)
    # The list is cut two days before the night, which the exclusion does not reach.
    suppliers.exclude(by, until_days=9)

    assert suppliers.cut_lists() == 0
    assert suppliers.cut_lists(LATER) == 1


@EITHER
def test_a_hub_excluded_for_all_of_the_window_cannot_be_scheduled_and_nobody_learns_by_whom(
    suppliers: Suppliers, by: SupplierSeed
) -> None:
    suppliers.exclude(by, until_days=20)

    answers = [suppliers.schedule(supplier) for supplier in (A, B)]

    for answer in answers:
        assert (answer.code, refused(answer)) == ("E110503", {RefusalReason.NOT_AVAILABLE: (SPLIT.chf,)})
    assert suppliers.decide(A, Decision.APPROVE).code == "I99", "approving needs no night"


@EITHER
def test_a_hub_is_accepted_if_one_night_of_the_window_is_left_to_it(suppliers: Suppliers, by: SupplierSeed) -> None:
    # The last night of the window begins on its last Thursday evening.
    last = days(17, 20)
    suppliers.exclude(by, until_days=17.5)

    assert suppliers.schedule(A).code == "I0"
    suppliers.decide(B, Decision.APPROVE)
    assert suppliers.cut_lists() == 0
    suppliers.world.clock.set(NOW)
    assert suppliers.cut_lists(last) == 1


def test_an_exclusion_without_end_leaves_no_night_even_in_the_longest_window(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs([TestHub(31)])
    suppliers.exclude(A, SOLE.chf)

    answer = suppliers.schedule(A, SOLE.chf, TestHub(31).chf, window=days(0, 180))

    assert (answer.code, refused(answer)) == ("W110501", {RefusalReason.NOT_AVAILABLE: (SOLE.chf,)})


# --- A halt ------------------------------------------------------------------------------------------------------


def test_a_halt_is_laid_over_what_is_not_yet_with_the_csp_below_an_own_exclusion(suppliers: Suppliers) -> None:
    def halt(at: datetime | None) -> None:
        suppliers.world.run(lambda uow: uow.connection.execute(release_regions.update().values(halted_at=at)))

    def shown() -> list[str]:
        views = suppliers.view(A), suppliers.view(B), suppliers.view(A, SOLE.chf)
        return [view.status.value for view in views]

    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)
    suppliers.exclude(A)
    halt(NOW)
    halted = shown()
    assert suppliers.cut_lists() == 0
    halt(None)
    suppliers.include(A)
    resumed = shown()
    assert suppliers.cut_lists(LATER) == 1
    halt(NOW)

    assert halted == ["Excluded", "Halted", "NotScheduled"]
    assert resumed == ["Scheduled", "Scheduled", "NotScheduled"]
    assert shown() == ["Listed", "Listed", "NotScheduled"]


# --- Quiet days around a change of Supplier ----------------------------------------------------------------------


def _register(world: World, at: datetime, *, gas_to: SupplierSeed = B, hub: TestHub = SOLE) -> None:
    row: dict[str, object] = {"mpxn": hub.mprn, "role": "GS", "effective_from": at, "organisation": gas_to.name}
    world.run(lambda uow: inventory.put_registrations(uow.connection, [row]))


def test_a_window_within_the_quiet_days_is_not_available_and_one_that_reaches_beyond_is(suppliers: Suppliers) -> None:
    # Gas changes hands on a Thursday: no night from Monday to Sunday noon.
    _register(suppliers.world, days(10, 10).start)

    within = suppliers.schedule(A, SOLE.chf, window=days(7, 13))
    beyond = suppliers.schedule(A, SOLE.chf, window=days(7, 14))

    assert (within.code, refused(within)) == ("E110503", {RefusalReason.NOT_AVAILABLE: (SOLE.chf,)})
    assert beyond.code == "I0"


def test_no_night_of_the_quiet_days_is_listed_when_the_change_becomes_known_later(suppliers: Suppliers) -> None:
    suppliers.schedule(A, SOLE.chf)
    _register(suppliers.world, days(7, 7).start)

    assert suppliers.cut_lists() == 0, "two days before"
    suppliers.world.clock.set(NOW)
    before = suppliers.view(A, SOLE.chf)

    assert (before.status, before.status_reason) == ("Scheduled", None)


def test_a_registration_that_changes_nothing_is_no_change_of_supplier(suppliers: Suppliers) -> None:
    _register(suppliers.world, days(10, 10).start, gas_to=A)

    assert suppliers.schedule(A, SOLE.chf, window=days(7, 13)).code == "I0"


# --- HAN impact --------------------------------------------------------------------------------------------------


def test_a_han_device_that_appears_after_the_schedule_keeps_the_hub_off_the_lists_until_it_is_accepted(
    world: World,
) -> None:
    world.add_hubs([SPLIT])
    world.open_release(han_models=[IHD])
    suppliers = Suppliers(world)
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)
    world.add_hubs([replace(SPLIT, han=IHD)])

    assert suppliers.cut_lists() == 0
    assert suppliers.view(A).status == "Scheduled"

    assert suppliers.decide(A, Decision.APPROVE, accept=True).code == "I99"
    assert suppliers.cut_lists(days(9, 20)) == 0, "the other Supplier has not accepted"
    assert suppliers.decide(B, Decision.APPROVE, accept=True).code == "I99"
    assert suppliers.cut_lists(LATER) == 1


# --- Pilot places ------------------------------------------------------------------------------------------------

PILOTS = [TestHub(number) for number in range(51, 57)]
ELSEWHERE = TestHub(61, region="South")


@pytest.fixture
def pilot(world: World) -> Suppliers:
    """A release whose pilot has two places for A in Central, none of them for B, and no limit in South."""
    world.add_hubs([*PILOTS, ELSEWHERE, SPLIT])
    release_id = world.open_release(general_open=False)
    here = (release_regions.c.release_id == release_id, release_regions.c.region == "Central")
    shares = [
        {"release_id": release_id, "region": "Central", "organisation": name, "hubs": hubs}
        for name, hubs in ((A.name, 2), (B.name, 0))
    ]
    world.run(lambda uow: uow.connection.execute(release_regions.update().where(*here).values(pilot_limit=2)))
    world.run(lambda uow: uow.connection.execute(pilot_shares.insert(), shares))
    return Suppliers(world)


def _ids(*numbers: int) -> tuple[str, ...]:
    return tuple(PILOTS[number].chf for number in numbers)


def _pilot(
    suppliers: Suppliers, *hubs: str, replaces: int | None = None, window: Period = WINDOW
) -> tuple[int | None, Mapping[RefusalReason, tuple[str, ...]]]:
    answer = suppliers.schedule(A, *hubs, phase=Phase.PILOT, replaces=replaces, window=window)
    assert isinstance(answer.result, CommsHubFirmwareResult)
    return answer.result.schedule_id, answer.result.refused


NONE_LEFT = RefusalReason.NOT_AVAILABLE


def test_pilot_places_go_to_the_first_hubs_of_the_list_and_only_where_there_is_a_limit(pilot: Suppliers) -> None:
    _, left_out = _pilot(pilot, *_ids(0, 1, 2), ELSEWHERE.chf, *_ids(3))

    assert left_out == {NONE_LEFT: _ids(2, 3)}
    assert _pilot(pilot, *_ids(4)) == (None, {NONE_LEFT: _ids(4)})
    assert pilot.schedule(A, *_ids(4), phase=Phase.GENERAL).code == "I0"


def test_no_place_in_the_pilot_reads_as_the_other_sides_exclusion_does(pilot: Suppliers) -> None:
    body = replace(SCHEDULE, phase=Phase.PILOT)
    world = pilot.world
    without_place = world.post(world.signed(B, body, "11.5"))
    pilot.exclude(A)
    excluded = world.post(world.signed(B, replace(body, phase=Phase.GENERAL), "11.5"))

    assert (without_place.code, without_place.detail) == (excluded.code, excluded.detail)
    assert world.decoded(without_place).result == world.decoded(excluded).result


def test_a_hub_that_is_refused_for_another_reason_takes_no_place(pilot: Suppliers) -> None:
    pilot.exclude(A, *_ids(0))

    _, left_out = _pilot(pilot, *_ids(0, 1, 2))

    assert left_out == {NONE_LEFT: _ids(0)}


def test_hubs_of_a_replaced_pilot_schedule_give_their_places_up_or_keep_them(pilot: Suppliers) -> None:
    old, _ = _pilot(pilot, *_ids(0, 1))

    new, left_out = _pilot(pilot, *_ids(2, 1, 3), replaces=old, window=days(7, 20))

    assert left_out == {NONE_LEFT: _ids(3)}
    shown = [pilot.view(A, hub_id) for hub_id in _ids(0, 1, 2)]
    assert [view.schedule_id for view in shown] == [None, new, new]


def test_a_hub_that_keeps_the_replaced_schedule_keeps_its_place(pilot: Suppliers) -> None:
    old, _ = _pilot(pilot, *_ids(0, 1))
    pilot.world.add_hubs([replace(PILOTS[0], status="Pending")])

    new, left_out = _pilot(pilot, *_ids(0, 2, 3), replaces=old)

    assert left_out == {RefusalReason.NOT_COMMISSIONED: _ids(0), NONE_LEFT: _ids(3)}
    assert [pilot.view(A, hub_id).schedule_id for hub_id in _ids(0, 1, 2)] == [old, None, new]


def test_hubs_that_are_listed_keep_their_places_whatever_replaces_their_schedule(pilot: Suppliers) -> None:
    old, _ = _pilot(pilot, *_ids(0, 1))
    assert pilot.cut_lists() == 2

    assert _pilot(pilot, *_ids(2, 3), replaces=old, window=LATER) == (None, {NONE_LEFT: _ids(2, 3)})
    assert [pilot.view(A, hub_id).status for hub_id in _ids(0, 1)] == ["Listed", "Listed"]


def test_a_pilot_hub_that_had_its_outcome_may_be_tried_again_in_its_own_place(pilot: Suppliers) -> None:
    _pilot(pilot, *_ids(0, 1))
    assert pilot.cut_lists() == 2
    region = pilot.world.instance.configuration.regions["Central"]
    pilot.pass_days(25)
    assert pilot.world.run(lambda uow: outcomes_of(pilot.world.instance).time_out(uow, region)) == 2

    _, left_out = _pilot(pilot, *_ids(2, 0), window=days(40, 60))

    assert left_out == {NONE_LEFT: _ids(2)}


def test_a_place_is_free_again_when_its_schedule_is_deleted(pilot: Suppliers) -> None:
    old, _ = _pilot(pilot, *_ids(0, 1))
    assert old is not None
    assert pilot.delete(A, old, *_ids(0)).code == "I99"

    _, left_out = _pilot(pilot, *_ids(2, 3))

    assert left_out == {NONE_LEFT: _ids(3)}


def test_replacing_a_general_schedule_by_a_pilot_one_takes_places(pilot: Suppliers) -> None:
    old = schedule_id(pilot.schedule(A, *_ids(0, 1, 2), phase=Phase.GENERAL))

    new, left_out = _pilot(pilot, *_ids(0, 1, 2), replaces=old)

    assert left_out == {NONE_LEFT: _ids(2)}
    assert [pilot.view(A, hub_id).schedule_id for hub_id in _ids(0, 1, 2)] == [new, new, old]
    assert pilot.view(A, _ids(2)[0]).firmware == FIRMWARE
