"""Attempts by the list they stand on: found by the hubs that it was cut with, for no index holds lists."""

from __future__ import annotations

from sqlalchemy import and_, true

from sr_engine.store.dialects import json_texts
from sr_engine.store.tables import attempts, listed_hubs

_CUT_WITH = json_texts(listed_hubs.c.hub_ids).table_valued("value")

ATTEMPTS_ON_LISTS = listed_hubs.join(_CUT_WITH, true()).join(
    attempts, and_(attempts.c.hub_id == _CUT_WITH.c.value, attempts.c.list_id == listed_hubs.c.list_id)
)
"""Every attempt that stands on a list, beside `listed_hubs`: to be selected from, saying of which lists."""
