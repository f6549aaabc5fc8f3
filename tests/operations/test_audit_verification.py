"""Whatever is done to the audit trail behind the processor's back is found, and said."""

from __future__ import annotations

import shutil
import sqlite3
import tracemalloc
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sr_engine.clock import FixedClock
from sr_engine.operations.audit_verification import Break, Verification, Wrong, verify
from sr_engine.store import audit
from sr_engine.store.audit import Entry
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.tables import audit as records
from sr_engine.store.transactions import Transactions
from tests.world import NOW

MINUTE = timedelta(minutes=1)
SIZES = (1, 2, 3, 1)
"""Records of each link: 1 | 2 3 | 4 5 6 | 7."""


def write(engine: Engine, sizes: tuple[int, ...] = SIZES) -> None:
    """A transaction a minute, with so many records each."""
    number = 0
    for index, size in enumerate(sizes):
        at = NOW + index * MINUTE
        entries = []
        for _ in range(size):
            number += 1
            entries.append(
                Entry(at, "user:a", "attempt listed", f"no. {number}", "k", "r", "Scheduled", "Listed", ("h", "i"), 1)
                if number % 2
                else Entry(at, "operator", "größer", "")
            )
        Transactions(engine, FixedClock(at)).run_now(lambda uow: audit.record(uow.connection, entries))  # noqa: B023 - used at once


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a trail that nobody has touched."""
    path = tmp_path_factory.mktemp("trail") / "trail.db"
    engine = open_engine(f"sqlite:///{path}")
    create_tables(engine)
    write(engine)
    engine.dispose()
    return path


class Trail:
    """A copy of it, to do with as one likes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tamper(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()

    def verify(self, *heads: bytes) -> Verification:
        engine = open_engine(f"sqlite:///{self.path}", read_only=True)
        try:
            with engine.connect() as connection:
                return verify(connection, [], heads)
        finally:
            engine.dispose()

    def broken(self) -> Break:
        (chain,) = self.verify().chains
        assert chain.broken is not None
        return chain.broken


@pytest.fixture
def trail(written: Path, tmp_path: Path) -> Trail:
    return Trail(Path(shutil.copy(written, tmp_path)))


def test_a_trail_nobody_touched_is_intact(trail: Trail) -> None:
    found = trail.verify()

    (chain,) = found.chains
    assert found.intact
    assert (chain.chain_id, chain.writer, chain.links, chain.records) == (1, "processor", 4, 7)
    assert trail.verify(chain.head or b"").intact


NEW = (
    "INSERT INTO audit (audit_id, chain_id, at, actor, action, hub_count, detail) "
    "VALUES ({}, {}, '2026-11-23 09:00:00.000000', 'operator', 'test', 0, '')"
)
CHANGED, MISSING, INSERTED, UNLINKED = Wrong.RECORD_CHANGED, Wrong.RECORD_MISSING, Wrong.RECORD_INSERTED, Wrong.UNLINKED
LINK, NO_LINK = Wrong.LINK_CHANGED, Wrong.LINK_MISSING


@pytest.mark.parametrize(
    ("statement", "wrong", "link", "numbers"),
    [
        ("UPDATE audit SET detail = 'other' WHERE audit_id = 5", CHANGED, 3, (4, 6)),
        ("UPDATE audit SET at = replace(at, ' ', 'T') WHERE audit_id = 1", CHANGED, 1, (1, 1)),
        ("UPDATE audit SET actor = CAST(actor AS BLOB) WHERE audit_id = 1", CHANGED, 1, (1, 1)),
        ("UPDATE audit SET detail = CAST(x'FF' AS TEXT) WHERE audit_id = 3", CHANGED, 2, (2, 3)),
        ("UPDATE audit SET hub_count = 2.5 WHERE audit_id = 3", CHANGED, 2, (2, 3)),
        ("UPDATE audit SET audit_id = audit_id + 100 WHERE audit_id = 7", MISSING, 4, (7, 7)),
        ("DELETE FROM audit WHERE audit_id = 5", MISSING, 3, (5, 5)),
        ("DELETE FROM audit WHERE audit_id = 6", MISSING, 3, (6, 6)),
        ("DELETE FROM audit WHERE audit_id IN (2, 3)", MISSING, 2, (2, 3)),
        ("DELETE FROM audit WHERE audit_id = 7", MISSING, 4, (7, 7)),
        ("DELETE FROM audit", MISSING, 1, (1, 1)),
        (NEW.format(0, 1), INSERTED, None, (0, 0)),
        (NEW.format(-5, 1), INSERTED, None, (-5, -5)),
        (NEW.format(8, 1), UNLINKED, None, (8, 8)),
        (NEW.format(500, 1), UNLINKED, None, (500, 500)),
        ("DELETE FROM audit_links WHERE number = 1", NO_LINK, 1, (1, 3)),
        ("DELETE FROM audit_links WHERE number = 2", NO_LINK, 2, (2, 6)),
        ("DELETE FROM audit_links WHERE number = 4", UNLINKED, None, (7, 7)),
        ("DELETE FROM audit_links", UNLINKED, None, (1, 7)),
        ("UPDATE audit_links SET number = 9 WHERE number = 4", NO_LINK, 4, (7, 7)),
        ("UPDATE audit_links SET number = 0 WHERE number = 1", LINK, None, None),
        ("UPDATE audit_links SET number = 'four' WHERE number = 4", LINK, 4, None),
        ("UPDATE audit_links SET hash = zeroblob(32) WHERE number = 2", LINK, 2, (2, 3)),
        ("UPDATE audit_links SET hash = zeroblob(32) WHERE number = 4", CHANGED, 4, (7, 7)),
        ("UPDATE audit_links SET hash = CAST(x'FF' AS TEXT) WHERE number = 2", LINK, 2, None),
        ("UPDATE audit_links SET last_audit_id = 2 WHERE number = 2", LINK, 2, (2, 2)),
        ("UPDATE audit_links SET last_audit_id = 5 WHERE number = 2", LINK, 2, (2, 5)),
        ("UPDATE audit_links SET last_audit_id = 9 WHERE number = 4", LINK, 4, (7, 9)),
        ("UPDATE audit_links SET last_audit_id = 1 WHERE number = 2", LINK, 2, None),
        ("UPDATE audit_links SET last_audit_id = 'all' WHERE number = 2", LINK, 2, None),
        ("INSERT INTO audit_links VALUES (1, 5, 7, zeroblob(32))", LINK, 5, None),
        ("INSERT INTO audit_checkpoints VALUES (1, 'x', 3, x'00', '', x'')", Wrong.CHECKPOINT, None, None),
        ("INSERT INTO audit_checkpoints VALUES (1, 2, 3, x'00', '', x'')", Wrong.CHECKPOINT, 2, None),
    ],
)
def test_the_first_break_is_named(
    trail: Trail, statement: str, wrong: Wrong, link: int | None, numbers: tuple[int, int] | None
) -> None:
    trail.tamper(statement)

    found = trail.broken()

    assert (found.wrong, found.link, found.records) == (wrong, link, numbers)


def test_a_break_says_when_it_happened_and_which_of_two_things_it_may_be(trail: Trail) -> None:
    trail.tamper("UPDATE audit SET detail = 'other' WHERE audit_id = 5")
    assert str(trail.broken()) == (
        "link 3, 2026-11-23 09:02:00Z, records 4 to 6: record changed: one of them is not what was linked"
    )

    trail.tamper("UPDATE audit SET detail = '' WHERE audit_id = 7", "DELETE FROM audit_links WHERE number < 4")
    assert str(trail.broken()) == (
        "link 1, 2026-11-23 09:00:00Z, records 1 to 7: link missing: the chain has no beginning"
    )


def test_of_the_last_link_it_is_said_that_it_may_itself_have_been_changed(trail: Trail) -> None:
    trail.tamper("UPDATE audit SET at = 'never' WHERE audit_id = 7")

    assert str(trail.broken()) == (
        "link 4, record 7: record changed: it is not what was linked, or else the hash of the link was changed: it is "
        "the last, and none after it tells"
    )


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE audit SET chain_id = 2 WHERE audit_id = 5", "record 5: chain not registered"),
        ("DELETE FROM audit_chains", "record 1: chain not registered"),
        (NEW.format(8, "x'FF'"), "record 8: chain not registered"),
        ("INSERT INTO audit_links VALUES (2, 1, 1, x'00')", "a link or checkpoint is in none of the chains above"),
        ("INSERT INTO audit_checkpoints VALUES (2, 1, 1, x'00', '', x'')", "a link or checkpoint is in none"),
    ],
)
def test_what_is_in_no_registered_chain_is_found(trail: Trail, statement: str, says: str) -> None:
    trail.tamper(statement)

    found = trail.verify()

    assert not found.intact
    assert any(says in str(stray) for stray in found.strays)


