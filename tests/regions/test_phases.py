"""Pilots, gates, halts and withdrawals as the region's trigger carries them out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sr_engine.bootstrap import phases_of, region_chores
from sr_engine.domain.phases import RegionPhase
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    ExclusionAction,
    Period,
    Phase,
    RefusalReason,
    ReportStatus,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.phases import open_gate, resume
from sr_engine.operations.releases import (
    Amendment,
    amend,
    close,
    find,
    open_release,
    plan_by_policy,
    set_cpl_status,
    withdraw,
)
from sr_engine.regions import phases as machinery
from sr_engine.regions.triggers import RegionTriggers
from sr_engine.store import phases
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import FIRMWARE, NOW, OLD_VERSION, WINDOW, A, B, TestHub, make_world

DAY = timedelta(days=1)
ACTIVATED, FAILED = ReportStatus.ACTIVATED, ReportStatus.FAILED


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    world = make_world(tmp_path / "instance")
    yield Nights(world, world.instance.configuration.regions["Central"])
    world.close()


def release(nights: Nights, *, general_open: bool = False, firmware: str = "9002", **plan: object) -> None:
    """Open the release with a plan that differs from the policy's in what is named."""
    instance = nights.world.instance
    default = plan_by_policy(instance.configuration.policy)
    nights.world.run(
        lambda uow: open_release(
            uow,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=FIRMWARE,
            image_hash="AB" * 32,
            regions=("Central", "South"),
            reachable_from=(OLD_VERSION,),
            general_open=general_open,
            phase_plan=replace(default, **plan),  # type: ignore[arg-type]  # the names are PhasePlan's own
        )
    )


def advance(nights: Nights, at: datetime | None = None) -> bool:
    """Let the chore look once."""
    if at is not None:
        nights.world.clock.set(at)
    (chore, *_) = region_chores(nights.world.instance, nights.region)
    return nights.world.run(chore)


def standing(nights: Nights) -> RegionPhase:
    with nights.world.instance.reading_engine.connect() as connection:
        return phases.of_release(connection, find(connection, FIRMWARE).release_id)["Central"]


def outcomes(nights: Nights, some: Sequence[TestHub], status: ReportStatus, night: int = 0) -> None:
    """The CSP reports what became of some hubs on the newest list, an hour after their night began."""
    nights.world.clock.set(max(nights.world.clock.now(), nights.period(night).start) + HOUR)
    nights.report(nights.list_ids()[-1], *(nights.saw(hub, status) for hub in some))


def run_night(nights: Nights, activated: Sequence[TestHub], failed: Sequence[TestHub]) -> None:
    """Schedule hubs, list them all in the first night, and report."""
    nights.world.add_hubs([*activated, *failed])
    nights.schedule([*activated, *failed])
    assert nights.cut() == len(activated) + len(failed)
    outcomes(nights, activated, ACTIVATED)
    outcomes(nights, failed, FAILED)


# --- from the pilot to everybody ---


def test_a_release_goes_from_the_pilot_over_the_soak_to_everybody(nights: Nights) -> None:
    pilot, general = hubs(1), [TestHub(2)]
    nights.world.add_hubs([*pilot, *general])
    release(nights, automatic_gate=True, soak=2 * DAY)
    nights.schedule(pilot, phase=Phase.PILOT)
    nights.schedule(general)

    assert nights.cut(0) == 1
    assert nights.states([*pilot, *general]) == ["Listed", "Scheduled"]
    outcomes(nights, pilot, ACTIVATED)
    ended = nights.world.clock.now()
    assert not advance(nights, ended + 2 * DAY - timedelta(seconds=1))
    assert not standing(nights).general_open
    advance(nights, ended + 2 * DAY)
    assert standing(nights).general_open
    assert nights.said("gate opened") == ["Central: General phase, the soak is over"]

    assert nights.cut(6) == 1
    assert nights.states(general) == ["Listed"]
    advance(nights)
    assert nights.said("gate opened") == ["Central: General phase, the soak is over"]


