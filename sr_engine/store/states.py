"""A condition on the state of attempts that is asked in more than one place."""

from __future__ import annotations

from sqlalchemy import ColumnElement

from sr_engine.domain.states import AttemptState
from sr_engine.store.tables import attempts

IS_SCHEDULED: ColumnElement[bool] = attempts.c.state == AttemptState.SCHEDULED.value
