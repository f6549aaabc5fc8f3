"""A database is brought forward with what is in it, by one at a time, beside processes of the version before."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    inspect,
    select,
    text,
)

from sr_engine.store import migrating
from sr_engine.store.database import DatabaseError, check_tables, create_tables, open_engine
from sr_engine.store.migrating import ProcessesInTheWay
from sr_engine.store.schema import REVISIONS, Standing, known_revisions, state_of
from sr_engine.store.tables import counters
from tests.databases import empty_url, new_url
from tests.migrations.conftest import standing
from tests.world import NOW, SECONDS

NEWEST = known_revisions()[-1]
NEXT, AFTER = (f"{int(NEWEST) + number:04}" for number in (1, 2))
ADDS_A_COLUMN = """
    op.add_column("counters", sa.Column("step", sa.Integer(), nullable=False, server_default="1"))
"""
WRITES_A_TABLE_ANEW = """
    with op.batch_alter_table("releases") as table:
        table.alter_column("image_hash", type_=sa.String(80), existing_type=sa.String(64))
"""
BREAKS_OFF = """
    op.add_column("counters", sa.Column("step", sa.Integer(), nullable=True))
    op.execute("INSERT INTO nowhere VALUES (1)")
"""


@pytest.fixture
def engine(tmp_path: Path, kind: str) -> Iterator[Engine]:
    """An empty database."""
    engine = open_engine(empty_url(tmp_path, kind), durable=False)
    yield engine
    engine.dispose()


@pytest.fixture
def made(tmp_path: Path, kind: str) -> Iterator[Engine]:
    """A database of the newest revision."""
    engine = open_engine(new_url(tmp_path, kind), durable=False)
    create_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The revisions there are, to which a test adds."""
    copy = tmp_path / "revisions"
    shutil.copytree(REVISIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def add(folder: Path, revision: str, body: str, *, works_from: str = NEWEST) -> None:
    lines = [
        "import sqlalchemy as sa",
        "from alembic import op",
        f'revision, down_revision, works_from = "{revision}", "{int(revision) - 1:04}", "{works_from}"',
        f"def upgrade():\n{body}",
    ]
    (folder / f"r{revision}_of_a_test.py").write_text("\n".join(lines), encoding="utf-8")


# --- what is in it ------------------------------------------------------------------------------------------------


def a_value(column: Column[object], number: int) -> object:
    match column.type:
        case Boolean():
            return True
        case BigInteger() | Integer():
            return number
        case DateTime():
            return datetime(2026, 11, 23, 9, tzinfo=UTC) + timedelta(hours=number)
        case Date():
            return date(2026, 11, number)
        case LargeBinary():
            return b"\x00\xff%d" % number
        case _:
            return f"{column.name[:6]}{number}"[: getattr(column.type, "length", None)]


def fill(engine: Engine) -> dict[str, list[dict[str, object]]]:
    """Two rows in every table; a row refers to the one of its number."""
    found = MetaData()
    with engine.begin() as connection:
        found.reflect(connection)
        rows: dict[str, list[dict[str, object]]] = {}
        for table in found.sorted_tables:
            if table.name in {"alembic_version", "schema_support"}:
                continue
            rows[table.name] = []
            for number in (1, 2):
                row: dict[str, object] = {}
                for column in table.columns:
                    target = next(iter(column.foreign_keys), None)
                    same = target is not None and target.column.table is not table
                    row[column.name] = (
                        rows[target.column.table.name][number - 1][target.column.name]
                        if target is not None and same
                        else None
                        if target is not None
                        else a_value(column, number)
                    )
                connection.execute(table.insert().values(row))
                rows[table.name].append(row)
    return rows


def test_what_a_database_of_the_first_revision_holds_is_there_afterwards(engine: Engine) -> None:
    with engine.begin() as connection:
        migrating.create(connection, up_to="0001")
    rows = fill(engine)

    migrating.upgrade(engine, stopped=True)

    check_tables(engine)
    now = MetaData()
    with engine.connect() as connection:
        now.reflect(connection)
        for name, before in rows.items():
            table = now.tables[name]
            kept = [column for column in table.columns if column.name in before[0]]
            key = list(table.primary_key.columns)
            found = [dict(row._mapping) for row in connection.execute(select(*kept).order_by(*key))]
            for row in found:
                for column, value in row.items():
                    if isinstance(value, datetime) and value.tzinfo is None:
                        row[column] = value.replace(tzinfo=UTC)
            assert found == [{one: row[one] for one in found[0]} for row in before], name


def test_a_table_that_others_refer_to_is_written_anew_with_all_its_rows(made: Engine, folder: Path) -> None:
    fill(made)
    add(folder, NEXT, WRITES_A_TABLE_ANEW)
    migrating.upgrade(made, folder=folder)
    with made.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM releases")) == 2
        assert connection.scalar(text("SELECT count(*) FROM attempts")) == 2
        (column,) = (one for one in inspect(connection).get_columns("releases") if one["name"] == "image_hash")
        assert isinstance(column["type"], String)
        assert column["type"].length == 80
    if made.dialect.name == "sqlite":
        with made.begin() as connection, pytest.raises(Exception, match="FOREIGN KEY"):
            connection.execute(text("DELETE FROM releases"))


# --- one at a time ------------------------------------------------------------------------------------------------


def test_of_two_upgrades_at_once_one_waits_and_finds_it_done(made: Engine, folder: Path) -> None:
    add(folder, NEXT, ADDS_A_COLUMN)
    add(folder, AFTER, WRITES_A_TABLE_ANEW)
    url = made.url.render_as_string(hide_password=False)
    start, applied = threading.Barrier(2), list[str]()

    def bring_forward() -> None:
        own = open_engine(url, durable=False)
        start.wait()
        migrating.upgrade(own, folder=folder, after_each=applied.append)
        own.dispose()

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(bring_forward) for _ in range(2)]:
            one.result()
    assert sorted(applied) == [NEXT, AFTER]
    assert standing(made, known_revisions(folder)) is Standing.CURRENT


