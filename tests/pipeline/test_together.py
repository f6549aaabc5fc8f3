"""Requests that share a transaction: whatever they are, what they leave and get is as if each had come alone."""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.bootstrap import open_instance, processor_of
from sr_engine.clock import FixedClock
from sr_engine.domain.holding import CANCELLATION, Breach, Thresholds
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    CommsHubFirmwareResult,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Admitted, Turned
from sr_engine.pipeline.reading_ahead import reading_ahead
from sr_engine.store import anomalies, releases
from sr_engine.store.tables import metadata
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import Foreseen, UnitOfWork, Work
from tests.databases import KIND, give_a_copy_of_its_database, server, url_of_instance
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, change_record, edit, make_world

HUBS = [
    TestHub(1),
    TestHub(2, han=("1234", "ABCD0001")),
    TestHub(3, gas=B.name),
    TestHub(4, electricity=B.name),
    TestHub(5, electricity=B.name, gas=B.name),
    TestHub(6, status="Decommissioned"),
]
FEW_HUBS = st.lists(st.sampled_from([*(hub.chf for hub in HUBS), HUBS[0].gpf, HUBS[2].gpf]), min_size=1, max_size=3)
SOON = NOW + timedelta(days=3)
OTHER_FIRMWARE = replace(FIRMWARE, version="9003")
"""Of another release for the same hubs, each of which has one upgrade under way at a time."""
FIRMWARES = st.sampled_from([FIRMWARE, FIRMWARE, OTHER_FIRMWARE])
PASSING = {"exchanges": {"answer"}, "outbox": {"message_id", "body", "sha256"}}
"""What bears a signature or is drawn at random."""


@dataclass(frozen=True)
class Sent:
    """A request of a Supplier; `copies` is the place of one before, of which it is an exact copy."""

    by_a: bool
    body: Body
    variant: str
    copies: int | None = None
    reuses: int | None = None
    """The place of one before whose RequestID it has."""
    follows: int | None = None
    """The place of one before that it waits for."""


@dataclass(frozen=True)
class Done:
    """Something else that happens in the same transaction."""

    name: str
    work: Callable[..., None]


def _close(uow: UnitOfWork, release_id: str) -> None:
    releases.set_status(uow.connection, release_id, "Closed")


def _break_han(uow: UnitOfWork, release_id: str) -> None:
    model = ("1234", "ABCD0001")
    releases.remove_han_models(uow.connection, release_id, [model])
    releases.add_han_models(uow.connection, release_id, [model])


def _move(uow: UnitOfWork, release_id: str) -> None:
    change_record(uow.connection, HUBS[1].chf, device_status="Suspended", firmware_version="7777")


def _threshold(uow: UnitOfWork, release_id: str) -> None:
    anomalies.set_thresholds(uow.connection, A.eui, Breach.USER, Thresholds(3, None))


THE_EARLIER = 1
"""Stands for the number of the schedule that A has set before."""
DONE = [Done("close", _close), Done("break", _break_han), Done("move", _move), Done("threshold", _threshold)]


def _bodies() -> st.SearchStrategy[tuple[Body, str]]:
    hubs = FEW_HUBS.map(tuple)
    approvals = st.builds(
        ApproveCommsHubFirmware,
        FIRMWARES,
        st.sampled_from([Decision.APPROVE, Decision.APPROVE, Decision.DECLINE]),
        hubs,
        execution_date_time=st.sampled_from([None, None, None, SOON, CANCELLATION]),
    )
    deferrals = st.builds(ApproveCommsHubFirmware, st.just(FIRMWARE), st.just(Decision.DEFER), hubs, st.just(SOON))
    unknown = st.builds(
        ApproveCommsHubFirmware, st.just(replace(FIRMWARE, version="9999")), st.just(Decision.APPROVE), hubs
    )
    windows = st.sampled_from([WINDOW, replace(WINDOW, start=WINDOW.end - timedelta(days=2))])
    schedules = st.builds(ScheduleCommsHubFirmware, FIRMWARES, windows, st.just(Phase.GENERAL), hubs)
    taken_back = st.builds(DeleteCommsHubFirmwareSchedule, st.just(THE_EARLIER), hubs)
    kept_out = st.builds(UpdateCommsHubFirmwareExclusion, st.just(ExclusionAction.EXCLUDE), hubs)
    reads = st.builds(ReadInventory, device_id=st.sampled_from([hub.chf for hub in HUBS]))
    looks = st.builds(ReadCommsHubFirmwareSchedule, device_id=st.sampled_from([hub.chf for hub in HUBS]))
    return st.one_of(
        st.tuples(approvals, st.just("11.6")),
        st.tuples(approvals, st.just("11.6")),
        st.tuples(schedules, st.just("11.5")),
        st.tuples(deferrals, st.just("11.6")),
        st.tuples(unknown, st.just("11.6")),
        st.tuples(taken_back, st.just("11.8")),
        st.tuples(kept_out, st.just("11.9")),
        st.tuples(reads, st.just("8.2")),
        st.tuples(looks, st.just("11.7")),
    )


def _sent() -> st.SearchStrategy[Sent]:
    before = st.one_of(st.none(), st.none(), st.none(), st.integers(0, 6))
    return st.builds(
        lambda by_a, body, copies, reuses, follows: Sent(by_a, body[0], body[1], copies, reuses, follows),
        st.booleans(),
        _bodies(),
        before,
        before,
        before,
    )


GROUPS = st.lists(st.one_of(_sent(), _sent(), _sent(), _sent(), st.sampled_from(DONE)), min_size=2, max_size=14)


