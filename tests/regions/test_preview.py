"""The preview of the plan: it says beforehand what the cutter then does, and why a hub will not be listed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from sr_engine.bootstrap import chores, quiet_days_of, region_chores
from sr_engine.domain.listing import Obstacle
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    Firmware,
    Period,
    Phase,
    ScheduleCommsHubFirmware,
)
from sr_engine.operations.preview import Foreseen, Horizon, foresee
from sr_engine.operations.releases import open_release
from sr_engine.regions.compulsion import Enlisting
from sr_engine.regions.preview import Fate
from sr_engine.regions.triggers import Housekeeping, RegionTriggers
from sr_engine.store import inventory
from sr_engine.store.tables import (
    attempts,
    exclusions,
    release_han_models,
    release_regions,
    releases,
    upgrade_lists,
)
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import FIRMWARE, NOW, OLD_VERSION, WINDOW, A, B, TestHub, change_record, make_world, on_connection

DAY = timedelta(days=1)
OTHER = Firmware("2B7E", "C1A20002", "9002")
HAN = ("AAAA", "DISPLAY")


def seen(nights: Nights, horizon: Horizon | None = None) -> Foreseen:
    instance = nights.world.instance
    with instance.reading_engine.connect() as connection:
        quiet_days = quiet_days_of(instance.configuration.policy)
        return foresee(connection, nights.region, nights.world.clock.now(), horizon or Horizon(nights=14), quiet_days)


def fates(found: Foreseen) -> list[tuple[str, Fate, Obstacle | None, int]]:
    """Night, fate, reason and number of hubs of every line."""
    return [
        (f"{night.night.period.start:%d}", line.fate, line.obstacle, line.hubs)
        for night in found.preview.nights
        for line in night.lines
    ]


def ready(nights: Nights, some: Sequence[TestHub], **values: object) -> None:
    nights.world.add_hubs(some)
    nights.schedule(some, **values)  # type: ignore[arg-type]  # the names of schedule


def until(days: int) -> Period:
    """A window that begins with WINDOW and is over after some days."""
    return Period(WINDOW.start, WINDOW.start + days * DAY)


# --- what fits, and what does not ------------------------------------------------------------------------------------


def test_hubs_are_spread_over_the_nights_that_have_room_for_them(central: Nights) -> None:
    ready(central, hubs(5))
    central.change(hubs_per_night=2)

    assert fates(seen(central)) == [
        ("29", Fate.LISTED, None, 2),
        ("29", Fate.WAITS, Obstacle.CAPACITY, 3),
        ("30", Fate.LISTED, None, 2),
        ("30", Fate.WAITS, Obstacle.CAPACITY, 1),
        ("01", Fate.LISTED, None, 1),
    ]


def test_a_window_that_ends_before_capacity_allows_is_missed_and_says_so(central: Nights) -> None:
    ready(central, hubs(5), window=until(3))
    central.change(hubs_per_night=2)

    assert fates(seen(central))[-2:] == [
        ("30", Fate.LISTED, None, 2),
        ("30", Fate.MISSES, Obstacle.CAPACITY, 1),
    ]


def test_a_window_without_a_night_is_told_apart_from_one_that_begins_later(central: Nights) -> None:
    late, too_late = hubs(2)
    ready(central, [too_late])
    ready(central, [late], window=Period(NOW + 60 * DAY, NOW + 70 * DAY))
    central.world.clock.set(WINDOW.end - DAY)

    found = seen(central, Horizon(nights=3)).preview

    assert (list(found.without_night.values()), list(found.beyond.values())) == ([1], [1])
    assert not any(night.lines for night in found.nights)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"status": "Withdrawn"}, Obstacle.WITHDRAWN),
        ({"cpl_status": "Suspended"}, Obstacle.CPL),
    ],
)
def test_nothing_is_listed_of_a_release_that_may_not_be_installed(
    central: Nights, values: dict[str, str], why: Obstacle
) -> None:
    ready(central, hubs(1), window=until(3))
    central.world.run(lambda uow: uow.connection.execute(update(releases).values(values)))

    assert fates(seen(central)) == [("29", Fate.WAITS, why, 1), ("30", Fate.MISSES, why, 1)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"device_status": "Decommissioned"}, Obstacle.STATUS),
        ({"firmware_version": "1234"}, Obstacle.FIRMWARE),
        ({"csp_region": "South"}, Obstacle.REGION),
    ],
)
def test_a_hub_that_has_changed_is_not_listed(central: Nights, values: dict[str, str], why: Obstacle) -> None:
    ready(central, hubs(1), window=until(2))
    central.world.run(lambda uow: change_record(uow.connection, hubs(1)[0].chf, **values))

    assert fates(seen(central)) == [("29", Fate.MISSES, why, 1)]


def test_a_halt_and_a_closed_gate_are_reasons_and_pilot_hubs_pass_the_gate(central: Nights) -> None:
    ready(central, hubs(2), window=until(2))
    ready(central, [TestHub(3)], window=until(2), phase=Phase.PILOT)
    regions = update(release_regions)
    central.world.run(lambda uow: uow.connection.execute(regions.values(general_open=False)))

    assert fates(seen(central)) == [("29", Fate.LISTED, None, 1), ("29", Fate.MISSES, Obstacle.GATE, 2)]

    central.world.run(lambda uow: uow.connection.execute(regions.values(halted_at=NOW, halt_reason="smoke")))
    assert fates(seen(central)) == [("29", Fate.MISSES, Obstacle.HALTED, 3)]


def test_a_gate_that_will_open_by_itself_is_foreseen(central: Nights) -> None:
    ready(central, hubs(1), window=until(4))
    values = {"general_open": False, "automatic_gate": True, "soak_seconds": 0, "pilot_closes": central.due(1)}
    central.world.run(lambda uow: uow.connection.execute(update(release_regions).values(values)))

    assert fates(seen(central)) == [("29", Fate.WAITS, Obstacle.GATE, 1), ("30", Fate.LISTED, None, 1)]


def test_exclusions_keep_a_hub_off_lists_until_they_end(central: Nights) -> None:
    ready(central, hubs(2), window=until(4))
    for hub, ends in zip(hubs(2), (central.period(1).start, None), strict=True):
        row = {"hub_id": hub.chf, "organisation": A.name, "set_at": NOW, "until": ends}
        central.world.execute(insert(exclusions).values(row))

    assert fates(seen(central)) == [
        ("29", Fate.WAITS, Obstacle.EXCLUDED, 2),
        ("30", Fate.LISTED, None, 1),
        ("30", Fate.WAITS, Obstacle.EXCLUDED, 1),
        ("01", Fate.MISSES, Obstacle.EXCLUDED, 1),
    ]


def register(nights: Nights, hub: TestHub, at: datetime, organisation: str) -> None:
    row = {"mpxn": hub.mprn, "role": "GS", "effective_from": at, "organisation": organisation}
    nights.world.run(lambda uow: inventory.put_registrations(uow.connection, [row]))


def test_quiet_days_and_the_change_of_supplier_they_surround_are_two_reasons(central: Nights) -> None:
    ready(central, hubs(1), window=until(12))
    register(central, hubs(1)[0], WINDOW.start + 3 * DAY, B.name)

    found = [(night, why) for night, _, why, _ in fates(seen(central))]

    assert found[0] == ("29", Obstacle.QUIET_DAYS)
    assert found[-1][1] is Obstacle.SUPPLIER_CHANGE
    assert {why for _, why in found} == {Obstacle.QUIET_DAYS, Obstacle.SUPPLIER_CHANGE}


def test_han_impact_that_nobody_has_accepted_is_a_reason(central: Nights) -> None:
    ready(central, hubs(2), window=until(2))
    affected = TestHub(1, han=HAN)
    central.world.add_hubs([affected])
    row = {"manufacturer": HAN[0], "model": HAN[1]}
    release_id = select(releases.c.release_id).scalar_subquery()
    central.world.run(
        lambda uow: uow.connection.execute(insert(release_han_models).values(release_id=release_id, **row))
    )

    assert fates(seen(central)) == [("29", Fate.LISTED, None, 1), ("29", Fate.MISSES, Obstacle.HAN_IMPACT, 1)]


def test_compulsory_hubs_wait_because_they_are_spread(central: Nights) -> None:
    central.world.add_hubs(hubs(4))
    compel(central, NOW + 10 * DAY)

    found = fates(seen(central))

    assert sum(number for _, fate, _, number in found if fate is Fate.LISTED) == 4
    assert {why for _, fate, why, _ in found if fate is Fate.WAITS} == {Obstacle.SPREAD}
    assert {fate for _, fate, _, _ in found} == {Fate.LISTED, Fate.WAITS}


def test_one_can_look_up_to_a_date_and_a_list_that_is_overdue_is_cut_at_once(central: Nights) -> None:
    ready(central, hubs(1))
    central.world.clock.set(central.due() + timedelta(hours=3))

    nights = [one.night for one in seen(central, Horizon(until=date(2026, 12, 1))).preview.nights]

    assert [f"{night.period.start:%d}" for night in nights] == ["29", "30", "01"]
    assert [night.cut_at for night in nights[:2]] == [central.world.clock.now(), central.due(1)]


@pytest.mark.parametrize("stopped", [True, False])
def test_a_night_some_lists_of_which_were_cut_has_only_the_places_that_are_left(central: Nights, stopped: bool) -> None:
    ready(central, hubs(9))
    central.change(list_size=2, hubs_per_night=6)
    central.world.clock.set(central.due())
    if stopped:
        cutter = replace(central.cutter, listed_at_once=1, few=1)
        central.world.run(lambda uow: cutter.run(uow, central.region, central.due(), central.period()))
        wanted = [("29", Fate.LISTED, None, 4), ("29", Fate.WAITS, Obstacle.CAPACITY, 3), ("30", Fate.LISTED, None, 3)]
    else:
        # The region opens later by now: what was cut is of the same night.
        central.cut()
        central.change(open_from=time(23), hubs_per_night=7)
        wanted = [("29", Fate.LISTED, None, 1), ("29", Fate.WAITS, Obstacle.CAPACITY, 2), ("30", Fate.LISTED, None, 2)]

    assert fates(seen(central)) == wanted


# --- the cutter then does the same -----------------------------------------------------------------------------------


def compel(nights: Nights, comply_by: datetime) -> None:
    terms = {"obligation": "Mandatory", "compulsory_from": NOW, "comply_by": comply_by}
    mine = releases.c.model == FIRMWARE.model
    nights.world.run(lambda uow: uow.connection.execute(update(releases).where(mine).values(terms)))
    instance = nights.world.instance
    quiet_days = quiet_days_of(instance.configuration.policy)
    chore = Enlisting(nights.region, instance.alerts, instance.configuration.lifecycle, quiet_days)
    while nights.world.run(chore):
        pass


def run_nights(nights: Nights, moments: Iterable[datetime], *, cutting: bool = True) -> None:
    """Let the whole machinery of the region look at each of these moments, or all but what cuts its lists."""
    instance = nights.world.instance
    house = Housekeeping("every region", instance.transactions, chores(instance), lambda: None)
    region = RegionTriggers(
        nights.region,
        instance.transactions,
        nights.cutter,
        nights.outcomes,
        lambda: None,
        region_chores(instance, nights.region)[:1],
    )

    async def run() -> None:
        for moment in moments:
            nights.world.clock.set(moment)
            await house.tick()
            if cutting:
                await region.tick()
        # Whoever is still to be told is told before the event loop is gone.
        await instance.transactions.close()

    asyncio.run(run())


def listed_by_night(nights: Nights) -> Counter[tuple[datetime, str]]:
    columns = upgrade_lists.c.period_start, upgrade_lists.c.release_id, upgrade_lists.c.hub_count
    counted: Counter[tuple[datetime, str]] = Counter()
    with nights.world.instance.reading_engine.connect() as connection:
        for start, release_id, count in connection.execute(select(*columns)):
            counted[start, release_id] += count
    return counted


def random_world(directory: Path, chance: random.Random) -> Nights:
    """A region with two releases and hubs of all kinds, scheduled for all kinds of windows."""
    world = make_world(directory)
    nights = Nights(world, world.instance.configuration.regions["Central"])
    nights.change(hubs_per_night=chance.randint(3, 9), list_size=4)
    world.open_release(han_models=[HAN], general_open=chance.random() < 0.7)
    world.run(
        lambda uow: open_release(
            uow,
            configuration=world.instance.configuration,
            alerts=world.instance.alerts,
            draw_id=world.instance.draw_id,
            firmware=OTHER,
            image_hash="CD" * 32,
            regions=("Central",),
            reachable_from=(OLD_VERSION,),
        )
    )
    some = [
        TestHub(
            number,
            electricity=chance.choice([A.name, A.name, B.name]),
            gas=chance.choice([A.name, B.name, None]),
            model=chance.choice([FIRMWARE.model, FIRMWARE.model, OTHER.model]),
            han=HAN if chance.random() < 0.2 else None,
        )
        for number in range(1, 61)
    ]
    world.add_hubs(some)
    for supplier in (A, B):
        for firmware in (FIRMWARE, OTHER):
            mine = [
                hub
                for hub in some
                if hub.model == firmware.model and supplier.name in (hub.electricity, hub.gas) and chance.random() < 0.9
            ]
            for start in range(0, len(mine), 6):
                first = WINDOW.start + chance.randint(0, 4) * DAY
                window = Period(first, first + chance.randint(2, 9) * DAY)
                phase = chance.choice([Phase.GENERAL, Phase.GENERAL, Phase.PILOT])
                accept = chance.random() < 0.6
                ids = tuple(hub.chf for hub in mine[start : start + 6])
                schedule = ScheduleCommsHubFirmware(firmware, window, phase, ids, accept_han_impact=accept)
                world.send(supplier, schedule, "11.5")
            approved = tuple(hub.chf for hub in mine if chance.random() < 0.5)
            if approved and chance.random() < 0.5:
                approve = ApproveCommsHubFirmware(firmware, Decision.APPROVE, approved, accept_han_impact=True)
                world.send(supplier, approve, "11.6")
    for hub in chance.sample(some, 8):
        ends = None if chance.random() < 0.3 else WINDOW.start + chance.randint(0, 8) * DAY
        row = {"hub_id": hub.chf, "organisation": B.name, "set_at": NOW, "until": ends}
        world.execute(insert(exclusions).values(row))
    agreed = [
        hub
        for hub in some
        if hub.gas is not None and "Scheduled" in nights.states([hub] if nights.attempts(hub) else [])
    ]
    for hub in chance.sample(agreed, 6):
        register(nights, hub, NOW + chance.randint(1, 12) * DAY + 6 * HOUR, chance.choice([A.name, B.name]))
        if chance.random() < 0.4:
            register(nights, hub, NOW + 13 * DAY, chance.choice([A.name, B.name]))
    for hub in chance.sample(some, 3):
        world.run(on_connection(change_record, hub.chf, device_status="Decommissioned"))
    if chance.random() < 0.4:
        compel(nights, WINDOW.start + chance.randint(4, 9) * DAY)
    # Whatever is due already is done, but no list is cut.
    run_nights(nights, [NOW], cutting=False)
    return nights


@pytest.mark.parametrize("seed", range(4))
def test_what_was_foreseen_happens_if_nothing_changes(tmp_path: Path, seed: int) -> None:
    nights = random_world(tmp_path / "instance", random.Random(seed))
    found = seen(nights, Horizon(nights=13)).preview

    # Windows end and Suppliers change in between, and are seen to in their order.
    between = [NOW + day * DAY + hours * HOUR for day in range(16) for hours in (3, 7)]
    run_nights(nights, sorted([*between, *(one.night.cut_at for one in found.nights)]))

    foreseen = Counter(
        {
            (one.night.period.start, line.release_id): line.hubs
            for one in found.nights
            for line in one.lines
            if line.fate is Fate.LISTED
        }
    )
    assert listed_by_night(nights) == foreseen
    assert foreseen.total() > 10
    nights.world.close()


@pytest.mark.parametrize("seed", range(2))
def test_every_scheduled_hub_is_accounted_for_once(tmp_path: Path, seed: int) -> None:
    nights = random_world(tmp_path / "instance", random.Random(100 + seed))
    with nights.world.instance.reading_engine.connect() as connection:
        scheduled = len(connection.scalars(select(attempts.c.hub_id).where(attempts.c.state == "Scheduled")).all())

    found = seen(nights, Horizon(nights=6)).preview

    lines = [line for one in found.nights for line in one.lines if line.fate is not Fate.WAITS]
    accounted = sum(line.hubs for line in lines)
    accounted += sum(found.without_night.values()) + sum(found.beyond.values())
    assert accounted == scheduled > 20
    nights.world.close()
