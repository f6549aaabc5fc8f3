"""Statements of the hot path: written with SQLAlchemy, compiled once, and run by the database's own driver.

SQLAlchemy spends on each execution several times what SQLite does; a request needs some twenty statements.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timezone
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy import BindParameter, ColumnElement, Connection, literal_column, select
from sqlalchemy.sql import Delete, Insert, Select, Update, visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from sr_engine.store import sharing, trips
from sr_engine.store.dialects import POSTGRESQL, SINGLE, SQLITE, json_rows
from sr_engine.store.sets import are_large, are_single, sets_of
from sr_engine.value_objects import value_object

T = TypeVar("T")

Row = Any
"""A named tuple of the columns that a statement selects or returns."""

_Statement = Select[Any] | Insert | Update | Delete

_NOTHING: Mapping[str, object] = {}


class _Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    default: object
    convert: Callable[[Any], object] | None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement as one driver takes it."""

    sql: str
    positional: bool
    parameters: tuple[_Parameter, ...]
    row: Callable[[Sequence[Any]], Row]
    converted: tuple[tuple[int, Callable[[Any], Any]], ...]
    """Which columns come back as something else than what they stand for."""

    def values(self, given: Mapping[str, object]) -> Sequence[object] | Mapping[str, object]:
        values = [
            given.get(one.name, one.default) if one.convert is None else one.convert(given.get(one.name, one.default))
            for one in self.parameters
        ]
        return values if self.positional else dict(zip((one.name for one in self.parameters), values, strict=True))

    def values_of(self, columns: Mapping[str, Sequence[object]], alike: Mapping[str, object], count: int) -> list[Any]:
        """The same for many rows, column by column: each distinct time is converted once."""
        converted: list[Sequence[object]] = []
        for one in self.parameters:
            given = columns.get(one.name)
            if given is None:
                value = alike.get(one.name, one.default)
                converted.append([value if one.convert is None else one.convert(value)] * count)
            else:
                converted.append(given if one.convert is None else each(given, one.convert))
        tuples = zip(*converted, strict=True)
        if self.positional:
            return list(tuples)
        names = [one.name for one in self.parameters]
        return [dict(zip(names, values, strict=True)) for values in tuples]

    def rows(self, found: list[tuple[Any, ...]]) -> list[Row]:
        if not self.converted:
            return list(map(self.row, found))
        rows = []
        for one in found:
            values = list(one)
            for position, convert in self.converted:
                values[position] = convert(values[position])
            rows.append(self.row(values))
        return rows


