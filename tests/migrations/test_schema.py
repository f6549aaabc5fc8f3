"""`store/tables/` and the revisions say the same, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Index, Integer, MetaData

from sr_engine.store import migrating
from sr_engine.store.database import check_tables, create_tables, open_engine
from sr_engine.store.schema import known_revisions
from sr_engine.store.tables import metadata
from tests.databases import KINDS, empty_url
from tests.migrations.describing import describe, differences
from tests.migrations.new_revision import write

ADVICE = 'a change of store/tables/ needs a revision: make revision NAME="what it does", then read what it wrote\n'


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engines(tmp_path: Path, kind: str) -> Iterator[tuple[Engine, Engine]]:
    """Two empty databases."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    one, other = (open_engine(empty_url(folder, kind), durable=False) for folder in folders)
    yield one, other
    one.dispose()
    other.dispose()


def described(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return describe(connection)


def make(engine: Engine, tables: MetaData = metadata) -> dict[str, str]:
    with engine.begin() as connection:
        tables.create_all(connection)
    return described(engine)


def test_the_revisions_make_what_tables_py_says(engines: tuple[Engine, Engine]) -> None:
    migrating.upgrade(engines[1])
    differ = differences(make(engines[0]), described(engines[1]))
    assert not differ, ADVICE + "\n".join(differ)


def test_a_new_database_is_what_the_revisions_make(engines: tuple[Engine, Engine]) -> None:
    create_tables(engines[0])
    migrating.upgrade(engines[1])
    check_tables(engines[0])
    assert described(engines[0]) == described(engines[1])


def test_a_column_and_an_index_without_a_revision_are_named(engines: tuple[Engine, Engine]) -> None:
    changed = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        table.to_metadata(changed)
    changed.tables["counters"].append_column(Column("step", Integer))
    Index("ix_counters_value", changed.tables["counters"].c.value)
    migrating.upgrade(engines[1])
    differ = differences(make(engines[0], changed), described(engines[1]))
    assert [line.partition(":")[0] for line in differ] == ["counters.step", "index ix_counters_value"]


def test_the_revisions_follow_one_another_and_each_says_from_where_programs_work_on_it() -> None:
    scripts = migrating.scripts_in()
    known = known_revisions()
    assert tuple(one.revision for one in scripts) == known
    assert [one.down_revision for one in scripts] == [None, *known[:-1]]
    for number, script in enumerate(scripts):
        # Never something that comes later; and what worked once is not promised again after it was given up.
        assert script.module.works_from in known[: number + 1]
    assert [one.module.works_from for one in scripts] == sorted(one.module.works_from for one in scripts)


def test_a_first_revision_written_anew_makes_the_same(tmp_path: Path, engines: tuple[Engine, Engine]) -> None:
    folder = tmp_path / "revisions"
    folder.mkdir()
    write("All at once", folder)
    migrating.upgrade(engines[0], folder=folder)
    migrating.upgrade(engines[1])
    assert described(engines[0]) == described(engines[1])
