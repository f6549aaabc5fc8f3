"""What units of work of one transaction share: none of them finds anything else than it would alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError

from signing import KeyUnavailable, Signer, SigningKey, SoftwareKey
from sr_engine.clock import FixedClock
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.pipeline.process import Admitted
from sr_engine.pipeline.reading_ahead import reading_ahead
from sr_engine.store import anomalies, audit, exchanges, sharing
from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import audit as trail
from sr_engine.store.tables import exchanges as table
from sr_engine.store.tables import metadata
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import Foreseen, UnitOfWork, Work
from tests.databases import only_sqlite, statements_of
from tests.world import FIRMWARE, NOW, A, TestHub, make_world

EXCHANGE = exchanges.Exchange("DUIS", "K1", 8, bytes(32), "E", "11.6", NOW, "I99", "", b"r", b"a")
ANSWERED = exchanges.Answered(bytes(32), "I99", "", b"a")
_HOW_MANY = Prepared(select(func.count()).select_from(table))


def together(engine: Engine, *works: Work[Any], foreseen: Foreseen[Any] | None = None) -> list[Any]:
    """What units of work that share a transaction return or raise."""

    async def story() -> list[Any]:
        shared = Transactions(engine, FixedClock(NOW))
        runs = (shared.run(work, foreseen=foreseen) for work in works)
        return list(await asyncio.gather(*runs, return_exceptions=True))

    return asyncio.run(story())


def put(key: str) -> Work[str]:
    def work(uow: UnitOfWork) -> str:
        exchanges.put(uow.connection, replace(EXCHANGE, message_key=key))
        audit.record(uow.connection, [audit.Entry(NOW, "operator", "put", key)])
        return key

    return work


def nothing(_uow: UnitOfWork) -> None:
    return None


def keys(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(select(table.c.message_key)))


def recorded(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(trail.c.detail).order_by(trail.c.audit_id)))


LOOKS: dict[str, Work[object]] = {
    "find": lambda uow: exchanges.find(uow.connection, "DUIS", "K1", 8) == ANSWERED,
    "a prepared statement": lambda uow: _HOW_MANY.scalar(uow.connection) == 1,
    "one of SQLAlchemy": lambda uow: uow.connection.scalar(select(func.count()).select_from(table)) == 1,
}


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_kept_back_is_found_by_whoever_looks_for_it(engine: Engine, look: str) -> None:
    assert together(engine, put("K1"), LOOKS[look]) == ["K1", True]


def test_what_is_kept_back_is_stored_in_the_order_it_was_written_in(engine: Engine) -> None:
    names = [f"K{n}" for n in range(60)]
    assert together(engine, *map(put, names)) == names
    assert keys(engine) == set(names)
    assert recorded(engine) == names


def test_what_was_read_ahead_is_forgotten_once_another_unit_writes_there(engine: Engine) -> None:
    def read(uow: UnitOfWork, sought: Sequence[str]) -> None:
        shared = sharing.of(uow.connection)
        assert shared is not None
        exchanges.ask_ahead(uow.connection, shared, "DUIS", [(key, 8) for key in sought])()

    def write(uow: UnitOfWork) -> None:
        uow.connection.execute(table.insert(), exchanges_row("K1"))

    answers = together(engine, write, LOOKS["find"], foreseen=Foreseen("K1", read))
    assert answers == [None, True]


def exchanges_row(key: str) -> dict[str, object]:
    return {**{one.name: getattr(EXCHANGE, one.name) for one in fields(EXCHANGE)}, "message_key": key}


def test_one_whose_rows_are_in_anothers_way_fails_alone(engine: Engine) -> None:
    first, second, third, last = together(engine, put("K1"), put("K2"), put("K1"), put("K3"))

    assert (first, second, last) == ("K1", "K2", "K3")
    assert isinstance(third, IntegrityError)
    assert keys(engine) == {"K1", "K2", "K3"}
    assert recorded(engine) == ["K1", "K2", "K3"]


def test_a_failure_that_somebody_else_takes_for_its_own_is_not_lost(engine: Engine) -> None:
    def look_and_go_on(uow: UnitOfWork) -> str:
        try:
            exchanges.find(uow.connection, "DUIS", "K9", 8)
        except IntegrityError:
            return "took it for its own"
        return "found nothing in its way"

    first, second, third = together(engine, put("K1"), put("K1"), look_and_go_on)

    assert (first, third) == ("K1", "found nothing in its way")
    assert isinstance(second, IntegrityError)
    assert keys(engine) == {"K1"}


def test_a_savepoint_takes_back_what_was_kept_back_within_it_and_nothing_else(engine: Engine) -> None:
    def take_back(uow: UnitOfWork) -> None:
        put("K2")(uow)
        savepoint = uow.connection.begin_nested()
        put("K3")(uow)
        savepoint.rollback()

    together(engine, put("K1"), take_back)
    assert keys(engine) == {"K1", "K2"}


def test_who_cannot_read_ahead_keeps_nobody_from_running(engine: Engine) -> None:
    def read(_uow: UnitOfWork, _sought: Sequence[str]) -> None:
        raise LookupError

    assert together(engine, put("K1"), put("K2"), foreseen=Foreseen("K", read)) == ["K1", "K2"]
    assert keys(engine) == {"K1", "K2"}


def test_requests_of_a_user_are_counted_together_and_one_by_one(engine: Engine) -> None:
    def count(devices: int) -> Callable[[UnitOfWork], tuple[int, int]]:
        return lambda uow: anomalies.count(uow.connection, "E", devices, uow.now)

    assert together(engine, count(1), count(2), count(3)) == [(1, 1), (2, 3), (3, 6)]
    assert together(engine, count(4), nothing) == [(4, 10), None]
    with engine.connect() as connection:
        assert anomalies.counted(connection, "E", NOW) == (4, 10)


def test_every_table_has_a_name_by_which_a_statement_is_found_to_concern_it() -> None:
    assert [name for name in metadata.tables if not re.fullmatch("[a-z_]+", name)] == []


def test_nothing_is_shared_once_a_transaction_has_ended(engine: Engine) -> None:
    together(engine, put("K1"), put("K2"))
    with engine.begin() as connection:
        assert sharing.of(connection) is None


@only_sqlite
def test_what_a_group_of_requests_needs_is_read_once_for_all_of_them(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    hubs = [TestHub(number) for number in range(1, 21)]
    world.add_hubs(hubs)
    world.open_release()
    bodies = [ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)) for hub in hubs]
    processor, read_ahead = world.processor, reading_ahead(world.processor)

    async def story() -> list[str | None]:
        transactions = Transactions(world.instance.engine, world.clock)
        runs = []
        for body in bodies:
            admitted = processor.admit("serviceD", world.signed(A, body, "11.6"), NOW)
            assert isinstance(admitted, Admitted)
            work = lambda uow, it=admitted: processor.execute(uow, it)  # noqa: E731
            runs.append(transactions.run(work, foreseen=Foreseen(admitted, read_ahead)))
        return [answer.code for answer in await asyncio.gather(*runs)]

    with statements_of(world.instance.engine) as made:
        codes = asyncio.run(story())
    world.close()

    assert codes == ["I99"] * len(hubs)
    reads = [statement for statement in made if statement.startswith("SELECT")]
    assert 0 < len(reads) <= 12
    assert sum(statement.startswith("INSERT INTO exchanges") for statement in made) == len(hubs)


@dataclass
class FailingKey:
    """A key that is away at some of the times that it is asked to sign."""

    key: SigningKey
    away_at: frozenset[int]
    asked: int = 0

    @property
    def eui(self) -> str:
        return self.key.eui

    @property
    def issuer_name(self) -> str:
        return self.key.issuer_name

    @property
    def serial(self) -> int:
        return self.key.serial

    def sign(self, data: bytes) -> bytes:
        self.asked += 1
        if self.asked in self.away_at:
            raise KeyUnavailable("the key is away")
        return self.key.sign(data)


def test_a_request_whose_answer_cannot_be_signed_fails_alone(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    hubs = [TestHub(number) for number in range(1, 4)]
    world.add_hubs(hubs)
    world.open_release()
    # Together the second cannot be signed, and it cannot once each is done for itself.
    folder = world.directory / "pki" / "broker"
    key = FailingKey(SoftwareKey.load(folder / "key.pem", folder / "certificate.pem"), frozenset({2, 4}))
    processor = replace(world.processor, signer=Signer(key))
    names, works = [], []
    for hub in hubs:
        body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,))
        admitted = processor.admit("serviceD", world.signed(A, body, "11.6"), NOW)
        assert isinstance(admitted, Admitted)
        names.append(admitted.request.header.request_id.key)
        works.append(partial(processor.execute, admitted=admitted))

    first, second, third = together(world.instance.engine, *works)
    with world.instance.engine.connect() as connection:
        rows = connection.execute(select(table.c.message_key, table.c.answer))
        kept = {row.message_key: row.answer for row in rows}
    world.close()

    assert isinstance(second, KeyUnavailable)
    assert kept == {names[0]: first.body, names[2]: third.body}
