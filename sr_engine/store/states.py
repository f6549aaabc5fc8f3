"""Conditions on the state of attempts, as the partial indexes of their table say them."""

from __future__ import annotations

from sqlalchemy import ColumnElement, literal_column

from sr_engine.domain.states import AttemptState
from sr_engine.store.tables import attempts

# Written out, not bound: the database then sees that the index of what is Scheduled serves.
SCHEDULED: ColumnElement[bool] = attempts.c.state == literal_column(f"'{AttemptState.SCHEDULED.value}'")
