"""Several statements in one trip to PostgreSQL, where the driver makes a trip of each.

What a trip costs is mostly not what it asks: the two processes wake each other, and whoever waits lets go of the
interpreter. So what is written without anybody waiting for its result, and what is asked but not read yet, is kept, and
goes with the next statement that somebody waits for, in their order; the server executes them one after the other, each
seeing what those before it did, and after one that fails none. A commit goes with what is left.

The driver has a mode for it, which sends each statement by itself and wakes the server as often; this uses what lies
below it. On connections that make such trips the driver prepares nothing by itself, so that it has nothing to have
forgotten either: what is prepared is known here alone, and is so for as long as the connection is there. Should anybody
else have had the server forget it, the connection is given up, and what its transaction did is to be done again over
another, as if it had been lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.waiting import Ready, Wait
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

PREPARED_MOST = 300
"""Statements that a connection keeps prepared; the program has fewer."""

_COMMIT = "COMMIT"
_FAILED_BEFORE = "a statement of this transaction has failed before: the server takes back what is to be committed"
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)([sbt])|%)")
_FORMATS = {"s": PyFormat.AUTO, "b": PyFormat.BINARY, "t": PyFormat.TEXT}
_FAILED = {ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED, ExecStatus.BAD_RESPONSE}
_NOT_AS_PREPARED = {"26000", "0A000", "42P05"}
"""States of what goes by a name: there is none, it would give other columns now, there is another of this name."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A statement as the server takes it, with the names of its values in the order of their numbers."""

    sql: bytes
    names: tuple[str, ...]
    formats: tuple[PyFormat, ...]


_Key = tuple[bytes, tuple[int, ...]]
"""A statement, and the types of its values."""


@dataclass(slots=True)
class _Given:
    """A statement with its values, as the server takes them."""

    key: _Key
    values: Any
    formats: Any


class Asked:
    """A statement on its way, or kept to go with the next; reading what it gave sends it."""

    __slots__ = ("_result", "_trip", "given", "prepare", "sql")

    def __init__(self, trip: Trip, sql: str, given: _Given, *, prepare: bool = True) -> None:
        self._trip = trip
        self.sql = sql
        self.given = given
        self.prepare = prepare
        self._result: Any = None

    @property
    def rowcount(self) -> int:
        """How many rows it found or changed."""
        return int(self._done().command_tuples or 0)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows that it gives, as the driver converts them."""
        return self._trip.rows_of(self._done())

    @property
    def is_taken_back(self) -> bool:
        """Whether it ended a transaction by taking it back; to be asked once it was sent."""
        return bool(self._done().command_status == b"ROLLBACK")

    def found(self, result: Any) -> None:
        """What the server said to it."""
        self._result = result

    def _done(self) -> Any:
        if self._result is None:
            self._trip.send()
        if self._result is None:
            raise psycopg.InterfaceError("this statement was not sent before its transaction, or a part of it, ended")
        return self._result


class Driver(psycopg.Connection[Any]):
    """The driver's connection, over which a transaction may make trips: its commit goes with what is kept."""

    line: Line
    trip: Trip | None = None
    """That of the transaction."""

    @classmethod
    def open(cls, *given: Any, **named: Any) -> Driver:
        """Connect; raises what the driver does."""
        opened = cls.connect(*given, **named, prepare_threshold=None)
        opened.line = Line(opened)
        return opened

    def commit(self) -> None:
        """Commit; raises what SQLAlchemy does if that, or what goes with it, fails."""
        trip, self.trip = self.trip, None
        if trip is None:
            super().commit()
        else:
            trip.commit()

    def rollback(self) -> None:
        """Take back the transaction, and do nothing of what is kept."""
        trip, self.trip = self.trip, None
        if trip is not None:
            # Whoever asked for something may still try to read it.
            trip.take_back()
        super().rollback()


