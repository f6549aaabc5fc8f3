"""The database: what was committed is there after a kill, and times are in UTC."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import StatementError

from sr_engine.cli.opening import fully_opened
from sr_engine.store.bulk import execute_columns
from sr_engine.store.database import DatabaseError, check_tables, create_tables, in_transaction, open_engine
from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import UtcDateTime, counters, outbox, trigger_runs
from tests.databases import only_sqlite
from tests.world import NOW, make_world

CHILD = """
import asyncio, sys
from sr_engine.clock import SystemClock
from sr_engine.store.database import open_engine
from sr_engine.store.tables import counters
from sr_engine.store.transactions import Transactions

transactions = Transactions(open_engine(sys.argv[1]), SystemClock())

def write(number):
    def work(unit_of_work):
        unit_of_work.connection.execute(counters.insert().values(name=f"n{number}", value=number))
        return number
    return work

async def main():
    number = 0
    while True:
        for done in await asyncio.gather(*(transactions.run(write(number + n)) for n in range(5))):
            print(done, flush=True)
        number += 5

asyncio.run(main())
"""


@pytest.mark.parametrize("answers", [1, 7, 60])
def test_what_was_answered_is_found_after_the_process_was_killed(tmp_path: Path, answers: int) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_engine(url)
    create_tables(engine)
    engine.dispose()
    with subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        answered = [int(child.stdout.readline()) for _ in range(answers)]
        os.kill(child.pid, signal.SIGKILL)
        answered += [int(line) for line in child.stdout if line.endswith("\n")]
    assert child.returncode == -signal.SIGKILL

    engine = open_engine(url)
    with engine.connect() as connection:
        found = set(connection.scalars(select(counters.c.value)))
        assert connection.scalar(text("PRAGMA integrity_check")) == "ok"
    engine.dispose()
    assert set(answered) <= found
    # A transaction is there whole or not at all.
    assert len(found) % 5 == 0


@only_sqlite
def test_commits_wait_for_the_disk(engine: Engine) -> None:
    with engine.connect() as connection:
        pragmas = {
            name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


@only_sqlite
def test_so_do_those_of_an_instance_as_it_is_served(tmp_path: Path) -> None:
    make_world(tmp_path / "instance").close()
    with fully_opened(tmp_path / "instance") as instance, instance.engine.connect() as connection:
        assert connection.scalar(text("PRAGMA synchronous")) == 2


def test_a_reader_is_not_held_up_by_a_writer_and_sees_what_was_committed(engine: Engine) -> None:
    reading = open_engine(engine.url.render_as_string(hide_password=False), read_only=True)
    with engine.begin() as writing:
        writing.execute(insert(counters).values(name="n", value=1))
        with reading.connect() as connection:
            assert connection.scalar(select(counters.c.value)) is None
    with reading.connect() as connection:
        assert connection.scalar(select(counters.c.value)) == 1
    reading.dispose()


def test_other_databases_are_refused_by_name() -> None:
    with pytest.raises(DatabaseError, match="only sqlite and postgresql URLs are supported, not 'mysql'"):
        open_engine("mysql+pymysql://somewhere/db")
    with pytest.raises(DatabaseError, match="this is no database URL"):
        open_engine("somewhere")


def test_tables_and_columns_that_somebody_took_away_are_named(engine: Engine) -> None:
    check_tables(engine)
    with engine.begin() as connection:
        outbox.drop(connection)
        connection.execute(text("ALTER TABLE counters DROP COLUMN value"))
    with pytest.raises(DatabaseError, match=r"lacks counters\.value, outbox\.body"):
        check_tables(engine)


@only_sqlite
def test_it_is_known_whether_the_database_has_ended_a_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(select(counters))
        assert in_transaction(connection)
        connection.exec_driver_sql("ROLLBACK")
        assert not in_transaction(connection)


# --- times -----------------------------------------------------------------------------------------------------------


def test_a_time_without_zone_is_refused(engine: Engine) -> None:
    naive = datetime(2026, 11, 23, 9)  # noqa: DTZ001 - naive on purpose
    with engine.connect() as connection, pytest.raises(StatementError, match="a time without zone cannot be stored"):
        connection.execute(insert(trigger_runs).values(region="R", trigger="t", period_start=naive, done_at=NOW))


@given(
    moment=st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1)),  # noqa: DTZ001 - the zone is drawn apart
    offset=st.integers(-14 * 60, 14 * 60),
)
def test_a_time_comes_back_as_the_same_instant_in_utc(moment: datetime, offset: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    engine = open_engine("sqlite://")
    with engine.connect() as connection:
        kind = UtcDateTime().dialect_impl(connection.dialect)
        written = kind.bind_processor(connection.dialect)
        read = kind.result_processor(connection.dialect, None)
        assert written is not None
        assert read is not None
        back = read(written(aware))
    engine.dispose()
    assert back is not None
    assert (back, back.tzinfo) == (aware, UTC)


@pytest.mark.parametrize("many", [False, True])
def test_the_two_instants_of_an_hour_that_comes_twice_are_two(engine: Engine, many: bool) -> None:
    # Python takes the two for equal: values of one zone compare by what the clock shows.
    twice = [datetime(2026, 10, 25, 1, 30, tzinfo=ZoneInfo("Europe/London"), fold=fold) for fold in (0, 1)]
    add = Prepared(trigger_runs.insert())
    columns: dict[str, Sequence[object]] = {"region": ["0", "1"], "period_start": twice}
    alike = {"trigger": "t", "done_at": NOW}
    with engine.begin() as connection:
        if many:
            execute_columns(connection, add, columns, alike)
        else:
            for region, start in zip(*columns.values(), strict=True):
                add.run(connection, {"region": region, "period_start": start, **alike})
        found = connection.scalars(select(trigger_runs.c.period_start).order_by(trigger_runs.c.region)).all()
    assert [one.hour for one in found] == [0, 1]


def test_stored_times_sort_as_instants(engine: Engine) -> None:
    paris = timezone(timedelta(hours=1))
    moments = [NOW, (NOW + timedelta(minutes=30)).astimezone(paris), NOW + timedelta(hours=1, microseconds=1)]
    with engine.begin() as connection:
        for number, moment in enumerate(reversed(moments)):
            connection.execute(
                insert(trigger_runs).values(region=str(number), trigger="t", period_start=moment, done_at=NOW)
            )
        found = connection.scalars(select(trigger_runs.c.period_start).order_by(trigger_runs.c.period_start)).all()
    assert found == moments