def each(values: Sequence[object], convert: Callable[[Any], object]) -> list[object]:
    """Convert values, each distinct one once."""
    if values and isinstance(values[0], bytes):
        return [convert(value) for value in values]
    distinct = set(values)
    if any(type(getattr(value, "tzinfo", UTC)) is not timezone for value in distinct):
        # Of a zone with an hour that comes twice: its two instants count as equal.
        return [convert(value) for value in values]
    done = {value: convert(value) for value in distinct}
    return [done[value] for value in values]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Another statement that was made of one, compiled: its text, the values in it, what converts those it is given."""

    sql: str
    fixed: Mapping[str, object]
    convert: Mapping[str, Callable[[Any], object]]

    def run(self, connection: Connection, values: Mapping[str, object]) -> int:
        """Run it for what it changes; return how many rows that was."""
        return self.put(connection, values).rowcount

    def put(self, connection: Connection, values: Mapping[str, object]) -> _Cursor:
        """The same for what need not be known at once."""
        return _executed(connection, self.sql, "execute", {**self.fixed, **values})


@value_object
class Found:
    """What a statement gives, which may still be on its way."""

    _connection: Connection
    _compiled: _Compiled
    _cursor: _Cursor

    def all(self) -> list[Row]:
        """All rows; to be asked for before anything is written that might change them."""
        return self._compiled.rows(self.tuples())

    def tuples(self) -> list[Any]:
        """The same as the driver gives them."""
        # Whoever reads now learns from it which tables that rests on.
        sharing.note(self._connection, self._compiled.sql)
        return self._cursor.fetchall()


class Prepared:
    """A statement with bound parameters; to be made once, beside the others of its module."""

    def __init__(self, statement: _Statement) -> None:
        self.statement = statement
        self._sets = sets_of(statement)
        # An INSERT names the columns that it is given.
        self._names_columns = isinstance(statement, Insert)
        self._by_dialect: dict[tuple[str, tuple[str, ...], bool], _Compiled] = {}
        self._made: dict[Hashable, Any] = {}

    def all(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> list[Row]:
        """All rows that it selects or returns."""
        compiled = self._compiled(connection, parameters)
        return compiled.rows(self._execute(connection, compiled, parameters).fetchall())

    def ask(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> Found:
        """The same, to be read later: PostgreSQL is asked together with what is asked next, as soon as one is read."""
        compiled = self._compiled(connection, parameters)
        return Found(connection, compiled, self._execute(connection, compiled, parameters))

    def tuples(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> list[Any]:
        """The same as the driver gives them, for very many; raises TypeError if there is a value to be converted."""
        compiled = self._compiled(connection, parameters)
        if compiled.converted:
            raise TypeError(f"values of this statement are not what the driver gives: {compiled.sql}")
        return self._execute(connection, compiled, parameters).fetchall()

    def many(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> list[Any]:
        """The same, in no order, of texts and integers.

        SQLite gives them as one text: its driver lets go of the interpreter before each row and has to get it back
        after, for which other threads make it wait.
        """
        if connection.dialect.name != SQLITE:
            return self.tuples(connection, parameters)
        in_one = self.made("many", lambda: Prepared(_in_one(self.statement)))
        found: list[Any] = json.loads(in_one.scalar(connection, parameters))
        return found

    def one_or_none(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> Row | None:
        """The only row, or None; raises ValueError if there are more."""
        rows = self.all(connection, parameters)
        if len(rows) > 1:
            raise ValueError(f"{len(rows)} rows where one was expected")
        return rows[0] if rows else None

    def scalar(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> Any:
        """The first column of the first row, or None."""
        rows = self.all(connection, parameters)
        return rows[0][0] if rows else None

    def run(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> int:
        """Run it for what it changes; return how many rows that was."""
        return self._execute(connection, self._compiled(connection, parameters), parameters).rowcount

    def put(self, connection: Connection, parameters: Mapping[str, object] = _NOTHING) -> None:
        """Run it for what it changes, however much that is: nobody waits for it."""
        self._execute(connection, self._compiled(connection, parameters), parameters)

    def run_many(
        self,
        connection: Connection,
        columns: Mapping[str, Sequence[object]],
        alike: Mapping[str, object] = _NOTHING,
    ) -> None:
        """Run it once for each place of `columns`, which are of one length; what is `alike` is so for all of them."""
        names = (*columns, *alike) if self._names_columns else ()
        compiled = self._compiled_for(connection, names, single=False)
        count = len(next(iter(columns.values())))
        rows = compiled.values_of(columns, alike, count)
        if count == 1:
            # Which a driver may have to prepare more for.
            _executed(connection, compiled.sql, "execute", rows[0])
        else:
            _executed(connection, compiled.sql, "executemany", rows)

    def made(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` has once made of the statement under this key."""
        found: T | None = self._made.get(key)
        if found is None:
            found = self._made[key] = make()
        return found

    def _execute(self, connection: Connection, compiled: _Compiled, parameters: Mapping[str, object]) -> _Cursor:
        values = compiled.values(parameters)
        if self._sets and connection.dialect.name == POSTGRESQL and are_large(self._sets, parameters):
            # The plan of one that is kept may be from when the table was small, to be gone through for each of a few.
            return _executed(connection, compiled.sql, "execute", values, prepare=False)
        return _executed(connection, compiled.sql, "execute", values)

    def _compiled(self, connection: Connection, parameters: Mapping[str, object]) -> _Compiled:
        single = bool(self._sets) and are_single(self._sets, parameters)
        return self._compiled_for(connection, tuple(parameters) if self._names_columns else (), single=single)

    def _compiled_for(self, connection: Connection, names: tuple[str, ...], *, single: bool) -> _Compiled:
        key = (connection.dialect.name, names, single)
        compiled = self._by_dialect.get(key)
        if compiled is None:
            compiled = self._by_dialect[key] = _compile(connection, self.statement, names, single=single)
        return compiled


