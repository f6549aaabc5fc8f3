"""Large sets of identifiers in a statement: one bound value, however many there are.

A statement is built once, with `is_one_of` and the name of a parameter; each execution binds `members(values)` to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, String, Text, bindparam, cast, select

from sr_engine.store.dialects import is_in_texts, json_texts


def is_one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`column IN` the values bound to the parameter `name`, any number, which travel as one JSON array."""
    listed = json_texts(bindparam(name, type_=Text)).table_valued("value")
    value = listed.c.value if isinstance(column.type, String) else cast(listed.c.value, column.type)
    return column.in_(select(value))


def is_one_of_many(column: ColumnElement[str], name: str) -> ColumnElement[bool]:
    """The same for very many texts, in a column by which an index leads to what is sought."""
    return is_in_texts(column, bindparam(name, type_=Text))


def members(values: Iterable[str] | Iterable[int]) -> str:
    """What to bind to the parameter of `is_one_of`."""
    return json.dumps(list(values))