def test_who_looks_at_a_table_for_long_holds_up_the_upgrade_and_nobody_else(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, where a table that is looked at cannot be changed."""
    add(folder, NEXT, ADDS_A_COLUMN)
    url = new_url(tmp_path, "postgresql")
    engine, reading = open_engine(url), open_engine(url, read_only=True)
    gave_way = threading.Event()
    pauses = threading.Semaphore(0)

    def pause(_: float) -> None:
        gave_way.set()
        pauses.acquire(timeout=SECONDS)

    monkeypatch.setattr("sr_engine.store.migrating.time.sleep", pause)
    with ThreadPoolExecutor(1) as pool:
        with reading.connect() as looking:
            looking.execute(select(counters)).all()
            upgrading = pool.submit(migrating.upgrade, engine, folder=folder)
            assert gave_way.wait(SECONDS)
            with engine.begin() as connection:
                connection.execute(counters.insert().values(name="meanwhile", value=1))
            assert standing(engine) is Standing.CURRENT
        pauses.release()
        upgrading.result(SECONDS)
    assert standing(engine, known_revisions(folder)) is Standing.CURRENT
    monkeypatch.setattr(migrating, "_TRIES", 1)
    add(folder, AFTER, 'op.add_column("counters", sa.Column("more", sa.Integer()))'.rjust(60))
    with reading.connect() as looking:
        looking.execute(select(counters)).all()
        with pytest.raises(DatabaseError, match="somebody has been looking at a table"):
            migrating.upgrade(engine, folder=folder)
    engine.dispose()
    reading.dispose()


def test_a_revision_that_fails_changes_nothing_and_those_before_it_stay(made: Engine, folder: Path) -> None:
    add(folder, NEXT, WRITES_A_TABLE_ANEW)
    add(folder, AFTER, BREAKS_OFF)
    with pytest.raises(Exception, match="nowhere"):
        migrating.upgrade(made, folder=folder)
    with made.connect() as connection:
        assert state_of(connection, known_revisions(folder)).pending == (AFTER,)
        assert {one["name"] for one in inspect(connection).get_columns("counters")} == {"name", "value"}


# --- beside processes of the version before -----------------------------------------------------------------------


def test_processes_of_the_version_before_go_on_with_what_was_only_added(made: Engine, folder: Path) -> None:
    add(folder, NEXT, ADDS_A_COLUMN)
    migrating.upgrade(made, folder=folder)

    check_tables(made)
    assert standing(made) is Standing.NEWER
    with made.begin() as connection:
        connection.execute(counters.insert().values(name="of the version before", value=1))
    create_tables(made)
    assert standing(made) is Standing.NEWER


def test_what_would_stop_processes_that_serve_is_refused_unless_there_are_none(made: Engine, folder: Path) -> None:
    add(folder, NEXT, ADDS_A_COLUMN)
    add(folder, AFTER, WRITES_A_TABLE_ANEW, works_from=NEXT)
    with pytest.raises(ProcessesInTheWay, match=f"{NEWEST}, .* cannot work on it after {AFTER}: .* --all-stopped"):
        migrating.upgrade(made, folder=folder)
    assert standing(made, known_revisions(folder)) is Standing.PENDING

    # By way of the version between nobody is stopped.
    migrating.upgrade(made, folder=folder, up_to=NEXT)
    check_tables(made)
    migrating.upgrade(made, folder=folder)
    with pytest.raises(DatabaseError, match=f"revision {AFTER}, which this version .* cannot work on"):
        check_tables(made)


def test_no_program_that_knows_nothing_of_pruning_works_beside_one_that_prunes(engine: Engine) -> None:
    """It would answer a repeat of what was pruned with nothing."""
    with engine.begin() as connection:
        migrating.create(connection, up_to="0001")
    with pytest.raises(ProcessesInTheWay, match="--all-stopped"):
        migrating.upgrade(engine)
    migrating.upgrade(engine, stopped=True)
    assert standing(engine, ("0001",)) is Standing.UNKNOWN


def test_with_all_stopped_it_goes_through_in_one(made: Engine, folder: Path) -> None:
    add(folder, NEXT, ADDS_A_COLUMN, works_from=NEXT)
    migrating.upgrade(made, folder=folder, stopped=True)
    assert standing(made) is Standing.UNKNOWN
    with pytest.raises(DatabaseError, match="use the version that brought it forward"):
        create_tables(made)
    with pytest.raises(DatabaseError, match="use the version that brought it forward"):
        migrating.upgrade(made)


@pytest.mark.parametrize("name", ["counters", "alembic_version"])
def test_a_database_that_says_no_revision_of_ours_is_refused(engine: Engine, name: str) -> None:
    """It may be from before revisions were kept, or another program's that has tables called like ours."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} (version_num VARCHAR(32))")
        connection.exec_driver_sql(f"INSERT INTO {name} VALUES ('4f1c0a')")
    for use in (check_tables, create_tables, migrating.upgrade, partial(migrating.upgrade, now=NOW, stopped=True)):
        with pytest.raises(
            DatabaseError, match=r"another program's, or was made before revisions .* an empty database"
        ):
            use(engine)
