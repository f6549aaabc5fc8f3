"""Many rows in one statement, without what SQLAlchemy does for each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    TableClause,
    Text,
    TypeDecorator,
    bindparam,
    column,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql import Delete, Insert, Select, Update
from sqlalchemy.sql.elements import BindParameter
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.types import TypeEngine

from sr_engine.store.dialects import POSTGRESQL, json_texts
from sr_engine.store.prepared import Prepared, Rewritten, compiled_once, done_by_driver, each

_WORTH_IT = 50
"""From so many rows on a statement is compiled for them; on PostgreSQL one for those columns whose values differ."""
_WORTH_ARRAYS = 8
"""From so many rows on PostgreSQL gets them as arrays, and SQLite as one where they differ in one text."""
_WORTH_COPYING = 100
"""From so many rows on PostgreSQL gets new ones by COPY: a round trip more, and half the work of each row."""

_NOTHING: Mapping[str, object] = {}


def execute_many(
    connection: Connection, statement: Prepared | Insert | Update | Delete, rows: Sequence[Mapping[str, object]]
) -> None:
    """Run a statement once for each of `rows`, which all have the same keys; nothing happens if there are none.

    The same as `connection.execute(statement, rows)`, in a third of the time for long lists: values are converted
    column by column, each distinct time once, and the driver is handed plain tuples; PostgreSQL gets one statement
    with an array for each column, SQLite one with an array where new rows differ in one text. No two rows may concern
    the same row of the table.
    """
    if not rows:
        return
    if not isinstance(statement, Prepared) and len(rows) < _WORTH_IT:
        # SQLAlchemy keeps its compiled form, which costs more to make than a few rows do.
        connection.execute(statement, rows)
        return
    prepared = statement if isinstance(statement, Prepared) else Prepared(statement)
    execute_columns(connection, prepared, {name: [row[name] for row in rows] for name in rows[0]})


def execute_columns(
    connection: Connection,
    prepared: Prepared,
    columns: Mapping[str, Sequence[object]],
    alike: Mapping[str, object] = _NOTHING,
) -> None:
    """The same for rows that are given column by column, all of one length; what is `alike` is so in every row."""
    count = len(next(iter(columns.values())))
    statement = prepared.statement
    if count >= _WORTH_ARRAYS and connection.dialect.name == POSTGRESQL and not isinstance(statement, Select):
        if count >= _WORTH_COPYING and isinstance(statement, Insert) and _is_plain(prepared, statement):
            _copy(connection, prepared, statement.table, columns, alike)
        else:
            _from_arrays(connection, prepared, statement, columns, alike)
    elif count >= _WORTH_ARRAYS and isinstance(statement, Insert) and _is_one_of_texts(statement, columns):
        _from_texts(connection, prepared, statement, columns, alike)
    elif count:
        prepared.run_many(connection, columns, alike)


def _is_plain(prepared: Prepared, statement: Insert) -> bool:
    """It has no values of its own, and nothing happens on a conflict."""
    return prepared.made("is plain", lambda: str(statement) == str(statement.table.insert()))


def _copy(
    connection: Connection,
    prepared: Prepared,
    table: TableClause,
    columns: Mapping[str, Sequence[object]],
    alike: Mapping[str, object],
) -> None:
    names = (*columns, *alike)
    copying = prepared.made(("copy", names), lambda: _copying(connection, table, names))
    parts: list[Iterable[object]] = []
    for name, convert in zip(names, copying.convert, strict=True):
        if name in columns:
            parts.append(columns[name] if convert is None else each(columns[name], convert))
        else:
            parts.append(repeat(alike[name] if convert is None else convert(alike[name])))

    def copy(driver: Any) -> None:
        with driver.cursor() as cursor, cursor.copy(copying.sql) as rows:
            rows.set_types(copying.kinds)
            # Each row ends with the shortest: what is alike has no end.
            for row in zip(*parts, strict=False):
                rows.write_row(row)

    done_by_driver(connection, copying.sql, copy)


@dataclass(frozen=True, slots=True)
class _Copying:
    sql: str
    kinds: Sequence[str]
    """Of the columns, as PostgreSQL names them: the binary form says nothing of them."""
    convert: Sequence[Callable[[Any], object] | None]


def _copying(connection: Connection, table: TableClause, names: Sequence[str]) -> _Copying:
    dialect = connection.dialect
    quoted = dialect.identifier_preparer.format_column
    of_each = [table.c[name] for name in names]
    plain = [_implementation(column.type) for column in of_each]
    kinds = ["text" if isinstance(kind, String) else kind.compile(dialect).lower() for kind in plain]
    sql = f"COPY {table.name} ({', '.join(map(quoted, of_each))}) FROM STDIN (FORMAT BINARY)"
    return _Copying(sql, kinds, [_converter(column.type, connection) for column in of_each])


def _is_one_of_texts(statement: Insert, columns: Mapping[str, Sequence[object]]) -> bool:
    return len(columns) == 1 and all(isinstance(statement.table.c[name].type, String) for name in columns)


def _from_texts(
    connection: Connection,
    prepared: Prepared,
    statement: Insert,
    columns: Mapping[str, Sequence[object]],
    alike: Mapping[str, object],
) -> None:
    """The INSERT once, over a JSON array of the texts; a row handed to SQLite costs several times what it writes."""
    ((name, texts),) = columns.items()
    over = prepared.made(("texts", name, *alike), lambda: _over_texts(statement, name, alike))
    over.run(connection, {**alike, _all(name): json.dumps(texts)})


def _over_texts(statement: Insert, name: str, alike: Iterable[str]) -> Prepared:
    given = json_texts(bindparam(_all(name), type_=Text)).table_valued("value")
    fixed = [bindparam(one, type_=statement.table.c[one].type) for one in alike]
    # Without a condition SQLite would read ON CONFLICT as one of a join.
    rows = select(given.c.value, *fixed).where(true())
    return Prepared(statement.from_select([name, *alike], rows))


def _from_arrays(
    connection: Connection,
    prepared: Prepared,
    statement: Insert | Update | Delete,
    columns: Mapping[str, Sequence[object]],
    alike: Mapping[str, object],
) -> None:
    """The statement once, over a table that PostgreSQL makes of one array for each column whose values differ."""
    once = dict(alike)
    differing: dict[str, Sequence[object]] = {}
    for name, values in columns.items():
        # Few are written again and again, each time others alike: then one statement does for all of them.
        if len(values) >= _WORTH_IT and values.count(values[0]) == len(values):
            once[name] = values[0]
        else:
            differing[name] = values
    if not differing:
        # Something has to say how many rows there are.
        name = next(iter(columns))
        differing[name] = columns[name]
        del once[name]
    names = (*columns, *alike)
    rewritten = prepared.made((names, *differing), lambda: _over_arrays(connection, statement, names, tuple(differing)))
    converted: dict[str, object] = {}
    for name, value in once.items():
        convert = rewritten.convert.get(name)
        converted[name] = value if convert is None else convert(value)
    for name, values in differing.items():
        convert = rewritten.convert.get(name)
        converted[_all(name)] = list(values) if convert is None else each(values, convert)
    rewritten.put(connection, converted)


def _over_arrays(
    connection: Connection, statement: Insert | Update | Delete, names: Sequence[str], differing: Sequence[str]
) -> Rewritten:
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(names))
    types = {name: compiled.binds[name].type for name in names}
    # Text without a length: a cast to one would cut off what is too long instead of refusing it.
    plain = {name: Text() if isinstance(kind, String) else _implementation(kind) for name, kind in types.items()}
    arrays = [bindparam(_all(name), type_=ARRAY(plain[name])) for name in differing]
    given = (
        func.unnest(*arrays).table_valued(*(column(name, types[name]) for name in differing)).render_derived("given")
    )

    def replaced(element: Any, **_: Any) -> ColumnElement[Any] | None:
        is_ours = isinstance(element, BindParameter) and element.key in differing
        return given.c[element.key] if is_ours else None

    made: Any
    if isinstance(statement, Insert):
        parts = [given.c[name] if name in differing else bindparam(name, type_=plain[name]) for name in names]
        made = statement.from_select(list(names), select(*parts))
    else:
        made = replacement_traverse(statement, {}, replaced)
    over = made.compile(dialect=connection.dialect)
    sql = compiled_once(over)
    for name in differing:
        # The driver's binary form: bytes and texts travel as they are, without being escaped one by one.
        sql = sql.replace(f"%({_all(name)})s", f"%({_all(name)})b")
    converters = {name: _converter(kind, connection) for name, kind in types.items()}
    ours = {*names, *map(_all, differing)}
    fixed = {name: one for name, one in over.binds.items() if name not in ours}
    kept = {name: _in_driver(one, connection) for name, one in fixed.items()}
    return Rewritten(sql, kept, {name: convert for name, convert in converters.items() if convert is not None})


def _in_driver(bound: BindParameter[Any], connection: Connection) -> object:
    """A value that stands in the statement, as the driver takes it."""
    convert = _converter(bound.type, connection)
    return bound.value if convert is None else convert(bound.value)


def _converter(kind: TypeEngine[Any], connection: Connection) -> Callable[[Any], object] | None:
    # What is no type of ours is converted by the driver.
    return kind.bind_processor(connection.dialect) if isinstance(kind, TypeDecorator) else None


def _all(name: str) -> str:
    return f"all_{name}"


def _implementation(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind
