"""What was looked up of hubs before a decision changes nothing of it, whatever has happened since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    Decision,
    Period,
    Phase,
    ScheduleCommsHubFirmware,
)
from sr_engine.pipeline.process import Admitted
from sr_engine.requests.outcome import Outcome
from sr_engine.store import inventory, known_hubs, registrations, releases
from sr_engine.store.facts import StoredFacts
from sr_engine.store.known_hubs import KnownHubs
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import UnitOfWork
from tests.databases import only_sqlite, statements_of
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, change_record, make_world

HAN = ("1234", "ABCD0001")
HUBS = [TestHub(1), TestHub(2), TestHub(3, gas=B.name), TestHub(4, electricity=B.name), TestHub(5, han=HAN)]
BY_GPF = TestHub(7)
MOVING = HUBS[0]
"""Its electricity goes to B in an hour."""
LATER = NOW + timedelta(hours=1)
DEVICES = (*(hub.chf for hub in HUBS), BY_GPF.gpf, TestHub(0x99).chf)


def registered(hub: TestHub, organisation: str | None, **at: object) -> dict[str, object]:
    return {"mpxn": hub.mpan, "role": "IS", "effective_from": LATER, "organisation": organisation, **at}


def _arrives(uow: UnitOfWork) -> None:
    inventory.put_registrations(uow.connection, [registered(HUBS[1], B.name, effective_from=NOW)])


def _stays(uow: UnitOfWork) -> None:
    registrations.cancel(uow.connection, [registered(MOVING, B.name)])


def _runs_another(uow: UnitOfWork) -> None:
    inventory.set_firmware(uow.connection, [HUBS[1].chf, HUBS[2].chf], "7777")


def _is_suspended(uow: UnitOfWork) -> None:
    change_record(uow.connection, HUBS[3].chf, device_status="Decommissioned")


def _gets_a_display(uow: UnitOfWork) -> None:
    inventory.put_devices(uow.connection, replace(HUBS[1], han=HAN).rows())


def _becomes_known(uow: UnitOfWork) -> None:
    new = TestHub(0x99)
    inventory.put_devices(uow.connection, new.rows())
    inventory.put_registrations(uow.connection, new.registrations())


def _gets_a_gpf(uow: UnitOfWork) -> None:
    change_record(uow.connection, BY_GPF.gpf, hub_id=HUBS[2].chf)


HAPPENS: Sequence[Callable[[UnitOfWork], None]] = (
    _arrives,
    _stays,
    _runs_another,
    _is_suspended,
    _gets_a_display,
    _becomes_known,
    _gets_a_gpf,
)
BODIES: Sequence[tuple[Body, str]] = (
    (ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, DEVICES), "11.5"),
    (ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, DEVICES), "11.6"),
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path)
    world.add_hubs([*HUBS, BY_GPF])
    world.open_release(han_models=[HAN])
    world.run(lambda uow: inventory.put_registrations(uow.connection, [registered(MOVING, B.name)]))
    yield world
    world.close()


@example(happens=[_runs_another], minutes=0, asked=BODIES[0], with_han=True)
@example(happens=[], minutes=60, asked=BODIES[0], with_han=True)
@example(happens=[], minutes=0, asked=BODIES[0], with_han=False)
@given(
    happens=st.lists(st.sampled_from(HAPPENS), max_size=2, unique=True),
    minutes=st.sampled_from([0, 1, 59, 60, 24 * 60]),
    asked=st.sampled_from(BODIES),
    with_han=st.booleans(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_outcome_is_that_of_what_is_so_now(
    world: World,
    happens: Sequence[Callable[[UnitOfWork], None]],
    minutes: int,
    asked: tuple[Body, str],
    *,
    with_han: bool,
) -> None:
    processor = replace(world.processor, draw_schedule_id=lambda: 7)
    admitted = processor.admit("serviceD", world.signed(A, *asked), NOW)
    assert isinstance(admitted, Admitted)
    with world.instance.engine.connect() as connection, connection.begin() as transaction:
        known = known_hubs.look_up(connection, list(DEVICES), NOW, processor.quiet_days, with_han=with_han)
        for one in happens:
            one(UnitOfWork(connection, NOW))
        now = UnitOfWork(connection, NOW + timedelta(minutes=minutes))
        assert processor.judge(now, admitted, known=known) == processor.judge(now, admitted)
        transaction.rollback()


def test_quiet_days_that_were_over_are_not_where_the_clock_was_set_back(world: World) -> None:
    quiet_days = world.processor.quiet_days
    changed_at = NOW - quiet_days.after - timedelta(minutes=1)
    arrival = registered(HUBS[1], B.name, effective_from=changed_at)
    world.run(lambda uow: inventory.put_registrations(uow.connection, [arrival]))
    with world.instance.reading_engine.connect() as connection:
        known = known_hubs.look_up(connection, list(DEVICES), NOW, quiet_days, with_han=True)
        release = releases.by_firmware(connection, FIRMWARE)
        assert release is not None
        facts = StoredFacts(connection, NOW - timedelta(hours=1), quiet_days, known)
        hub = facts.hub_upgrades(list(DEVICES), release, with_overlays=True)[HUBS[1].chf]

    assert hub.quiet == (Period(changed_at - quiet_days.before, changed_at + quiet_days.after),)


@only_sqlite
def test_what_stands_is_not_looked_up_again(world: World) -> None:
    admitted = world.processor.admit("serviceD", world.signed(A, *BODIES[0]), NOW)
    assert isinstance(admitted, Admitted)
    known = world.processor.look_up(Reading(world.instance.reading_engine), admitted, NOW)

    def suppliers_read(known: KnownHubs | None) -> int:
        """How many statements have read who is registered for meters."""
        judge = lambda uow: world.processor.judge(uow, admitted, known=known)  # noqa: E731
        with statements_of(world.instance.engine) as made:
            assert isinstance(world.run(judge), Outcome)
        return sum("import_mpxn" in one for one in made)

    assert suppliers_read(None) > 0
    assert suppliers_read(known) == 0


def test_of_a_release_that_is_not_known_nothing_is_looked_up(world: World) -> None:
    unknown = replace(FIRMWARE, version="9999")
    body = ScheduleCommsHubFirmware(unknown, WINDOW, Phase.GENERAL, DEVICES)
    admitted = world.processor.admit("serviceD", world.signed(A, body, "11.5"), NOW)
    assert isinstance(admitted, Admitted)
    assert world.processor.look_up(Reading(world.instance.reading_engine), admitted, NOW) is None