class TestHeads:
    """What no walk can find by itself, for the chain that is left is one that could have been written."""

    def cut_off(self, trail: Trail) -> bytes:
        """Takes the newest link away with its records; returns the hash it had."""
        head = trail.verify().chains[0].head
        assert head is not None
        trail.tamper("DELETE FROM audit WHERE audit_id = 7", "DELETE FROM audit_links WHERE number = 4")
        return head

    def test_a_trail_that_was_cut_off_lacks_the_head_that_was_noted(self, trail: Trail) -> None:
        head = self.cut_off(trail)

        assert trail.verify().intact
        found = trail.verify(head)
        assert (found.intact, found.heads_missing) == (False, (head,))

    def test_so_does_one_that_was_written_anew(self, trail: Trail) -> None:
        head = self.cut_off(trail)
        engine = open_engine(f"sqlite:///{trail.path}")
        write(engine, (1,))
        engine.dispose()

        assert trail.verify().chains[0].links == 4
        assert trail.verify(head).heads_missing == (head,)

    def test_one_that_went_on_has_it_still(self, trail: Trail) -> None:
        head = trail.verify().chains[0].head or b""
        engine = open_engine(f"sqlite:///{trail.path}")
        write(engine, (2, 1))
        engine.dispose()

        assert trail.verify(head).intact