def test_the_soak_waits_for_the_last_pilot_hub(nights: Nights) -> None:
    done, late = pilot = hubs(2)
    nights.world.add_hubs(pilot)
    release(nights, automatic_gate=True, soak=DAY)
    nights.schedule(pilot, phase=Phase.PILOT)
    nights.cut(0)
    outcomes(nights, [done], ACTIVATED)

    advance(nights, nights.world.clock.now() + 2 * DAY)
    assert not standing(nights).general_open

    nights.report(nights.list_ids()[0], nights.saw(late, FAILED))
    advance(nights)
    assert not standing(nights).general_open
    advance(nights, nights.world.clock.now() + DAY)
    assert standing(nights).general_open


def test_a_pilot_hub_that_awaits_approval_keeps_nobody_waiting(nights: Nights) -> None:
    (agreed, open_) = (TestHub(1), TestHub(2, gas=B.name))
    nights.world.add_hubs([agreed, open_])
    release(nights, automatic_gate=True, soak=DAY)
    nights.schedule([agreed, open_], phase=Phase.PILOT)
    nights.cut(0)
    outcomes(nights, [agreed], ACTIVATED)

    advance(nights, nights.world.clock.now() + DAY)

    assert nights.states([open_]) == ["AwaitingApproval"]
    assert standing(nights).general_open


def test_a_pilot_hub_that_is_excluded_keeps_nobody_waiting(nights: Nights) -> None:
    done, excluded = pilot = [TestHub(1), TestHub(2, gas=B.name)]
    nights.world.add_hubs(pilot)
    release(nights, automatic_gate=True, soak=DAY)
    nights.schedule(pilot, phase=Phase.PILOT)
    nights.decide([excluded], B, Decision.APPROVE)
    exclude = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (excluded.chf,))
    assert nights.world.send(B, exclude, "11.9").code == "I99"
    assert nights.cut(0) == 1
    outcomes(nights, [done], ACTIVATED)

    advance(nights, nights.world.clock.now() + DAY)

    assert nights.states(pilot) == ["Activated", "Scheduled"]
    assert standing(nights).general_open


def test_a_pilot_hub_that_was_missed_without_having_been_listed_frees_its_place_in_the_share(nights: Nights) -> None:
    waits, next_one = TestHub(1, gas=B.name), TestHub(2)
    nights.world.add_hubs([waits, next_one])
    release(nights, pilot_limit=2)
    nights.schedule([waits], phase=Phase.PILOT)
    later = Period(WINDOW.end + DAY, WINDOW.end + 10 * DAY)
    body = ScheduleCommsHubFirmware(FIRMWARE, later, Phase.PILOT, (next_one.chf,))
    full = nights.world.send(A, body, "11.5")

    nights.time_out(WINDOW.end)

    assert isinstance(full.result, CommsHubFirmwareResult)
    assert full.result.refused == {RefusalReason.NOT_AVAILABLE: (next_one.chf,)}
    assert nights.states([waits]) == ["Missed"]
    nights.schedule([next_one], window=later, phase=Phase.PILOT)
    assert nights.attempt(next_one).pilot


def test_where_nobody_names_a_pilot_hub_the_soak_starts_when_the_pilot_closes(nights: Nights) -> None:
    release(nights, automatic_gate=True, soak=DAY, pilot_closes=NOW + 3 * DAY)

    advance(nights, NOW + 4 * DAY - HOUR)
    assert not standing(nights).general_open
    advance(nights, NOW + 4 * DAY)
    assert standing(nights).general_open


def test_a_gate_that_is_not_automatic_is_the_operators(nights: Nights) -> None:
    (hub,) = hubs(1)
    nights.world.add_hubs([hub])
    release(nights, soak=timedelta(0), pilot_closes=NOW + DAY)
    nights.schedule([hub])

    advance(nights, NOW + 4 * DAY)
    assert not standing(nights).general_open
    assert nights.cut(0) == 0
    assert nights.world.run(lambda uow: open_gate(uow, FIRMWARE, "Central"))
    assert not nights.world.run(lambda uow: open_gate(uow, FIRMWARE, "Central"))

    assert nights.said("gate opened") == ["Central: General phase"]
    assert nights.cut(1) == 1


def test_a_gate_stays_shut_while_the_region_is_halted(nights: Nights) -> None:
    pilot = hubs(1)
    nights.world.add_hubs(pilot)
    release(nights, automatic_gate=True, soak=DAY, minimum_sample=1)
    nights.schedule(pilot, phase=Phase.PILOT)
    nights.cut(0)
    outcomes(nights, pilot, FAILED)
    advance(nights)
    assert standing(nights).halted_at is not None

    advance(nights, nights.world.clock.now() + 2 * DAY)
    assert not standing(nights).general_open
    nights.world.run(lambda uow: resume(uow, phases_of(nights.world.instance), FIRMWARE, "Central"))
    advance(nights)
    assert standing(nights).general_open


# --- halts ---


def test_exactly_at_the_threshold_nothing_is_halted_and_above_it_all_concerned_are_told(nights: Nights) -> None:
    good, bad, waits = hubs(3), [TestHub(4), TestHub(5)], TestHub(6, gas=B.name)
    release(nights, general_open=True, failure_percent=25, minimum_sample=4)
    nights.world.add_hubs([*good, *bad, waits])
    nights.schedule([*good, *bad, waits])
    assert nights.cut(0) == 5
    outcomes(nights, good, ACTIVATED)
    outcomes(nights, bad[:1], FAILED)
    advance(nights)
    assert standing(nights).halted_at is None

    outcomes(nights, bad[1:], FAILED)
    advance(nights)

    assert standing(nights).halt_reason == "40.0 % of upgrades failed (2 of 5: 2 Failed, 0 Missed), more than 25 %"
    assert nights.said("halted") == [f"Central: {standing(nights).halt_reason}"]
    assert nights.states([waits]) == ["AwaitingApproval"]
    assert nights.told("hub_halted") == [(waits.chf, A.name), (waits.chf, B.name)]


def test_suppliers_are_told_of_no_hub_that_is_with_the_csp(nights: Nights) -> None:
    listed, bad = hubs(2)
    release(nights, general_open=True, minimum_sample=1)
    nights.world.add_hubs([listed, bad])
    nights.schedule([listed, bad])
    nights.cut(0)
    outcomes(nights, [bad], FAILED)

    advance(nights)

    assert standing(nights).halted_at is not None
    assert nights.states([listed]) == ["Listed"]
    assert nights.told("hub_halted") == []


def test_while_a_region_is_halted_nothing_is_cut_there_and_the_other_regions_go_on(nights: Nights) -> None:
    release(nights, general_open=True, minimum_sample=2)
    run_night(nights, [], hubs(2))
    central, south = TestHub(3), TestHub(4, region="South")
    nights.world.add_hubs([central, south])
    nights.schedule([central, south])

    advance(nights)

    other = Nights(nights.world, nights.world.instance.configuration.regions["South"])
    advance(other)
    assert (nights.cut(2), other.cut(2)) == (0, 1)
    assert nights.told("hub_halted") == [(central.chf, A.name)]


def test_too_small_a_sample_is_not_judged(nights: Nights) -> None:
    release(nights, general_open=True, minimum_sample=3)

    run_night(nights, [], hubs(2))
    advance(nights)

    assert standing(nights).halted_at is None


def test_a_hub_that_is_overdue_counts_as_a_failure_and_one_that_was_never_listed_does_not(nights: Nights) -> None:
    overdue, waits = TestHub(1), TestHub(2, gas=B.name)
    nights.world.add_hubs([overdue, waits])
    release(nights, automatic_gate=True, soak=DAY, minimum_sample=1, failure_percent=50)
    nights.schedule([overdue, waits], phase=Phase.PILOT)
    assert nights.cut(0) == 1
    later = nights.attempt(overdue).window.end + nights.region.completion_sla + HOUR

    assert nights.time_out(later) == 2
    advance(nights)

    assert nights.states([overdue, waits]) == ["Missed", "Missed"]
    assert standing(nights).halt_reason == "100.0 % of upgrades failed (1 of 1: 0 Failed, 1 Missed), more than 50 %"