def _in_one(statement: _Statement) -> Select[Any]:
    if not isinstance(statement, Select):
        raise TypeError("only what is selected is read in one")
    found = statement.cte("found")
    return select(json_rows(*found.columns)).select_from(found)


def compiled_once(compiled: SQLCompiler) -> str:
    """The text of a statement; raises TypeError if its text depends on the values that are bound to it."""
    sql = str(compiled)
    if "POSTCOMPILE" in sql:
        raise TypeError(f"a statement that is written anew for its values cannot be prepared: {sql}")
    return sql


def _compile(connection: Connection, statement: _Statement, names: Sequence[str], *, single: bool) -> _Compiled:
    dialect = connection.dialect
    compiled = _with_constants(statement).compile(
        dialect=dialect, column_keys=list(names) or None, compile_kwargs={SINGLE: single}
    )
    sql = compiled_once(compiled)
    columns = list(statement.exported_columns)
    converters = [_reader(connection, column.type) for column in columns]
    # Names that stand for no column of a table may be none in Python; such columns are taken by position.
    row = namedtuple("Row", [column.key or "" for column in columns], rename=True)  # type: ignore[misc]
    bound = compiled.binds
    defaults = compiled.params
    parameters = tuple(
        _Parameter(name, defaults.get(name), bound[name].type.dialect_impl(dialect).bind_processor(dialect))
        for name in (compiled.positiontup if compiled.positional else compiled.bind_names.values()) or ()
    )
    return _Compiled(
        sql,
        compiled.positional,
        parameters,
        row._make,
        tuple((position, one) for position, one in enumerate(converters) if one is not None),
    )


def _with_constants(statement: _Statement) -> _Statement:
    """The same with what is fixed in it written out: a value that is bound has SQLite plan anew each time it is run.

    So it does where the value says whether a partial index will do.
    """
    if not isinstance(statement, Select):
        return statement

    def written_out(element: object, **_: object) -> ColumnElement[Any] | None:
        # A limit is none of these.
        if type(element) is not BindParameter or element.required:
            return None
        value = element.value
        if isinstance(value, str):
            return literal_column("'" + value.replace("'", "''") + "'", element.type)
        return literal_column(str(value), element.type) if type(value) is int else None

    return cast(_Statement, visitors.replacement_traverse(statement, {}, written_out))


def _reader(connection: Connection, kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    return kind.dialect_impl(connection.dialect).result_processor(connection.dialect, None)


def _executed(connection: Connection, sql: str, how: str, values: Any, *, prepare: bool | None = None) -> _Cursor:
    """What it gives can be read from; what it changes is changed before anybody reads.

    `prepare` is False for a statement whose plan is not to be kept.
    """
    _begun(connection)
    trip = trips.under_way(connection)
    if trip is not None:
        sharing.note(connection, sql)
        of_each = [values] if how == "execute" else values
        return [trip.ask(sql, one, prepare=prepare is not False) for one in of_each][-1]
    options = {} if prepare is None else {"prepare": prepare}

    def execute(driver: Any) -> _Cursor:
        cursor: _Cursor = driver.cursor()
        getattr(cursor, how)(sql, values, **options)
        return cursor

    return done_by_driver(connection, sql, execute)


def done_by_driver(connection: Connection, sql: str, do: Callable[[Any], T]) -> T:
    """Do something with the driver's own connection, by this statement; raises what SQLAlchemy would."""
    _begun(connection)
    sharing.note(connection, sql)
    trips.before(connection, sql)
    return trips.raising(connection, sql, do)


def _begun(connection: Connection) -> None:
    if not connection.in_transaction():
        connection.begin()