_COLUMNS = [column.name for column in records.columns]


@pytest.fixture(scope="module")
def open_trail(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    path = shutil.copy(written, tmp_path_factory.mktemp("open"))
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@settings(max_examples=150, deadline=None)
@given(
    record=st.integers(1, sum(SIZES)),
    column=st.sampled_from(_COLUMNS),
    place=st.integers(0, 30),
    change=st.integers(1, 255),
    kind=st.sampled_from(["TEXT", "BLOB", "INTEGER"]),
)
def test_no_byte_of_any_column_of_any_record_can_be_changed(
    open_trail: Engine, *, record: int, column: str, place: int, change: int, kind: str
) -> None:
    def stored() -> object:
        select = f"SELECT typeof({column}), CAST({column} AS BLOB) FROM audit WHERE audit_id = ?"
        return connection.exec_driver_sql(select, (record,)).one_or_none()

    with open_trail.connect() as connection:
        before = stored()
        data = bytearray(before[1] or b"\0")  # type: ignore[index]  # the record is there
        data[place % len(data)] ^= change
        # A number that no other record has.
        value: object = bytes(data) if column != "audit_id" else sum(SIZES) + change * 2**place
        to = "?" if column == "audit_id" else f"CAST(? AS {kind})"
        try:
            connection.exec_driver_sql(f"UPDATE audit SET {column} = {to} WHERE audit_id = ?", (value, record))
            assume(stored() != before)
            found = verify(connection, [])
        finally:
            connection.rollback()

    assert not found.intact


def test_memory_does_not_grow_with_the_trail(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/long.db")
    create_tables(engine)
    detail = "x" * 200_000
    for _ in range(40):
        Transactions(engine, FixedClock(NOW)).run_now(
            lambda uow: audit.record(uow.connection, [Entry(NOW, "operator", "test", detail)] * 2)
        )

    tracemalloc.start()
    try:
        with engine.connect() as connection:
            found = verify(connection, [])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        engine.dispose()

    assert (found.intact, found.chains[0].records) == (True, 80)
    assert peak < 10 * len(detail)