def test_halted_once_it_is_not_halted_again_until_it_was_resumed(nights: Nights) -> None:
    waits = TestHub(9, gas=B.name)
    nights.world.add_hubs([waits])
    release(nights, general_open=True, minimum_sample=2)
    run_night(nights, [], hubs(2))
    nights.schedule([waits])
    for _ in range(3):
        advance(nights, nights.world.clock.now() + HOUR)

    assert len(nights.said("halted")) == 1
    assert nights.told("hub_halted") == [(waits.chf, A.name), (waits.chf, B.name)]


def test_what_failed_before_a_resumption_is_not_judged_again_and_what_fails_after_is(nights: Nights) -> None:
    waits = TestHub(9, gas=B.name)
    nights.world.add_hubs([waits])
    release(nights, general_open=True, minimum_sample=2)
    run_night(nights, [], hubs(2))
    nights.schedule([waits])
    advance(nights)

    steps = phases_of(nights.world.instance)
    assert nights.world.run(lambda uow: resume(uow, steps, FIRMWARE, "Central"))
    advance(nights, nights.world.clock.now() + HOUR)
    assert standing(nights).halted_at is None
    assert nights.told("hub_resumed") == [(waits.chf, A.name), (waits.chf, B.name)]
    assert nights.said("resumed") == [
        "Central: it was halted: 100.0 % of upgrades failed (2 of 2: 2 Failed, 0 Missed), more than 10 %"
    ]

    again = [TestHub(3), TestHub(4)]
    nights.world.add_hubs(again)
    nights.schedule(again)
    assert nights.cut(2) == 2
    outcomes(nights, again, FAILED, night=2)
    advance(nights)
    assert standing(nights).halted_at is not None
    # Halted twice, its Suppliers are told twice.
    assert len(nights.told("hub_halted")) == 4


def test_an_activation_that_is_reported_late_does_not_resume(nights: Nights) -> None:
    release(nights, general_open=True, minimum_sample=1)
    (hub,) = hubs(1)
    run_night(nights, [], [hub])
    advance(nights)

    nights.report(nights.list_ids()[0], nights.saw(hub, ACTIVATED))
    advance(nights)

    assert nights.states([hub]) == ["Activated"]
    assert standing(nights).halted_at is not None


def test_of_very_many_hubs_suppliers_are_told_in_pieces(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machinery, "AT_ONCE", 2)
    release(nights, general_open=True, minimum_sample=1)
    waiting = [TestHub(number, gas=B.name) for number in range(11, 16)]
    run_night(nights, [], hubs(1))
    nights.world.add_hubs(waiting)
    nights.schedule(waiting)

    looks = [advance(nights) for _ in range(4)]

    assert looks == [True, True, False, False]
    assert len(nights.told("hub_halted")) == 2 * len(waiting)
    assert len(nights.said("halted")) == 1


# --- closed and withdrawn ---


def test_of_a_closed_release_what_is_agreed_goes_on_and_nothing_new_is_accepted(nights: Nights) -> None:
    agreed, late = hubs(2)
    nights.world.add_hubs([agreed, late])
    release(nights, general_open=True)
    nights.schedule([agreed])

    assert nights.world.run(lambda uow: close(uow, FIRMWARE))
    refused = nights.world.send(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (late.chf,)), "11.6")

    assert refused.code == "E110601"
    assert nights.cut(0) == 1


def test_a_closed_release_of_which_nothing_waits_is_left_alone(nights: Nights) -> None:
    release(nights, general_open=True, minimum_sample=1)
    run_night(nights, [], hubs(1))
    nights.world.run(lambda uow: close(uow, FIRMWARE))

    advance(nights)

    assert standing(nights).halted_at is None


