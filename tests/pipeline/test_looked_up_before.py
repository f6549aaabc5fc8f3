"""What was looked up of hubs before a decision changes nothing of it, whatever has happened since."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    Decision,
    ExclusionAction,
    Period,
    Phase,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.releases import close
from sr_engine.pipeline.looking_ahead import LookedUp
from sr_engine.pipeline.process import Admitted
from sr_engine.regions.calendar import periods_available
from sr_engine.regions.running import Running
from sr_engine.requests.outcome import Outcome
from sr_engine.store import inventory, known_hubs, overlays, registrations, releases
from sr_engine.store.facts import StoredFacts
from sr_engine.store.known_hubs import KnownHubs
from sr_engine.store.read_versions import ReadVersion
from sr_engine.store.reading import Connection, Reading
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import only_sqlite, statements_of
from tests.pipeline.hub_by_hub import hub_by_hub
from tests.world import FIRMWARE, NOW, WINDOW, A, B, SupplierSeed, TestHub, World, change_record, make_world

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


def _decides(supplier: SupplierSeed, body: Body, world: World) -> Callable[[UnitOfWork], object]:
    """A request that is answered out meanwhile."""
    variant = "11.5" if isinstance(body, ScheduleCommsHubFirmware) else "11.6"
    if isinstance(body, UpdateCommsHubFirmwareExclusion):
        variant = "11.9"
    admitted = world.processor.admit("serviceD", world.signed(supplier, body, variant), NOW)
    assert isinstance(admitted, Admitted)

    return lambda uow: world.processor.execute(uow, admitted)


def _closes(uow: UnitOfWork) -> None:
    close(uow, FIRMWARE)


def _is_read(world: World) -> Callable[[UnitOfWork], None]:
    """A CSP reports what two hubs run, which is not what the inventory says."""

    def work(uow: UnitOfWork) -> None:
        release = releases.by_firmware(uow.connection, FIRMWARE)
        assert release is not None
        read = {hub.chf: ReadVersion("7777", NOW) for hub in HUBS[1:3]}
        assert Running(world.instance.alerts)(uow, release, read, actor="csp:North", key="X") == 2

    return work


REQUESTS: Sequence[tuple[SupplierSeed, Body]] = (
    (B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HUBS[2].chf,))),
    (B, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUBS[2].chf,))),
    (A, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUBS[1].chf,))),
    (B, UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (HUBS[2].chf,))),
)


def looked_up_in(world: World, connection: Connection, *, with_han: bool) -> KnownHubs:
    known = known_hubs.look_up(connection, list(DEVICES), NOW, with_han=with_han)
    return replace(known, quiet=overlays.quiet_of(connection, known.versions, NOW, world.processor.quiet_days))


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
        known = looked_up_in(world, connection, with_han=with_han)
        for one in happens:
            one(UnitOfWork(connection, NOW))
        now = UnitOfWork(connection, NOW + timedelta(minutes=minutes))
        judged = processor.judge(now, admitted, looked_up=LookedUp(known))
        assert hub_by_hub(judged) == hub_by_hub(processor.judge(now, admitted))
        transaction.rollback()


@example(happens=[], requests=[0], minutes=1, asked=BODIES[1], closed=False, read=False)
@example(happens=[], requests=[], minutes=0, asked=BODIES[0], closed=False, read=True)
@example(happens=[], requests=[3], minutes=0, asked=BODIES[0], closed=False, read=False)
@example(happens=[], requests=[], minutes=60, asked=BODIES[0], closed=False, read=False)
@example(happens=[], requests=[], minutes=0, asked=BODIES[0], closed=True, read=False)
@given(
    happens=st.lists(st.sampled_from([one for one in HAPPENS if one is not _runs_another]), max_size=1),
    read=st.booleans(),
    requests=st.lists(st.sampled_from(range(len(REQUESTS))), max_size=2, unique=True),
    minutes=st.sampled_from([0, 1, 59, 60, 24 * 60]),
    asked=st.sampled_from(BODIES),
    closed=st.booleans(),
)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_decided_before_stands_only_if_it_would_be_decided_so_now(
    world: World,
    happens: Sequence[Callable[[UnitOfWork], None]],
    requests: Sequence[int],
    minutes: int,
    asked: tuple[Body, str],
    *,
    closed: bool,
    read: bool,
) -> None:
    processor = replace(world.processor, draw_schedule_id=lambda: 7)
    admitted = processor.admit("serviceD", world.signed(A, *asked), NOW)
    assert isinstance(admitted, Admitted)
    looked_up = processor.look_ahead(Reading(world.instance.reading_engine), admitted, NOW)
    assert looked_up is not None
    assert looked_up.decided is not None
    works: list[Callable[[UnitOfWork], object]] = [*happens, *(_decides(*REQUESTS[one], world) for one in requests)]
    works += [work for work, happened in ((_is_read(world), read), (_closes, closed)) if happened]
    with world.instance.engine.connect() as connection, connection.begin() as transaction:
        for one in works:
            one(UnitOfWork(connection, NOW))
        now = UnitOfWork(connection, NOW + timedelta(minutes=minutes))
        outcome = processor.judge(now, admitted, looked_up=looked_up)
        # As of when it was looked up, or of now; what has become effective in between is heeded.
        expected = [processor.judge(now, admitted)]
        if minutes < 60:
            expected.append(processor.judge(UnitOfWork(connection, NOW), admitted))
        assert hub_by_hub(outcome) in map(hub_by_hub, expected)
        if not works and minutes < 60:
            assert outcome is looked_up.decided.outcome, "then it need not be decided again"
        transaction.rollback()


def test_what_was_decided_before_a_list_was_cut_stands_until_then_and_no_longer(world: World) -> None:
    region = world.instance.configuration.regions["Central"]
    *_, last = periods_available(region, WINDOW, NOW)
    cut_at = last.start - region.lead_time
    before = cut_at - timedelta(seconds=2)
    admitted = world.processor.admit("serviceD", world.signed(A, *BODIES[0]), before)
    assert isinstance(admitted, Admitted)
    looked_up = world.processor.look_ahead(Reading(world.instance.reading_engine), admitted, before)

    def code_at(now: datetime) -> str:
        with world.instance.reading_engine.connect() as connection:
            verdict = world.processor.judge(UnitOfWork(connection, now), admitted, looked_up=looked_up)
        assert isinstance(verdict, Outcome)
        return verdict.code

    assert code_at(cut_at) == "W110501"
    assert code_at(cut_at + timedelta(seconds=1)) == "E110504"


def test_a_deferral_that_was_decided_before_does_not_end_in_the_past(world: World) -> None:
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DEFER, DEVICES, NOW + timedelta(seconds=2))
    admitted = world.processor.admit("serviceD", world.signed(A, body, "11.6"), NOW)
    assert isinstance(admitted, Admitted)
    looked_up = world.processor.look_ahead(Reading(world.instance.reading_engine), admitted, NOW)

    codes = []
    with world.instance.reading_engine.connect() as connection:
        for seconds in (1, 2):
            now = UnitOfWork(connection, NOW + timedelta(seconds=seconds))
            verdict = world.processor.judge(now, admitted, looked_up=looked_up)
            assert isinstance(verdict, Outcome)
            codes.append(verdict.code)
    assert codes == ["W110601", "E110605"]


@pytest.mark.parametrize(
    "body",
    [
        ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.PILOT, DEVICES),
        ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, DEVICES, replaces_schedule_id=7),
        ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, DEVICES, execution_date_time=LATER),
    ],
    ids=["places of a pilot", "another schedule", "another time"],
)
def test_what_more_than_its_hubs_decide_is_not_decided_before(world: World, body: Body) -> None:
    admitted = world.processor.admit("serviceD", world.signed(A, body, "11.5"), NOW)
    assert isinstance(admitted, Admitted)
    looked_up = world.processor.look_ahead(Reading(world.instance.reading_engine), admitted, NOW)
    assert looked_up is not None
    assert looked_up.decided is None


def test_quiet_days_that_were_over_are_not_where_the_clock_was_set_back(world: World) -> None:
    quiet_days = world.processor.quiet_days
    changed_at = NOW - quiet_days.after - timedelta(minutes=1)
    arrival = registered(HUBS[1], B.name, effective_from=changed_at)
    world.run(lambda uow: inventory.put_registrations(uow.connection, [arrival]))
    with world.instance.reading_engine.connect() as connection:
        known = looked_up_in(world, connection, with_han=True)
        release = releases.by_firmware(connection, FIRMWARE)
        assert release is not None
        facts = StoredFacts(connection, NOW - timedelta(hours=1), quiet_days, known)
        hub = facts.hub_upgrades(list(DEVICES), release, with_overlays=True).known[HUBS[1].chf]

    assert hub.quiet == (Period(changed_at - quiet_days.before, changed_at + quiet_days.after),)


@only_sqlite
def test_what_stands_is_not_looked_up_again(world: World) -> None:
    admitted = world.processor.admit("serviceD", world.signed(A, *BODIES[0]), NOW)
    assert isinstance(admitted, Admitted)
    looked_up = world.processor.look_ahead(Reading(world.instance.reading_engine), admitted, NOW)
    assert looked_up is not None

    def suppliers_read(looked_up: LookedUp | None) -> int:
        """How many statements have read who is registered for meters."""
        judge = lambda uow: world.processor.judge(uow, admitted, looked_up=looked_up)  # noqa: E731
        with statements_of(world.instance.engine) as made:
            assert isinstance(world.run(judge), Outcome)
        return sum("import_mpxn" in one for one in made)

    assert suppliers_read(None) > 0
    assert suppliers_read(looked_up.only_known) == 0
    assert suppliers_read(looked_up) == 0


def test_of_a_release_that_is_not_known_nothing_is_looked_up(world: World) -> None:
    unknown = replace(FIRMWARE, version="9999")
    body = ScheduleCommsHubFirmware(unknown, WINDOW, Phase.GENERAL, DEVICES)
    admitted = world.processor.admit("serviceD", world.signed(A, body, "11.5"), NOW)
    assert isinstance(admitted, Admitted)
    assert world.processor.look_ahead(Reading(world.instance.reading_engine), admitted, NOW) is None
