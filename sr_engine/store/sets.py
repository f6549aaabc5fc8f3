"""Large sets of identifiers in a statement: one bound value, however many there are.

A statement is built once, with `is_one_of` and the name of a parameter; each execution binds `members(values)` to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Text, bindparam, func, select


def is_one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`column IN` the text values bound to the parameter `name`, any number; SQLite reads them from one JSON array."""
    listed = func.json_each(bindparam(name, type_=Text)).table_valued("value")
    return column.in_(select(listed.c.value))


def is_one_of_numbers(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """`column IN` the whole numbers bound to the parameter `name` as `numbers(values)`, any number of them."""
    return is_one_of(column, name)


def numbers(values: Iterable[int]) -> str:
    """What to bind to the parameter of `is_one_of_numbers`."""
    return json.dumps(list(values))


def members(values: Iterable[str]) -> str:
    """What to bind to the parameter of `is_one_of`."""
    return json.dumps(list(values))