class Line:
    """The way to the server over a connection, and what is prepared at its other end."""

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self._driver = driver
        self._values = Transformer(driver)
        self._prepared: dict[_Key, bytes] = {}
        self._made = 0

    @property
    def begin(self) -> str:
        """The statement that begins a transaction, as the driver would."""
        level = self._driver.isolation_level
        return "BEGIN" if level is None else f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}"

    def given(self, sql: str, values: Mapping[str, object]) -> _Given:
        """A statement with its values as the server takes them; raises what the driver does if it takes no such value.

        Whoever asks is told at once: who shares the trip has no part in it, and the connection remains as it is.
        """
        written = _written(sql)
        dumped = self._values.dump_sequence([values[name] for name in written.names], written.formats)
        return _Given((written.sql, tuple(self._values.types or ())), dumped, self._values.formats)

    def go(self, going: Sequence[Asked]) -> list[Any]:
        """Send some statements and return what the server says to each; raises what the driver does if it is lost.

        That is an error for the first that fails, and nothing for those behind it. The connection is closed if what
        should be prepared is not, or not as it was.
        """
        pgconn = self._driver.pgconn
        # As for a statement by the driver: a connection that is closed is told from one that is lost meanwhile.
        if self._driver.closed:
            raise psycopg.OperationalError("the connection is closed")
        new: dict[_Key, bytes] = {}
        parts: list[_Part] = []
        pgconn.enter_pipeline_mode()
        try:
            for asked in going:
                parts += self._post(pgconn, asked, new)
            pgconn.pipeline_sync()
            said = self._driver.wait(_results(pgconn, len(parts)))
        except BaseException:
            # It is not known how much of it has been done, and what comes next would be taken for the answer.
            self._driver.close()
            raise
        pgconn.exit_pipeline_mode()
        return self._taken_in(parts, said)

    def rows_of(self, result: Any) -> list[tuple[Any, ...]]:
        """The rows of a result."""
        self._values.set_pgresult(result)
        return self._values.load_rows(0, result.ntuples, tuple)

    def _post(self, pgconn: Any, asked: Asked, new: dict[_Key, bytes]) -> list[_Part]:
        """`new` is what is prepared in the same trip, and not known to be yet."""
        given = asked.given
        sql, types = given.key
        if not asked.prepare:
            pgconn.send_query_params(sql, given.values, types, given.formats, Format.TEXT)
            return _BY_TEXT
        name = self._prepared.get(given.key) or new.get(given.key)
        if name is not None:
            pgconn.send_query_prepared(name, given.values, given.formats, Format.TEXT)
            return _BY_NAME
        if len(self._prepared) + len(new) >= PREPARED_MOST:
            pgconn.send_query_params(sql, given.values, types, given.formats, Format.TEXT)
            return _BY_TEXT
        self._made += 1
        name = new[given.key] = b"trip_%d" % self._made
        pgconn.send_prepare(name, sql, types)
        pgconn.send_query_prepared(name, given.values, given.formats, Format.TEXT)
        return [_Part(is_by_name=True, prepares=(given.key, name)), *_BY_NAME]

    def _taken_in(self, parts: Sequence[_Part], said: Sequence[Any]) -> list[Any]:
        results: list[Any] = []
        for part, result in zip(parts, said, strict=True):
            if result.status in _FAILED:
                results.append(error_from_result(result, encoding=self._driver.info.encoding))
                if part.is_by_name and results[-1].sqlstate in _NOT_AS_PREPARED:
                    self._driver.close()
                break
            if part.prepares is None:
                results.append(result)
            else:
                key, name = part.prepares
                self._prepared[key] = name
        return results


@dataclass(frozen=True, slots=True)
class _Part:
    """What the server says one thing to."""

    is_by_name: bool
    prepares: tuple[_Key, bytes] | None = None


_BY_NAME, _BY_TEXT = [_Part(is_by_name=True)], [_Part(is_by_name=False)]


class Trip:
    """What a transaction keeps for its next trip."""

    def __init__(self, connection: Connection, line: Line) -> None:
        self._connection = connection
        self._line = line
        self._kept: list[Asked] = []

    def ask(self, sql: str, values: Mapping[str, object] | None = None, *, prepare: bool = True) -> Asked:
        """Keep a statement for the next trip; its plan is not kept unless it is to `prepare`.

        Raises what SQLAlchemy would if the driver does not take a value.
        """
        try:
            given = self._line.given(sql, {} if values is None else values)
        except psycopg.Error as error:
            given = raising(self._connection, sql, partial(_fail, error))
        asked = Asked(self, sql, given, prepare=prepare)
        self._kept.append(asked)
        return asked

    def send(self) -> None:
        """Send all that is kept; raises what SQLAlchemy would for the first of it that fails."""
        going, self._kept = self._kept, []
        if not going:
            return
        results = raising(self._connection, going[-1].sql, lambda _: self._line.go(going))
        for asked, result in zip(going, results, strict=False):
            if isinstance(result, psycopg.Error):
                raising(self._connection, asked.sql, partial(_fail, result))
            asked.found(result)

    def commit(self) -> None:
        """Send all that is kept, with a commit behind it; raises what SQLAlchemy would if nothing is committed."""
        asked = self.ask(_COMMIT)
        self.send()
        if asked.is_taken_back:
            raising(self._connection, _COMMIT, partial(_fail, psycopg.errors.InFailedSqlTransaction(_FAILED_BEFORE)))

    def take_back(self) -> None:
        """What is kept is not to be done."""
        self._kept = []

    def rows_of(self, result: Any) -> list[tuple[Any, ...]]:
        """The rows of a result."""
        return self._line.rows_of(result)


