"""Many rows in one statement, without what SQLAlchemy does for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.dml import Delete, Insert, Update

_WORTH_IT = 50
"""From so many rows on; below, SQLAlchemy's cached form of the statement is faster."""


def execute_many(
    connection: Connection, statement: Insert | Update | Delete, rows: Sequence[Mapping[str, object]]
) -> None:
    """Run a statement once for each of `rows`, which all have the same keys; nothing happens if there are none.

    The same as `connection.execute(statement, rows)`, in a third of the time for long lists: values are converted
    column by column, each distinct time once, and the driver is handed plain tuples.
    """
    if not rows:
        return
    if len(rows) < _WORTH_IT:
        connection.execute(statement, rows)
        return
    dialect = connection.dialect
    compiled = statement.compile(dialect=dialect, column_keys=list(rows[0]))
    # In order where the driver counts parameters, by name where it reads their names.
    names = list(compiled.positiontup or compiled.bind_names.values())
    columns: list[Sequence[object]] = []
    for name in names:
        values = [row[name] for row in rows] if name in rows[0] else [compiled.params[name]] * len(rows)
        convert = compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
        columns.append(values if convert is None else _converted(values, convert))
    tuples = zip(*columns, strict=True)
    if compiled.positional:
        connection.exec_driver_sql(str(compiled), list(tuples))
    else:
        connection.exec_driver_sql(str(compiled), [dict(zip(names, values, strict=True)) for values in tuples])


def _converted(values: Sequence[object], convert: Callable[[Any], object]) -> list[object]:
    if values and isinstance(values[0], bytes):
        return [convert(value) for value in values]
    done = {value: convert(value) for value in set(values)}
    return [done[value] for value in values]