def test_a_closed_release_of_which_something_waits_is_still_judged(nights: Nights) -> None:
    release(nights, general_open=True, minimum_sample=1)
    run_night(nights, [], hubs(1))
    nights.world.add_hubs([TestHub(5)])
    nights.schedule([TestHub(5)])
    nights.world.run(lambda uow: close(uow, FIRMWARE))

    advance(nights)

    assert standing(nights).halted_at is not None


def test_what_a_csp_refuses_of_a_withdrawn_release_is_cancelled_and_what_it_accepts_goes_on(nights: Nights) -> None:
    refused, accepted = some = hubs(2)
    nights.world.add_hubs(some)
    release(nights, general_open=True)
    nights.schedule(some)
    nights.cut(0)
    done = nights.world.run(lambda uow: withdraw(uow, phases_of(nights.world.instance), FIRMWARE))
    assert (done.withdrawn_now, done.cancelled) == (True, 0)

    nights.acknowledge(nights.list_ids()[0], [accepted], {"no signal": [refused]})
    assert not advance(nights)

    assert nights.states(some) == ["Cancelled", "Accepted"]
    assert nights.told("hub_cancelled") == [(refused.chf, A.name)]
    assert nights.cut(1) == 0
    outcomes(nights, [accepted], ACTIVATED)
    assert nights.version(accepted.chf) == "9002"


def test_a_withdrawn_release_is_neither_halted_nor_opened(nights: Nights) -> None:
    release(nights, automatic_gate=True, soak=timedelta(0), pilot_closes=NOW + HOUR)
    nights.world.run(lambda uow: withdraw(uow, phases_of(nights.world.instance), FIRMWARE))

    advance(nights, NOW + DAY)

    assert not standing(nights).general_open


# --- what changes between approval and the cut ---


def test_what_is_off_the_products_list_when_its_list_is_cut_is_not_listed(nights: Nights) -> None:
    (hub,) = some = hubs(1)
    nights.world.add_hubs(some)
    release(nights, general_open=True)
    nights.schedule(some)

    nights.world.run(lambda uow: set_cpl_status(uow, FIRMWARE, "Removed"))
    assert nights.cut(0) == 0
    assert nights.states(some) == ["Scheduled"]
    nights.world.run(lambda uow: set_cpl_status(uow, FIRMWARE, "Active"))
    assert nights.cut(1) == 1
    assert nights.states([hub]) == ["Listed"]


def test_what_no_path_leads_to_when_its_list_is_cut_is_not_listed(nights: Nights) -> None:
    some = hubs(1)
    nights.world.add_hubs(some)
    release(nights, general_open=True)
    nights.schedule(some)

    instance = nights.world.instance
    nights.world.run(
        lambda uow: amend(
            uow,
            configuration=instance.configuration,
            alerts=instance.alerts,
            firmware=FIRMWARE,
            amendment=Amendment(add_versions=frozenset({"9000"}), remove_versions=frozenset({OLD_VERSION})),
        )
    )

    assert nights.cut(0) == 0
    assert nights.states(some) == ["Scheduled"]


def test_the_trigger_of_the_region_halts_before_it_cuts(nights: Nights) -> None:
    instance = nights.world.instance
    bad, waits = hubs(2)
    release(nights, general_open=True, minimum_sample=1)
    nights.world.add_hubs([bad, waits])
    nights.schedule([bad])
    nights.cut(0)
    trigger = RegionTriggers(
        nights.region,
        instance.transactions,
        nights.cutter,
        nights.outcomes,
        lambda: None,
        region_chores(instance, nights.region),
    )

    def look(at: datetime) -> int:
        """How many lists there are after a look."""
        nights.world.clock.set(at)
        asyncio.run(trigger.tick())
        return len(nights.lists())

    after = nights.period(0).start + HOUR
    assert look(after) == 1
    nights.schedule([waits])
    nights.report(nights.list_ids()[0], nights.saw(bad, FAILED))
    assert look(after + DAY) == 1
    nights.world.run(lambda uow: resume(uow, phases_of(instance), FIRMWARE, "Central"))
    assert look(after + 2 * DAY) == 2