def _fail(error: Exception, _: object) -> NoReturn:
    raise error


def begin(connection: Connection, *first: str) -> None:
    """Begin a transaction with some statements that give nothing; raises what SQLAlchemy would."""
    driver: object = connection.connection.dbapi_connection
    if not isinstance(driver, Driver):
        raise TypeError(f"not a connection for trips: {type(driver).__name__}")
    if driver.autocommit:
        return
    trip = driver.trip = Trip(connection, driver.line)
    for sql in (driver.line.begin, *first):
        trip.ask(sql)
    trip.send()


def under_way(connection: Connection) -> Trip | None:
    """That of a transaction; None if its database takes statements one by one."""
    trip: Trip | None = getattr(connection.connection.dbapi_connection, "trip", None)
    return trip


def before(connection: Connection, statement: str) -> None:
    """Somebody is about to run a statement by the driver itself: what is kept goes first.

    What is kept when a part of a transaction is taken back was asked in that part, and is not to be done.
    """
    trip = under_way(connection)
    if trip is None:
        return
    if statement.startswith("ROLLBACK TO"):
        trip.take_back()
    else:
        trip.send()


def send_kept(connection: Connection) -> None:
    """To be called at the end of a part that can be taken back by itself: what fails of it then is the part's own."""
    trip = under_way(connection)
    if trip is not None:
        trip.send()


def raising(connection: Connection, sql: str, do: Callable[[Any], T]) -> T:
    """Do something with the driver's own connection, by this statement; raises what SQLAlchemy would."""
    driver: Any = connection.connection.driver_connection
    try:
        return do(driver)
    except BaseException as error:
        base = connection.dialect.loaded_dbapi.Error
        if not isinstance(error, base):
            # A trip was broken off, by what ends the process, say: to take anything back over its connection would
            # fail, and that would be raised instead.
            if isinstance(driver, Driver) and driver.closed:
                connection.invalidate(error)
            raise
        lost = connection.dialect.is_disconnect(error, driver, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            sql,
            None,
            error,
            base,
            hide_parameters=True,
            connection_invalidated=lost,
            dialect=connection.dialect,
        ) from error


def _results(pgconn: Any, number: int) -> Generator[Wait, Ready | int, list[Any]]:
    """Send what is written, and read one result for each of so many commands, and the end of them all."""
    while pgconn.flush():
        # Whoever answers meanwhile may have to be read before it reads on.
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    found: list[Any] = []
    while True:
        while pgconn.is_busy():
            if (yield Wait.R):
                pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            # After something that cannot be understood nothing more is read, not even the end of them all.
            if pgconn.status != ConnStatus.OK:
                raise psycopg.OperationalError(f"the connection is lost: {pgconn.get_error_message()}")
            continue
        if result.status == ExecStatus.PIPELINE_SYNC:
            break
        found.append(result)
    if len(found) != number:
        raise psycopg.InternalError(f"{len(found)} results of {number} commands")
    return found


@lru_cache(maxsize=1_024)
def _written(sql: str) -> _Written:
    """The driver's placeholders as the server numbers them."""
    names: list[str] = []
    formats: list[PyFormat] = []

    def numbered(match: re.Match[str]) -> str:
        name, form = match.groups()
        if name is None:
            return "%"
        if name not in names:
            names.append(name)
            formats.append(_FORMATS[form])
        return f"${names.index(name) + 1}"

    text = _PLACEHOLDER.sub(numbered, sql)
    return _Written(text.encode(), tuple(names), tuple(formats))
