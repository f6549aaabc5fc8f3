"""Long lists of rows: written like short ones."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, bindparam, func, not_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from sr_engine.store.bulk import execute_columns, execute_many
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import counters, outbox, sla_breaches, trigger_runs
from tests.world import NOW

LENGTHS = [0, 1, 7, 8, 49, 50, 99, 100, 1000]
_BREACH = {"found_at": NOW, "number": 1, "judged_up_to": NOW}


@pytest.mark.parametrize("length", LENGTHS)
def test_rows_of_every_type_come_back_as_they_were(engine: Engine, length: int) -> None:
    rows = [
        {
            "message_id": f"m{n}",
            "kind": "alert",
            "destination": "user:A",
            "hub_id": None if n % 2 else f"hub-{n}",
            "event": "e",
            "body": f"<m>{n}</m>".encode(),
            "sha256": f"{n:064x}",
            "created_at": NOW,
            "state": "Pending",
            "tries": n,
            "next_try_at": NOW + timedelta(seconds=n % 3),
        }
        for n in range(length)
    ]
    with engine.begin() as connection:
        execute_many(connection, outbox.insert(), rows)
        found = connection.execute(
            select(*(outbox.c[name] for name in rows[0])).order_by(outbox.c.outbox_id) if rows else select(outbox)
        )
        assert [dict(row) for row in found.mappings()] == rows


@pytest.mark.parametrize("length", [2, 8, 50, 100])
def test_rows_one_of_which_is_there_already_are_refused_as_any_database_error_is(engine: Engine, length: int) -> None:
    rows = [{"name": f"n{n}", "value": n} for n in (*range(length - 1), 0)]

    with pytest.raises(IntegrityError), engine.begin() as connection:
        execute_many(connection, counters.insert(), rows)

    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(counters)) == 0


@pytest.mark.parametrize("length", LENGTHS)
def test_an_update_uses_the_values_of_each_row_and_those_that_all_share(engine: Engine, length: int) -> None:
    with engine.begin() as connection:
        execute_many(
            connection,
            trigger_runs.insert(),
            [{"region": f"r{n}", "trigger": "t", "period_start": NOW, "done_at": NOW} for n in range(length)],
        )
        execute_many(
            connection,
            trigger_runs.update()
            .where(trigger_runs.c.region == bindparam("key"))
            .values(trigger="changed", done_at=bindparam("at")),
            [{"key": f"r{n}", "at": NOW + timedelta(seconds=n)} for n in range(length)],
        )
        found = connection.execute(select(trigger_runs)).all()
    assert {(row.region, row.trigger, row.done_at) for row in found} == {
        (f"r{n}", "changed", NOW + timedelta(seconds=n)) for n in range(length)
    }


@pytest.mark.parametrize("length", LENGTHS)
def test_rows_that_are_there_are_replaced_if_the_statement_says_so(engine: Engine, length: int) -> None:
    statement = insert(counters)
    statement = statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
    with engine.begin() as connection:
        for value in (1, 2):
            execute_many(connection, statement, [{"name": f"n{n}", "value": value} for n in range(length)])
        assert connection.scalar(select(func.count()).select_from(counters)) == length
        assert set(connection.scalars(select(counters.c.value))) == ({2} if length else set())


def test_any_number_of_values_may_be_asked_for_at_once(engine: Engine) -> None:
    with engine.begin() as connection:
        execute_many(connection, counters.insert(), [{"name": f"n{n}", "value": n} for n in range(10)])
        statement = select(counters.c.value).where(is_one_of(counters.c.name, "names"))
        for values, expected in (
            ([], []),
            (["n3", "n4", "other", "n3"], [3, 4]),
            ([f"n{n}" for n in range(50_000)], list(range(10))),
        ):
            found = connection.scalars(statement, {"names": members(values)})
            assert sorted(found) == expected


@pytest.mark.parametrize("values", [[], ["n3"], ["n3", "n4"]], ids=len)
def test_all_but_some_may_be_asked_for_however_few_these_are(engine: Engine, values: list[str]) -> None:
    others = Prepared(select(counters.c.name).where(not_(is_one_of(counters.c.name, "names"))))
    with engine.begin() as connection:
        execute_many(connection, counters.insert(), [{"name": f"n{n}", "value": n} for n in range(5)])
        found = {row.name for row in others.all(connection, {"names": members(values)})}
    assert found == {f"n{n}" for n in range(5)} - set(values)


@pytest.mark.parametrize("length", LENGTHS[1:])
def test_what_is_the_same_in_every_row_need_be_given_once(engine: Engine, length: int) -> None:
    add = Prepared(trigger_runs.insert())
    change = Prepared(
        trigger_runs.update()
        .where(trigger_runs.c.region == bindparam("key"), trigger_runs.c.trigger == "t")
        .values(done_at=bindparam("at"))
    )
    regions = [f"r{n}" for n in range(length)]
    with engine.begin() as connection:
        execute_columns(connection, add, {"region": regions}, {"trigger": "t", "period_start": NOW, "done_at": NOW})
        execute_columns(connection, change, {"key": regions}, {"at": NOW + timedelta(hours=1)})
        found = connection.execute(select(trigger_runs)).all()
    assert {tuple(row) for row in found} == {(name, "t", NOW, NOW + timedelta(hours=1)) for name in regions}


@pytest.mark.parametrize("length", LENGTHS[1:])
def test_rows_that_differ_in_one_text_have_it_as_it_was_given(engine: Engine, length: int) -> None:
    statement = insert(counters)
    put = Prepared(statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value}))
    odd = ["a \"b\" 'c'", "\\n[1, 2]", "null", "7", "Zoë \N{SNOWMAN} \N{GRINNING FACE}", "two\nlines", ""]
    names = [f"{odd[n % len(odd)]}{n or ''}" for n in range(length)]
    with engine.begin() as connection:
        for value in (1, 2):
            execute_columns(connection, put, {"name": names}, {"value": value})
        assert {tuple(row) for row in connection.execute(select(counters))} == {(name, 2) for name in names}


def test_rows_that_are_all_alike_are_as_many_as_were_given(engine: Engine) -> None:
    add = Prepared(sla_breaches.insert())
    with engine.begin() as connection:
        execute_columns(connection, add, {"region": ["r"] * 60, "measure": ["m"] * 60}, _BREACH)
        assert connection.scalar(select(func.count()).select_from(sla_breaches)) == 60
