"""Messages to CSPs that are not known to have reached them, and upgrade lists whose night is over by then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, literal_column, or_, select, union_all

from sr_engine.domain.states import AttemptState
from sr_engine.store.on_lists import ATTEMPTS_ON_LISTS
from sr_engine.store.outbox import DELIVERED, EXPIRED, PARKED, PENDING
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import UtcDateTime, attempts, listed_hubs, outbox, upgrade_lists


def _lists(state: str, *, had: bool) -> Select[Any]:
    """Those whose night is over. The state is written out, not bound: SQLite then sees that its index of it serves."""
    return (
        select(
            upgrade_lists.c.list_id, upgrade_lists.c.release_id, upgrade_lists.c.message_id, upgrade_lists.c.period_end
        )
        .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
        .where(
            outbox.c.state == literal_column(f"'{state}'"),
            outbox.c.destination == bindparam("destination"),
            outbox.c.delivered_at.is_not(None) if had else outbox.c.delivered_at.is_(None),
            # A union gives its parameters no type of itself.
            upgrade_lists.c.period_end <= bindparam("now", type_=UtcDateTime),
        )
    )


_OVER = union_all(_lists(PENDING, had=False), _lists(PARKED, had=False))
_HAD_AND_OVER = union_all(_lists(PENDING, had=True), _lists(PARKED, had=True))
_SEND_NO_MORE = outbox.update().where(is_one_of(outbox.c.message_id, "message_ids")).values(state=DELIVERED)
_DELIVERED = (
    select(
        upgrade_lists.c.list_id,
        upgrade_lists.c.region,
        upgrade_lists.c.period_start,
        outbox.c.message_id,
        outbox.c.delivered_at,
    )
    .join(outbox, outbox.c.message_id == upgrade_lists.c.message_id)
    .where(is_one_of(outbox.c.message_id, "message_ids"), outbox.c.delivered_at >= upgrade_lists.c.period_start)
    .order_by(outbox.c.outbox_id)
)
_LISTED = (
    select(attempts.c.hub_id)
    .select_from(ATTEMPTS_ON_LISTS)
    .where(listed_hubs.c.list_id == bindparam("list_id"), attempts.c.state == AttemptState.LISTED.value)
    .order_by(attempts.c.hub_id)
    .limit(bindparam("at_most"))
)
_HAD = (
    outbox.update()
    .where(outbox.c.message_id == bindparam("key"), or_(outbox.c.state == PENDING, outbox.c.state == PARKED))
    .values(state=DELIVERED, delivered_at=func.coalesce(outbox.c.delivered_at, bindparam("now", type_=UtcDateTime)))
)
_GIVE_UP = (
    outbox.update().where(outbox.c.message_id == bindparam("key")).values(state=EXPIRED, last_error=bindparam("why"))
)


@dataclass(frozen=True, slots=True)
class UndeliveredList:
    """A list that did not reach its CSP before the end of its night."""

    list_id: str
    release_id: str
    message_id: str
    period_end: datetime


@dataclass(frozen=True, slots=True)
class LateList:
    """A list that its CSP had for the first time when its night had begun."""

    list_id: str
    region: str
    period_start: datetime
    message_id: str


def had(connection: Connection, message_id: str, now: datetime) -> bool:
    """Note that a receiver has a message that it did not take when it was sent; False if it had been taken, or expired.

    It is sent no more. One that is sent again, having been taken before, keeps the time of that.
    """
    return connection.execute(_HAD, {"key": message_id, "now": now}).rowcount == 1


def had_late(connection: Connection, delivered: Mapping[str, datetime]) -> list[LateList]:
    """Those of the messages delivered at these times that are lists, not had before, whose night had begun."""
    found = connection.execute(_DELIVERED, {"message_ids": members(delivered)})
    # What is sent again, to ask for its acknowledgement, keeps the time at which it was delivered first.
    return [LateList(*row[:4]) for row in found if row.delivered_at == delivered[row.message_id]]


def lists_over(connection: Connection, region: str, now: datetime) -> list[UndeliveredList]:
    """Those of a region that are still to be dealt with, by the end of their night."""
    found = connection.execute(_OVER, {"destination": f"csp:{region}", "now": now})
    return sorted((UndeliveredList(*row) for row in found), key=lambda one: (one.period_end, one.list_id))


def ask_no_more(connection: Connection, region: str, now: datetime) -> None:
    """What is sent again, to ask for the acknowledgement of a list of a region, is sent no more: its night is over."""
    over = connection.execute(_HAD_AND_OVER, {"destination": f"csp:{region}", "now": now}).all()
    if over:
        connection.execute(_SEND_NO_MORE, {"message_ids": members([row.message_id for row in over])})


def still_listed(connection: Connection, list_id: str, limit: int) -> list[str]:
    """CHF ids on a list of which its CSP has said nothing."""
    return list(connection.scalars(_LISTED, {"list_id": list_id, "at_most": limit}))


def give_up(connection: Connection, message_id: str, why: str) -> None:
    """Send a message no more."""
    connection.execute(_GIVE_UP, {"key": message_id, "why": why})
