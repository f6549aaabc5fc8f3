"""What an operator does with releases: each thing once, audited, and the Suppliers concerned are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from sr_engine.bootstrap import phases_of
from sr_engine.domain.phases import PhasePlan
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import CommsHubFirmwareResult, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.operations.releases import (
    Amended,
    Amendment,
    ReleaseRefused,
    Withdrawal,
    amend,
    close,
    open_release,
    plan_by_policy,
    set_cpl_status,
    withdraw,
)
from sr_engine.regions import phases as machinery
from sr_engine.store import audit, phases, releases
from sr_engine.store.tables import schedule_hubs
from tests.regions.conftest import Nights
from tests.world import FIRMWARE, NOW, OLD_VERSION, WINDOW, A, B, TestHub, World

IHD = ("1234", "DISPLAY")


def plan(world: World, **values: object) -> PhasePlan:
    return replace(plan_by_policy(world.instance.configuration.policy), **values)  # type: ignore[arg-type]  # its names


def open_(world: World, phase_plan: PhasePlan | None = None, **values: object) -> tuple[Release, int]:
    instance = world.instance
    default: dict[str, object] = {
        "firmware": FIRMWARE,
        "image_hash": "AB" * 32,
        "regions": ("Central", "South"),
        "reachable_from": (OLD_VERSION,),
        "general_open": False,
    }
    return world.run(
        lambda uow: open_release(
            uow,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            phase_plan=phase_plan,
            **(default | values),  # type: ignore[arg-type]  # the names are those of open_release
        )
    )


def change(world: World, amendment: Amendment, **values: object) -> Amended:
    instance = world.instance
    return world.run(
        lambda uow: amend(
            uow,
            configuration=instance.configuration,
            alerts=instance.alerts,
            firmware=FIRMWARE,
            amendment=amendment,
            **values,  # type: ignore[arg-type]  # the names are those of amend
        )
    )


def found(world: World) -> Release:
    with world.instance.reading_engine.connect() as connection:
        release = releases.by_firmware(connection, FIRMWARE)
    assert release is not None
    return release


def shares(world: World) -> list[tuple[str, str, int]]:
    with world.instance.reading_engine.connect() as connection:
        return phases.shares_of(connection, found(world).release_id)


def places(world: World, organisation: str) -> dict[str, int]:
    with world.instance.reading_engine.connect() as connection:
        return dict(phases.pilot_places(connection, found(world).release_id, organisation).free)


def central(world: World) -> Nights:
    return Nights(world, world.instance.configuration.regions["Central"])


def trail(world: World) -> list[tuple[str, str]]:
    """Action and detail of what the operator did, oldest first."""
    with world.instance.reading_engine.connect() as connection:
        entries = [entry for entry in audit.newest(connection, 100) if entry.actor == "operator"]
    return [(entry.action, entry.detail) for entry in reversed(entries)]


# --- opening ---


def test_without_a_plan_that_of_the_policy_holds_in_each_region(world: World) -> None:
    release, _ = open_(world)

    with world.instance.reading_engine.connect() as connection:
        standing = phases.of_release(connection, release.release_id)
    policy = world.instance.configuration.policy.phases
    expected = PhasePlan(None, None, policy.soak, False, policy.failure_percent, policy.minimum_sample)
    assert {region: one.plan for region, one in standing.items()} == {"Central": expected, "South": expected}
    assert shares(world) == []
    assert places(world, A.name) == {}


def test_a_pilot_limit_is_split_over_the_suppliers_of_the_hubs_of_each_region(world: World) -> None:
    world.add_hubs([TestHub(number) for number in range(1, 8)])
    world.add_hubs([TestHub(number, gas=B.name) for number in range(8, 10)])
    world.add_hubs([TestHub(20, B.name, B.name, "South"), TestHub(21, version="9002"), TestHub(22, model="OTHER")])

    open_(world, plan(world, pilot_limit=5))

    # Supplier A is responsible for nine hubs of Central, Supplier B for two of them.
    assert shares(world) == [("Central", A.name, 4), ("Central", B.name, 1), ("South", B.name, 5)]


def test_a_supplier_may_pilot_its_share_and_one_without_share_nothing(world: World) -> None:
    hubs = [TestHub(number) for number in (1, 2, 3)]
    world.add_hubs(hubs)
    open_(world, plan(world, pilot_limit=2))
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.PILOT, tuple(hub.chf for hub in hubs))

    answer = world.send(A, body, "11.5")

    assert answer.code == "W110501"
    assert places(world, A.name) == {"Central": 0, "South": 0}
    late = TestHub(9, B.name, B.name)
    world.add_hubs([late])
    assert world.send(B, replace(body, device_ids=(late.chf,)), "11.5").code == "E110503"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"pilot_limit": 0}, "the pilot limit must be 1 or more"),
        ({"pilot_closes": NOW}, "the pilot would close in the past"),
        ({"soak": timedelta(seconds=-1)}, "the soak cannot be shorter than no time"),
        ({"failure_percent": 101}, "0 to 100 percent"),
        ({"minimum_sample": 0}, "a sample of 1 or more"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(world: World, values: dict[str, Any], says: str) -> None:
    before = world.snapshot()

    with pytest.raises(ReleaseRefused, match=says):
        open_(world, plan(world, **values))

    assert world.snapshot() == before


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"regions": ()}, "name the regions it is for; there are "),
        ({"regions": ("East",)}, "not regions that can be upgraded: East"),
        ({"reachable_from": ()}, "name the versions from which this one is reachable"),
        ({"reachable_from": ("9002",)}, "itself not among them"),
        ({"image_hash": "AB"}, "64 hexadecimal digits"),
    ],
)
def test_a_release_that_cannot_be_is_refused(world: World, values: dict[str, Any], says: str) -> None:
    with pytest.raises(ReleaseRefused, match=says):
        open_(world, **values)


def test_a_release_is_opened_once(world: World) -> None:
    open_(world)

    with pytest.raises(ReleaseRefused, match="2B7E C1A20001 9002 was opened before and is open: `sr-engine release am"):
        open_(world)
    world.run(lambda uow: withdraw(uow, phases_of(world.instance), FIRMWARE))
    with pytest.raises(ReleaseRefused, match="was opened before and is withdrawn: it cannot be opened again"):
        open_(world)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"firmware": replace(FIRMWARE, version="")}, "the version must be 1 to 8 printable characters .*, not ''"),
        ({"firmware": replace(FIRMWARE, version="900300000000")}, "the version must be 1 to 8"),
        ({"firmware": replace(FIRMWARE, version=" 9005 ")}, "without blanks around them, not ' 9005 '"),
        ({"firmware": replace(FIRMWARE, manufacturer="x" * 31)}, "the manufacturer must be 1 to 30"),
        ({"firmware": replace(FIRMWARE, model="C1A2\n")}, "the model must be 1 to 30"),
        ({"reachable_from": ("9001", "")}, "the version it installs on must be 1 to 8"),
        ({"han_models": [("1234", "x" * 31)]}, "the model of a HAN device must be 1 to 30"),
    ],
)
def test_what_messages_could_not_carry_is_refused(world: World, values: dict[str, Any], says: str) -> None:
    with pytest.raises(ReleaseRefused, match=says):
        open_(world, **values)


@pytest.mark.parametrize(
    ("amendment", "says"),
    [
        (Amendment(add_versions=frozenset({"900300000000"})), "the version it installs on must be 1 to 8"),
        (Amendment(add_han_models=frozenset({("x" * 31, "M")})), "the manufacturer of a HAN device must be 1 to 30"),
    ],
)
def test_nor_is_it_added(world: World, amendment: Amendment, says: str) -> None:
    open_(world)

    with pytest.raises(ReleaseRefused, match=says):
        change(world, amendment)


# --- closing ---


def test_a_release_is_closed_once_and_cannot_be_opened_again(world: World) -> None:
    open_(world)

    assert world.run(lambda uow: close(uow, FIRMWARE))
    before = world.snapshot()
    assert not world.run(lambda uow: close(uow, FIRMWARE))

    assert found(world).status == "Closed"
    assert world.snapshot() == before
    assert [one for one in trail(world) if one[0] == "release closed"] == [("release closed", "2B7E C1A20001 9002")]


def test_what_is_withdrawn_cannot_be_closed_and_what_is_not_there_is_refused(world: World) -> None:
    with pytest.raises(ReleaseRefused, match="there is no release of firmware 2B7E C1A20001 9002"):
        world.run(lambda uow: close(uow, FIRMWARE))
    open_(world)
    world.run(lambda uow: withdraw(uow, phases_of(world.instance), FIRMWARE))

    with pytest.raises(ReleaseRefused, match="is withdrawn: it cannot be closed"):
        world.run(lambda uow: close(uow, FIRMWARE))


# --- withdrawing ---


def test_withdrawing_cancels_what_is_not_with_the_csp_and_tells_all_concerned_once(world: World) -> None:
    night = central(world)
    listed, agreed, waits, south = hubs = [
        TestHub(1),
        TestHub(2),
        TestHub(3, gas=B.name),
        TestHub(4, region="South"),
    ]
    world.add_hubs(hubs)
    open_(world, general_open=True)
    night.schedule([listed])
    night.cut(0)
    night.schedule([agreed, waits, south])
    steps = phases_of(world.instance)

    first = world.run(lambda uow: withdraw(uow, steps, FIRMWARE))
    before = world.snapshot()
    second = world.run(lambda uow: withdraw(uow, steps, FIRMWARE))

    assert (first, second) == (Withdrawal(True, 3, False), Withdrawal(False, 0, False))
    assert world.snapshot() == before
    assert night.states(hubs) == ["Listed", "Cancelled", "Cancelled", "Cancelled"]
    assert night.told("hub_cancelled") == [
        (agreed.chf, A.name),
        (waits.chf, A.name),
        (waits.chf, B.name),
        (south.chf, A.name),
    ]
    with world.instance.reading_engine.connect() as connection:
        in_force = connection.execute(
            select(schedule_hubs.c.hub_id, schedule_hubs.c.in_force, schedule_hubs.c.done).order_by("hub_id")
        ).all()
    assert in_force == [(hub.chf, hub is listed, False) for hub in hubs]
    assert [one for one in trail(world) if one[0] == "release withdrawn"] == [
        ("release withdrawn", "2B7E C1A20001 9002")
    ]
    assert night.said("attempt withdrawn") == ["the operator has withdrawn the release"] * 3


def test_very_many_hubs_are_cancelled_in_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machinery, "AT_ONCE", 2)
    monkeypatch.setattr("sr_engine.operations.releases.AT_ONCE", 2)
    hubs = [TestHub(number) for number in range(1, 6)]
    world.add_hubs(hubs)
    open_(world, general_open=True)
    central(world).schedule(hubs)
    steps = phases_of(world.instance)

    done = [world.run(lambda uow: withdraw(uow, steps, FIRMWARE)) for _ in range(4)]

    assert [(one.withdrawn_now, one.cancelled, one.more) for one in done] == [
        (True, 2, True),
        (False, 2, True),
        (False, 1, False),
        (False, 0, False),
    ]


def test_a_closed_release_can_still_be_withdrawn(world: World) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    open_(world, general_open=True)
    central(world).schedule([hub])
    world.run(lambda uow: close(uow, FIRMWARE))

    assert world.run(lambda uow: withdraw(uow, phases_of(world.instance), FIRMWARE)).cancelled == 1
    assert found(world).status == "Withdrawn"


def test_of_a_withdrawn_release_nothing_is_listed_or_accepted(world: World) -> None:
    night, hub = central(world), TestHub(1)
    world.add_hubs([hub])
    open_(world, general_open=True)
    night.schedule([hub])
    world.run(lambda uow: withdraw(uow, phases_of(world.instance), FIRMWARE))

    assert night.cut(0) == 0
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (hub.chf,))
    assert world.send(A, body, "11.5").code == "E110501"


# --- amending ---


def test_an_amendment_is_made_once_and_says_what_it_changed(world: World) -> None:
    open_(world, han_models=[IHD])
    amendment = Amendment(
        add_versions=frozenset({"9000"}),
        remove_versions=frozenset({OLD_VERSION}),
        add_regions=frozenset({"North"}),
        add_han_models=frozenset({("77", "B"), ("77", "A")}),
        remove_han_models=frozenset({IHD}),
    )

    first = change(world, amendment)
    before = world.snapshot()
    second = change(world, amendment)

    assert first.changes == (
        "installs on too: 9000",
        f"installs no more on: {OLD_VERSION}",
        "new regions: North",
        "HAN models it may break: 77:A, 77:B",
        "HAN models it does not break: 1234:DISPLAY",
    )
    assert second == Amended((), 0)
    assert world.snapshot() == before
    assert [detail for action, detail in trail(world) if action == "release amended"] == ["; ".join(first.changes)]
    release = found(world)
    assert (release.reachable_from, release.regions) == ({"9000"}, {"Central", "South", "North"})
    assert (release.han_models, release.general_open) == ({("77", "A"), ("77", "B")}, {"North"})


def test_suppliers_are_told_of_hubs_that_an_amendment_brings_in_and_of_no_others(world: World) -> None:
    known, older, north = TestHub(1), TestHub(2, version="9000", gas=B.name), TestHub(3, region="North")
    world.add_hubs([known, older, north])
    assert open_(world)[1] == 1

    amended = change(world, Amendment(frozenset({"9000"}), add_regions=frozenset({"North"})))

    assert amended.hubs == 2
    assert central(world).told("release_opened") == [
        (known.chf, A.name),
        (older.chf, A.name),
        (older.chf, B.name),
        (north.chf, A.name),
    ]


def test_a_region_that_is_added_may_begin_with_a_pilot_of_its_own(world: World) -> None:
    world.add_hubs([TestHub(1, region="North")])
    open_(world)

    change(
        world,
        Amendment(add_regions=frozenset({"North"})),
        general_open=False,
        phase_plan=plan(world, pilot_limit=3),
    )

    assert found(world).general_open == set()
    assert shares(world) == [("North", A.name, 3)]


def test_han_models_added_after_approval_keep_the_hub_off_the_list_until_that_is_accepted(world: World) -> None:
    night, hub = central(world), TestHub(1, han=IHD)
    world.add_hubs([hub])
    open_(world, general_open=True)
    first = night.schedule([hub]).result
    assert isinstance(first, CommsHubFirmwareResult)
    change(world, Amendment(add_han_models=frozenset({IHD})))

    assert night.cut(0) == 0
    night_after = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (hub.chf,), accept_han_impact=True)
    replaced = replace(night_after, replaces_schedule_id=first.schedule_id)
    assert world.send(A, replaced, "11.5").code == "I0"
    assert night.cut(1) == 1


@pytest.mark.parametrize(
    ("amendment", "says"),
    [
        (Amendment(add_versions=frozenset({"9002"})), "firmware 9002 cannot be installed on itself"),
        (Amendment(remove_versions=frozenset({OLD_VERSION})), "no version would be left to install it on"),
        (Amendment(frozenset({"9"}), frozenset({"9"})), "both to be added and to be removed: 9"),
        (
            Amendment(add_han_models=frozenset({IHD}), remove_han_models=frozenset({IHD})),
            "both to be added and to be removed: 1234:DISPLAY",
        ),
        (Amendment(add_regions=frozenset({"East"})), "not regions that can be upgraded: East"),
    ],
)
def test_an_amendment_that_cannot_be_is_refused(world: World, amendment: Amendment, says: str) -> None:
    open_(world)

    with pytest.raises(ReleaseRefused, match=says):
        change(world, amendment)


def test_a_closed_release_grows_no_more_and_a_withdrawn_one_does_not_change(world: World) -> None:
    open_(world)
    world.run(lambda uow: close(uow, FIRMWARE))

    assert change(world, Amendment(add_han_models=frozenset({IHD}))).changes == (
        "HAN models it may break: 1234:DISPLAY",
    )
    with pytest.raises(ReleaseRefused, match="is closed: no versions or regions can be added"):
        change(world, Amendment(frozenset({"9000"})))
    world.run(lambda uow: withdraw(uow, phases_of(world.instance), FIRMWARE))
    with pytest.raises(ReleaseRefused, match="is withdrawn: there is nothing to amend"):
        change(world, Amendment(add_han_models=frozenset({IHD})))


# --- the Certified Products List ---


def test_the_standing_on_the_products_list_changes_once_and_counts_at_once(world: World) -> None:
    night, hub = central(world), TestHub(1)
    world.add_hubs([hub])
    open_(world, general_open=True)

    assert world.run(lambda uow: set_cpl_status(uow, FIRMWARE, "Suspended"))
    assert not world.run(lambda uow: set_cpl_status(uow, FIRMWARE, "Suspended"))

    assert [one for one in trail(world) if one[0] == "CPL status changed"] == [
        ("CPL status changed", "2B7E C1A20001 9002")
    ]
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (hub.chf,))
    assert world.send(A, body, "11.5").code == "E110501"
    assert world.run(lambda uow: set_cpl_status(uow, FIRMWARE, "Active"))
    night.schedule([hub])
    night.decide([hub], A, Decision.APPROVE)


def test_a_standing_that_the_products_list_does_not_know_is_refused(world: World) -> None:
    with pytest.raises(ReleaseRefused, match="'Gone' is no status of the Certified Products List: Active, "):
        world.run(lambda uow: set_cpl_status(uow, FIRMWARE, "Gone"))