@dataclass(frozen=True)
class Place:
    """A world, the release that is open there, and the schedule that A has set before."""

    world: World
    release_id: str
    schedule_id: int


@cache
def _prepared(kind: str) -> Place:
    """What all worlds are copies of; its own is closed."""

    def few(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", "requests_per_hour = 20_000", "requests_per_hour = 9")

    folder = Path(tempfile.mkdtemp(prefix="sr-engine-together-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    url = None if kind == KIND else url_of_instance(kind)
    world = make_world(folder / "instance", prepare=few, database_url=url)
    world.add_hubs(HUBS)
    release_id = world.open_release()
    world.open_release(OTHER_FIRMWARE)
    earlier = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUBS[0].chf, HUBS[2].chf))
    result = world.send(A, earlier, "11.5").result
    world.settle()
    world.close()
    assert isinstance(result, CommsHubFirmwareResult)
    assert result.schedule_id is not None
    return Place(world, release_id, result.schedule_id)


@contextmanager
def _place(kind: str) -> Iterator[Place]:
    """The same each time."""
    prepared = _prepared(kind)
    with TemporaryDirectory() as folder:
        directory = Path(folder) / "instance"
        shutil.copytree(prepared.world.directory, directory)
        if kind != "sqlite":
            give_a_copy_of_its_database(directory, server())
        clock = FixedClock(NOW)
        instance = open_instance(directory, clock=clock, randbelow=Random(11).randrange, durable=kind != "sqlite")
        world = World(directory, instance, clock, processor_of(instance), dict(prepared.world.counters))
        try:
            yield replace(prepared, world=world)
        finally:
            world.close()


def _signed(place: Place, group: Sequence[Sent | Done]) -> list[bytes | Done]:
    world = place.world
    ids: list[str] = []
    signed: list[bytes | Done] = []
    for number, one in enumerate(group):
        supplier = A if isinstance(one, Done) or one.by_a else B
        ids.append(world.request_id(supplier))
        if isinstance(one, Done):
            signed.append(one)
            continue
        if one.reuses is not None and one.reuses < number and ids[one.reuses].startswith(supplier.eui):
            ids[-1] = ids[one.reuses]
        copied = None if one.copies is None or one.copies >= number else signed[one.copies]
        if isinstance(copied, bytes):
            signed.append(copied)
            continue
        body = one.body
        if isinstance(body, DeleteCommsHubFirmwareSchedule):
            body = replace(body, schedule_id=place.schedule_id)
        preceding = ids[one.follows] if one.follows is not None and one.follows < number else None
        signed.append(world.signed(supplier, body, one.variant, request_id=ids[-1], preceding=preceding))
    return signed


def _works(place: Place, group: Sequence[bytes | Done]) -> list[tuple[Work[Answer | None], Foreseen[Admitted] | None]]:
    """What the gateway submits for each."""
    processor = place.world.processor
    read_ahead = reading_ahead(processor)
    works: list[tuple[Work[Answer | None], Foreseen[Admitted] | None]] = []
    for one in group:
        if isinstance(one, Done):
            works.append((partial(one.work, release_id=place.release_id), None))
            continue
        admitted = processor.admit("serviceD", one, NOW)
        if isinstance(admitted, Admitted):
            works.append((partial(processor.execute, admitted=admitted), Foreseen(admitted, read_ahead)))
        else:
            assert isinstance(admitted, Turned)
            works.append((partial(processor.record_turned, turned=admitted), None))
    return works


def _run(place: Place, group: Sequence[bytes | Done], *, together: bool) -> list[Answer | None]:
    works = _works(place, group)

    async def story() -> list[Answer | None]:
        # Without anybody who tells of it: what is to be told stays where it can be compared.
        transactions = Transactions(place.world.instance.engine, place.world.clock)
        if together:
            return list(await asyncio.gather(*(transactions.run(work, foreseen=foreseen) for work, foreseen in works)))
        return [await transactions.run(work, foreseen=foreseen) for work, foreseen in works]

    return asyncio.run(story())


def _said(answers: Sequence[Answer | None]) -> list[object]:
    return [None if one is None else replace(one, document=b"") for one in answers]


def _tables(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """All there is but the links of the audit trail, of which each transaction has one."""
    found = {}
    with world.instance.reading_engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name != "audit_links":
                names = [one.name for one in table.columns if one.name not in PASSING.get(table.name, ())]
                # Not SQLAlchemy's own: it would take longer than all the rest.
                rows = connection.exec_driver_sql(f"SELECT {', '.join(names)} FROM {table.name}")
                found[table.name] = sorted(map(tuple, rows), key=repr)
    return found


def _the_same_as_alone(kind: str, group: Sequence[Sent | Done]) -> None:
    with _place(kind) as alone:
        requests = _signed(alone, group)
        said = _said(_run(alone, requests, together=False))
        left = _tables(alone.world)
    with _place(kind) as together:
        assert _said(_run(together, requests, together=True)) == said
        assert _tables(together.world) == left


@settings(max_examples=20, deadline=None)
@given(group=GROUPS)
def test_a_group_leaves_and_gets_what_each_of_it_would_alone(group: list[Sent | Done]) -> None:
    _the_same_as_alone("sqlite", group)


@settings(max_examples=6, deadline=None)
@given(group=GROUPS)
def test_so_it_does_on_postgresql(group: list[Sent | Done]) -> None:
    _the_same_as_alone("postgresql", group)
