"""Beside processes of the first release, this version leaves nothing that they would not understand; later it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from lxml import etree
from sqlalchemy import Engine, RowMapping, Table, func, select, text

from sr_engine.configuration import AlertEvent
from sr_engine.domain.changes import HubEvent
from sr_engine.messages.model import Phase, ScheduleCommsHubFirmware
from sr_engine.operations.api_tokens import TokenDesk, TokenRefused
from sr_engine.operations.audit_verification import verify
from sr_engine.pipeline.process import Admitted
from sr_engine.store import leases, migrating
from sr_engine.store.api_tokens import Scope
from sr_engine.store.database import check_tables, open_engine
from sr_engine.store.migrating import ProcessesInTheWay
from sr_engine.store.outbox import ALERT
from sr_engine.store.reading import Reading
from sr_engine.store.schema import Standing, known_revisions, works_from
from sr_engine.store.tables import alerted_hubs, attempts, kept_changes, outbox, releases, schedule_hubs, tidings
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import empty_url, url_of_instance
from tests.gateway.conftest import still
from tests.migrations.conftest import standing
from tests.told import TOLD
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, make_world

OF_THE_FIRST_RELEASE = ("0001", "0002", "0003", "0004", "0005")
OF_BEFORE, OF_THIS = "0f" * 16, leases.name_of_process(known_revisions()[-1], "0f" * 16)
PORTION = 10
HUBS = [TestHub(number, gas=B.name) for number in range(1, 8 * PORTION + 1)]
HOUR = timedelta(hours=1)


# --- the schema ---------------------------------------------------------------------------------------------------


@pytest.fixture
def engine(tmp_path: Path, kind: str) -> Iterator[Engine]:
    """A database as the first release has left it."""
    engine = open_engine(empty_url(tmp_path, kind), durable=False)
    with engine.begin() as connection:
        migrating.create(connection, up_to="0005")
    yield engine
    engine.dispose()


def hold(engine: Engine, holder: str) -> None:
    with engine.begin() as connection:
        assert leases.claim(connection, f"work of {holder}", holder, NOW, HOUR) is not None


def test_processes_of_the_first_release_go_on_until_the_last_of_them_is_replaced(engine: Engine) -> None:
    migrating.upgrade(engine)
    check_tables(engine)
    assert standing(engine) is Standing.MIXED
    assert standing(engine, OF_THE_FIRST_RELEASE) is Standing.NEWER
    before = migrating.upgrade(engine)
    assert (before.standing, standing(engine)) == (Standing.MIXED, Standing.MIXED)

    migrating.upgrade(engine, replaced=True)
    check_tables(engine)
    assert standing(engine) is Standing.CURRENT
    assert standing(engine, OF_THE_FIRST_RELEASE) is Standing.UNKNOWN


def test_nobody_is_replaced_before_the_schema_is_there(engine: Engine) -> None:
    with pytest.raises(ProcessesInTheWay, match=r"revision 0005, on which no process of this version .* first"):
        migrating.upgrade(engine, replaced=True)
    assert standing(engine) is Standing.PENDING


def test_who_holds_a_lease_and_is_of_before_is_not_replaced(engine: Engine) -> None:
    migrating.upgrade(engine)
    hold(engine, OF_BEFORE)
    hold(engine, OF_THIS)
    with pytest.raises(ProcessesInTheWay, match=f"versions before are replaced, for leases are held by {OF_BEFORE} "):
        migrating.upgrade(engine, replaced=True, now=NOW)
    assert standing(engine) is Standing.MIXED

    with engine.begin() as connection:
        leases.give_back(connection, OF_BEFORE, NOW)
    migrating.upgrade(engine, replaced=True, now=NOW)
    assert standing(engine) is Standing.CURRENT


def test_all_are_not_stopped_while_one_of_any_version_holds_a_lease(engine: Engine) -> None:
    migrating.upgrade(engine)
    hold(engine, OF_THIS)
    with pytest.raises(ProcessesInTheWay, match=f"not all processes are stopped, for leases are held by {OF_THIS} "):
        migrating.upgrade(engine, stopped=True, now=NOW)
    migrating.upgrade(engine, stopped=True, now=NOW + 2 * HOUR)
    assert standing(engine) is Standing.CURRENT


def test_where_nobody_of_before_could_work_any_more_nothing_waits(engine: Engine) -> None:
    """As once a program has brought it to 0011 that wanted all stopped for it."""
    migrating.upgrade(engine, up_to="0011")
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_support SET works_from = '0011'"))
    migrating.upgrade(engine)
    assert standing(engine) is Standing.CURRENT


def test_who_could_not_work_on_it_before_cannot_afterwards(engine: Engine) -> None:
    migrating.upgrade(engine, up_to="0009")
    with engine.begin() as connection:
        connection.execute(text("UPDATE schema_support SET works_from = '0009'"))
    migrating.upgrade(engine)
    with engine.connect() as connection:
        assert works_from(connection) == "0009"
    assert standing(engine) is Standing.MIXED


# --- what is left for others --------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, kind: str) -> Iterator[World]:
    def prepare(directory: Path) -> None:
        still(directory)
        edit(directory / "config" / "policy.toml", "portion_devices = 2_000", f"portion_devices = {PORTION}")

    world = make_world(tmp_path / "instance", database_url=url_of_instance(kind), prepare=prepare)
    world.execute(text("UPDATE alembic_version SET version_num = '0011'"))
    world.execute(text("UPDATE schema_support SET works_from = '0002'"))
    world.add_hubs(HUBS)
    world.open_release()
    yield world
    world.close()


def long_list(world: World, hubs: Sequence[TestHub]) -> Admitted:
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))
    admitted = world.processor.admit("serviceD", world.signed(A, body, "11.5"), NOW)
    assert isinstance(admitted, Admitted)
    return admitted


def number_of(world: World, table: Table) -> int:
    with world.instance.reading_engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def kept_of(world: World, hubs: Sequence[TestHub]) -> int:
    """How much of a long list is still to be written when it is answered; it is, and everybody told, on return."""
    admitted = long_list(world, hubs)

    def answer(unit_of_work: UnitOfWork) -> int:
        assert world.processor.execute_long(unit_of_work, admitted, None).code == "I0"
        return int(unit_of_work.connection.scalar(select(func.count()).select_from(kept_changes)) or 0)

    kept = world.run(answer)
    world.settle()
    return kept


def alerts(world: World) -> list[RowMapping]:
    with world.instance.reading_engine.connect() as connection:
        wanted = select(outbox).where(outbox.c.kind == ALERT, outbox.c.hub_id.is_not(None))
        return list(connection.execute(wanted.order_by(outbox.c.outbox_id)).mappings())


def test_nothing_is_left_that_the_first_release_does_not_understand(world: World) -> None:
    assert kept_of(world, HUBS) == 0

    sent = alerts(world)
    assert len(sent) == len(HUBS)
    assert {(one["form_id"], one["organisation"], one["occurrence"]) for one in sent} == {(None, None, None)}
    for one in sent:
        assert one["hub_id"] in list(etree.fromstring(one["body"]).itertext())
        assert one["sha256"] == hashlib.sha256(one["body"]).hexdigest()
    with world.instance.reading_engine.connect() as connection:
        each = select(alerted_hubs.c.hub_id, alerted_hubs.c.message_id).where(alerted_hubs.c.event == sent[0]["event"])
        told = [tuple(row) for row in connection.execute(each)]
    assert sorted(told) == sorted((one["hub_id"], one["message_id"]) for one in sent)


def test_a_long_list_that_is_looked_up_before_the_last_is_replaced_and_decided_after_it_is_carried_out(
    world: World,
) -> None:
    admitted = long_list(world, HUBS)
    looked_up = world.processor.look_ahead(Reading(world.instance.reading_engine), admitted, NOW)
    migrating.upgrade(world.instance.engine, replaced=True)

    answer = world.run(lambda unit_of_work: world.processor.execute_long(unit_of_work, admitted, looked_up))
    world.settle()

    assert answer.code == "I0"
    assert number_of(world, schedule_hubs) == number_of(world, attempts) == len(alerts(world)) == len(HUBS)


def test_no_token_is_bound_that_the_first_release_would_take_from_anybody(world: World) -> None:
    desk = TokenDesk(world.instance.draw_id, world.instance.randbelow)
    make = partial(desk.create, user_eui=A.eui, scopes={Scope.READ}, certificate_sha256="ab" * 32)
    with pytest.raises(TokenRefused, match=r"first replace them all, then `sr-engine db upgrade --all-replaced`"):
        world.run(partial(make, name="crm"))

    migrating.upgrade(world.instance.engine, replaced=True)
    world.run(partial(make, name="crm"))


def test_events_that_are_alike_are_kept_one_by_one(world: World) -> None:
    (release_id,) = releases_of(world)

    def post(unit_of_work: UnitOfWork) -> list[str]:
        hub_ids = {A.name: [hub.chf for hub in HUBS]}
        world.instance.alerts.post_alike(unit_of_work, AlertEvent.HUB_LISTED, release_id, "once", hub_ids)
        return list(unit_of_work.connection.scalars(select(tidings.c.hubs)))

    hubs = [hub for portion in world.run(post) for hub in json.loads(portion)]
    assert hubs == [[hub.chf, "once", None, False, None, None] for hub in HUBS]


def releases_of(world: World) -> list[str]:
    with world.instance.reading_engine.connect() as connection:
        return list(connection.scalars(select(releases.c.release_id)))


def test_once_none_of_before_is_left_a_process_changes_by_itself_and_tells_nothing_again(world: World) -> None:
    some, others = HUBS[: len(HUBS) // 2], HUBS[len(HUBS) // 2 :]
    kept_of(world, some)
    migrating.upgrade(world.instance.engine, replaced=True)

    assert kept_of(world, others) == len(others) // PORTION
    later = alerts(world)[len(some) :]
    assert [one["occurrence"] is None for one in later] == [False] * len(others)
    assert all(one["form_id"] is not None for one in later)
    with world.instance.reading_engine.connect() as connection:
        told = list(connection.scalars(select(TOLD.c.hub_id).where(TOLD.c.event == later[0]["event"])))
        assert verify(connection, []).intact
    assert sorted(told) == [hub.chf for hub in HUBS]

    # What was told before is not told again.
    (release_id,) = releases_of(world)
    first = alerts(world)[0]
    with world.instance.reading_engine.connect() as connection:
        told_then = alerted_hubs.c.message_id == first["message_id"]
        known = connection.execute(select(alerted_hubs).where(told_then)).one()
    again = HubEvent(AlertEvent(known.event), known.hub_id, known.organisation, release_id, known.occurrence)
    world.run(lambda unit_of_work: world.instance.alerts.post(unit_of_work, [again]))
    world.settle()
    assert len(alerts(world)) == len(HUBS)
