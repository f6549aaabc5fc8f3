"""Large sets of identifiers in a statement: one bound value, however many there are.

A statement is built once, with `is_one_of` and the name of a parameter; each execution binds `members(values)` to it.
Most sets are of one: a prepared statement compares with that one then, which costs a database a fraction of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import BindParameter, ClauseElement, ColumnElement, Text, bindparam
from sqlalchemy.sql import visitors

from sr_engine.store.dialects import one_of, one_of_many

_NO_MEMBERS = "[]"
_LARGE = 2_000
"""Characters of the array: some 80 EUIs."""


def is_one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`column IN` the values bound to the parameter `name`, any number, which travel as one JSON array."""
    return one_of(column, bindparam(name, type_=Text))


def is_one_of_many(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """The same for very many texts, in a column by which an index leads to what is sought."""
    return one_of_many(column, bindparam(name, type_=Text))


def members(values: Iterable[str] | Iterable[int]) -> str:
    """What to bind to the parameter of `is_one_of`."""
    return json.dumps(list(values))


def sets_of(statement: ClauseElement) -> frozenset[str]:
    """The parameters of a statement that members are bound to."""
    found = [one.clauses.clauses[1] for one in visitors.iterate(statement) if isinstance(one, one_of)]
    return frozenset(one.key for one in found if isinstance(one, BindParameter))


def are_large(sets: Iterable[str], parameters: Mapping[str, object]) -> bool:
    """Whether one of these parameters is bound to very many values."""
    return any(len(str(parameters[name])) >= _LARGE for name in sets)


def are_single(sets: Iterable[str], parameters: Mapping[str, object]) -> bool:
    """Whether each of these parameters is bound to one value."""
    # None at all is no such one: compared with it, nothing would be other than what is sought either.
    return all((bound := str(parameters[name])) != _NO_MEMBERS and "," not in bound for name in sets)
