"""Large sets of identifiers in a statement: one bound value, however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, func, select


def is_one_of(column: ColumnElement[Any], values: Iterable[str]) -> ColumnElement[bool]:
    """`column IN values` for any number of text values; SQLite reads them from one JSON array."""
    members = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(members.c.value))
