"""What SQLite and PostgreSQL write differently, each said once for both."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, LargeBinary, String, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NULLTYPE

from sr_engine.store.tables import UtcDateTime

SQLITE, POSTGRESQL = "sqlite", "postgresql"

SINGLE = "single"
"""Said to the compiler of a statement for sets that hold no more than one value."""

UTC_TEXT = "YYYY-MM-DD HH24:MI:SS.US"
"""How PostgreSQL writes a time in UTC as SQLite stores it."""


def _arguments(element: FunctionElement[Any], compiler: SQLCompiler, options: dict[str, Any]) -> list[str]:
    return [compiler.process(clause, **options) for clause in element.clauses]


class json_texts(FunctionElement[str]):  # noqa: N801 - named as it is written in a statement
    """The texts of a JSON array, as rows of one column `value`."""

    type = Text()
    name = "json_texts"
    inherit_cache = True


@compiles(json_texts, SQLITE)
def _json_texts_sqlite(element: json_texts, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({', '.join(_arguments(element, compiler, options))})"


@compiles(json_texts, POSTGRESQL)
def _json_texts_postgresql(element: json_texts, compiler: SQLCompiler, **options: Any) -> str:
    return f"jsonb_array_elements_text(CAST({', '.join(_arguments(element, compiler, options))} AS JSONB))"


class one_of(FunctionElement[Any]):  # noqa: N801
    """A column is one of the values of a JSON array; its clauses are these two.

    Compiled with `single` it is compared with the only value that the array is known to hold.
    """

    # With Boolean SQLAlchemy would compare it with 1 on SQLite, which then uses no index.
    type = NULLTYPE
    name = "one_of"
    inherit_cache = True


class one_of_many(one_of):  # noqa: N801
    """The same of very many, in a column by which an index leads to what is sought.

    PostgreSQL, from version 17 on, then goes along the index once instead of looking for each. Where no index leads
    there, it would go through the array for each row.
    """

    name = "one_of_many"
    inherit_cache = True


@compiles(one_of, SQLITE)
def _one_of_sqlite(element: one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, array = _arguments(element, compiler, options)
    if options.get(SINGLE):
        first = _as_in(element, compiler, f"json_extract({array}, '$[0]')")
        return f"({column} = {first})"
    value = _as_in(element, compiler, "value")
    return f"({column} IN (SELECT {value} FROM json_each({array})))"  # noqa: S608 - clauses that are compiled, no values


@compiles(one_of, POSTGRESQL)
def _one_of_postgresql(element: one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, array = _arguments(element, compiler, options)
    if options.get(SINGLE):
        first = _as_in(element, compiler, f"(CAST({array} AS JSONB) ->> 0)")
        return f"({column} = {first})"
    return f"({column} IN ({_values_of(element, compiler, array)}))"


@compiles(one_of_many, POSTGRESQL)
def _one_of_many_postgresql(element: one_of_many, compiler: SQLCompiler, **options: Any) -> str:
    column, array = _arguments(element, compiler, options)
    if options.get(SINGLE):
        return _one_of_postgresql(element, compiler, **options)
    return f"({column} = ANY (ARRAY({_values_of(element, compiler, array)})))"


def _values_of(element: one_of, compiler: SQLCompiler, array: str) -> str:
    value = _as_in(element, compiler, "value")
    rows = f"jsonb_array_elements_text(CAST({array} AS JSONB)) AS given (value)"
    return f"SELECT {value} FROM {rows}"  # noqa: S608 - see above


def _as_in(element: one_of, compiler: SQLCompiler, value: str) -> str:
    """A value as it stands in the column."""
    kind = element.clauses.clauses[0].type
    if isinstance(kind, String):
        return value
    return f"CAST({value} AS {compiler.dialect.type_compiler_instance.process(kind)})"


class json_rows(FunctionElement[str]):  # noqa: N801
    """The columns of all rows of a group as text: a JSON array of an array each, or of values if it is one column."""

    type = Text()
    name = "json_rows"
    inherit_cache = True


@compiles(json_rows, SQLITE)
def _json_rows_sqlite(element: json_rows, compiler: SQLCompiler, **options: Any) -> str:
    columns = _arguments(element, compiler, options)
    return f"json_group_array({columns[0] if len(columns) == 1 else 'json_array(' + ', '.join(columns) + ')'})"


@compiles(json_rows, POSTGRESQL)
def _json_rows_postgresql(element: json_rows, compiler: SQLCompiler, **options: Any) -> str:
    columns = _arguments(element, compiler, options)
    row = columns[0] if len(columns) == 1 else f"json_build_array({', '.join(columns)})"
    return f"CAST(coalesce(json_agg({row}), '[]') AS TEXT)"


class joined(FunctionElement[str]):  # noqa: N801
    """The texts of a group, joined by commas."""

    type = Text()
    name = "joined"
    inherit_cache = True


@compiles(joined, SQLITE)
def _joined_sqlite(element: joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({_arguments(element, compiler, options)[0]})"


@compiles(joined, POSTGRESQL)
def _joined_postgresql(element: joined, compiler: SQLCompiler, **options: Any) -> str:
    return f"string_agg({_arguments(element, compiler, options)[0]}, ',')"


class seconds_between(FunctionElement[float]):  # noqa: N801
    """How much later the second time is than the first, in seconds."""

    type = Float()
    name = "seconds_between"
    inherit_cache = True


@compiles(seconds_between, SQLITE)
def _seconds_sqlite(element: seconds_between, compiler: SQLCompiler, **options: Any) -> str:
    earlier, later = _arguments(element, compiler, options)
    return f"((julianday({later}) - julianday({earlier})) * 86400.0)"


@compiles(seconds_between, POSTGRESQL)
def _seconds_postgresql(element: seconds_between, compiler: SQLCompiler, **options: Any) -> str:
    earlier, later = _arguments(element, compiler, options)
    return f"CAST(extract(epoch FROM ({later}) - ({earlier})) AS DOUBLE PRECISION)"


class truncated(FunctionElement[int]):  # noqa: N801
    """A number without what follows its decimal point."""

    type = Integer()
    name = "truncated"
    inherit_cache = True


@compiles(truncated, SQLITE)
def _truncated_sqlite(element: truncated, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({_arguments(element, compiler, options)[0]} AS INTEGER)"


@compiles(truncated, POSTGRESQL)
def _truncated_postgresql(element: truncated, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(trunc({_arguments(element, compiler, options)[0]}) AS INTEGER)"


class position_in(FunctionElement[int]):  # noqa: N801
    """Where a text first holds another, from 1; 0 if it does not."""

    type = Integer()
    name = "position_in"
    inherit_cache = True


@compiles(position_in, SQLITE)
def _position_sqlite(element: position_in, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({', '.join(_arguments(element, compiler, options))})"


@compiles(position_in, POSTGRESQL)
def _position_postgresql(element: position_in, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({', '.join(_arguments(element, compiler, options))})"


class utc_text(FunctionElement[str]):  # noqa: N801
    """A stored time as text in UTC to the microsecond, the same on either."""

    type = Text()
    name = "utc_text"
    inherit_cache = True


@compiles(utc_text, SQLITE)
def _utc_text_sqlite(element: utc_text, compiler: SQLCompiler, **options: Any) -> str:
    return _arguments(element, compiler, options)[0]


@compiles(utc_text, POSTGRESQL)
def _utc_text_postgresql(element: utc_text, compiler: SQLCompiler, **options: Any) -> str:
    (time,) = _arguments(element, compiler, options)
    return f"to_char({time} AT TIME ZONE 'UTC', '{UTC_TEXT}')"


class stored_kind(FunctionElement[str]):  # noqa: N801
    """What kind of value is stored: null, integer, text, blob or real; a time counts as text."""

    type = Text()
    name = "stored_kind"
    inherit_cache = True


@compiles(stored_kind, SQLITE)
def _kind_sqlite(element: stored_kind, compiler: SQLCompiler, **options: Any) -> str:
    return f"typeof({_arguments(element, compiler, options)[0]})"


@compiles(stored_kind, POSTGRESQL)
def _kind_postgresql(element: stored_kind, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    return f"CASE WHEN {compiler.process(column, **options)} IS NULL THEN 'null' ELSE '{_kind(column)}' END"


class stored_bytes(FunctionElement[Any]):  # noqa: N801
    """The bytes of what is stored: a number in decimal, text in UTF-8, a time as in `utc_text`."""

    # As the driver returns them: a value that was tampered with is not converted.
    type = NULLTYPE
    name = "stored_bytes"
    inherit_cache = True


@compiles(stored_bytes, SQLITE)
def _bytes_sqlite(element: stored_bytes, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST({_arguments(element, compiler, options)[0]} AS BLOB)"


@compiles(stored_bytes, POSTGRESQL)
def _bytes_postgresql(element: stored_bytes, compiler: SQLCompiler, **options: Any) -> str:
    (column,) = element.clauses
    written = compiler.process(column, **options)
    if _kind(column) == "blob":
        return written
    text = f"to_char({written} AT TIME ZONE 'UTC', '{UTC_TEXT}')" if _is_time(column) else f"CAST({written} AS TEXT)"
    return f"convert_to({text}, 'UTF8')"


def _is_time(column: ColumnElement[Any]) -> bool:
    return isinstance(column.type, UtcDateTime)


def _kind(column: ColumnElement[Any]) -> str:
    if _is_time(column) or isinstance(column.type, String):
        return "text"
    if isinstance(column.type, Integer):
        return "integer"
    if isinstance(column.type, LargeBinary):
        return "blob"
    raise TypeError(f"no kind for {column!r}")
