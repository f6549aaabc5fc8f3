"""Which database the tests use: SQLite, or PostgreSQL where SR_ENGINE_TEST_DATABASE says so."""

from __future__ import annotations

import atexit
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event

from sr_engine.configuration import SETTINGS_FILE
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.dialects import SQLITE
from tests.postgres import PostgresServer, postgres_server

KINDS = ("sqlite", "postgresql")
KIND = os.environ.get("SR_ENGINE_TEST_DATABASE", "sqlite")
if KIND not in KINDS:
    raise ValueError(f"SR_ENGINE_TEST_DATABASE is {KIND!r}: it must be one of {', '.join(KINDS)}")

only_sqlite = pytest.mark.skipif(KIND != "sqlite", reason="is about how SQLite is set up")


@cache
def server() -> PostgresServer:
    """One PostgreSQL for all tests of this process, started when it is first needed."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(postgres_server())


@cache
def _prepared() -> str:
    """The name of a database with all tables, which new ones are copied from: faster than making them each time."""
    url = server().new_database()
    engine = open_engine(url)
    create_tables(engine)
    engine.dispose()
    return url.rpartition("/")[2]


def new_url(folder: Path, kind: str = KIND) -> str:
    """The URL of a new database, which is in `folder` if it is SQLite's."""
    return f"sqlite:///{folder}/sr-engine.db" if kind == "sqlite" else server().new_database(template=_prepared())


def empty_url(folder: Path, kind: str = KIND) -> str:
    """As `new_url`, without tables."""
    return f"sqlite:///{folder}/sr-engine.db" if kind == "sqlite" else server().new_database()


def url_of_instance(kind: str = KIND) -> str:
    """The database for a new instance, which is in its folder if it is SQLite's; there is nothing in it yet."""
    return "sqlite:///sr-engine.db" if kind == "sqlite" else server().new_database()


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    """The statements that SQLite executes in the block, with their values, in transactions that begin in it."""
    made: list[str] = []

    def trace(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_trace_callback(made.append)

    def stop(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_trace_callback(None)

    event.listen(engine, "begin", trace, insert=True)
    for end in ("commit", "rollback"):
        event.listen(engine, end, stop)
    try:
        yield made
    finally:
        event.remove(engine, "begin", trace)
        for end in ("commit", "rollback"):
            event.remove(engine, end, stop)


def give_a_copy_of_its_database(directory: Path, server: PostgresServer) -> str:
    """A copied instance gets a copy of the database of the one it was copied from, to which nobody is connected.

    Returns the URL of the copy.
    """
    settings = directory / SETTINGS_FILE
    text = settings.read_text("utf-8")
    (url,) = re.findall(r'^database_url = "(.*)"$', text, flags=re.MULTILINE)
    copy = server.new_database(template=url.rpartition("/")[2])
    settings.write_text(text.replace(url, copy), encoding="utf-8")
    return copy


def give_a_database_of_its_own(directory: Path) -> None:
    """A copied instance shares no database with the one it was copied from; a SQLite file has come along."""
    if KIND == "sqlite":
        return
    settings = directory / SETTINGS_FILE
    url = new_url(directory)
    text = re.sub(r"^database_url = .*$", f'database_url = "{url}"', settings.read_text("utf-8"), flags=re.MULTILINE)
    settings.write_text(text, encoding="utf-8")


def refuse_rows(connection: Connection, table: str, why: str) -> None:
    """The database takes no new row of a table, and says why, as it does when its disk is full."""
    if connection.dialect.name == SQLITE:
        refuse = [f"CREATE TRIGGER refused BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, '{why}'); END"]
    else:
        raising = f"BEGIN RAISE EXCEPTION '{why}' USING ERRCODE = 'disk_full'; END"
        refuse = [
            f"CREATE FUNCTION refused() RETURNS TRIGGER LANGUAGE plpgsql AS $$ {raising} $$",
            f"CREATE TRIGGER refused BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refused()",
        ]
    for statement in refuse:
        connection.exec_driver_sql(statement)


def take_rows_again(connection: Connection, table: str) -> None:
    """What `refuse_rows` has done is undone."""
    if connection.dialect.name == SQLITE:
        connection.exec_driver_sql("DROP TRIGGER refused")
    else:
        connection.exec_driver_sql(f"DROP TRIGGER refused ON {table}")
        connection.exec_driver_sql("DROP FUNCTION refused()")


@contextmanager
def commits_of(engine: Engine) -> Iterator[list[None]]:
    """The commits made in the block, one entry each."""
    made: list[None] = []

    def count(_connection: object) -> None:
        made.append(None)

    event.listen(engine, "commit", count)
    yield made
    event.remove(engine, "commit", count)
