"""What waits to be delivered, receiver by receiver, and the messages themselves page by page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, literal_column, or_, select

from sr_engine.store.looking_back import Budget, Trail
from sr_engine.store.message_search import SentLine
from sr_engine.store.outbox import DELIVERED, EXPIRED, PARKED, PENDING
from sr_engine.store.paging import Page, UpTo, page, row_of, up_to
from sr_engine.store.tables import UtcDateTime, outbox

STATES = (PENDING, PARKED, DELIVERED, EXPIRED)
_COLUMNS = tuple(outbox.c[name] for name in SentLine.__dataclass_fields__)
_TRAIL = Trail(outbox, outbox.c.outbox_id, outbox.c.created_at)
_LINES = select(*_COLUMNS).limit(bindparam("at_most"))


def _is(state: str) -> ColumnElement[bool]:
    """Written out, not bound: databases then see that their indexes of what is in a state serve."""
    return outbox.c.state == literal_column(f"'{state}'")


def _receivers_of(state: str) -> Select[Any]:
    """From one receiver to the next along an index: to one of them very much may be waiting."""
    of_state = _is(state)
    first = select(func.min(outbox.c.destination).label("destination")).where(of_state).cte("first", recursive=True)
    following = (
        select(func.min(outbox.c.destination)).where(of_state, outbox.c.destination > first.c.destination)
    ).scalar_subquery()
    every = first.union_all(select(following).where(first.c.destination.is_not(None)))
    return select(every.c.destination).where(every.c.destination.is_not(None))


def _count(state: str) -> Select[Any]:
    some = (
        select(outbox.c.outbox_id)
        .where(_is(state), outbox.c.destination == bindparam("to_whom"))
        .limit(bindparam("at_most"))
        .subquery()
    )
    return select(func.count()).select_from(some)


_RECEIVERS = {state: _receivers_of(state) for state in (PENDING, PARKED)}
_COUNTS = {state: _count(state) for state in (PENDING, PARKED)}
_NEXT = (
    select(outbox.c.created_at, outbox.c.next_try_at, outbox.c.tries, outbox.c.last_error)
    .where(_is(PENDING), outbox.c.destination == bindparam("to_whom"))
    .order_by(outbox.c.next_try_at, outbox.c.outbox_id)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for one receiver."""

    destination: str
    pending: UpTo
    parked: UpTo
    queued_at: datetime | None
    """Of the message that is sent next, when it was queued."""
    due_at: datetime | None
    """When that is sent."""
    tries: int
    last_error: str | None


def queues(connection: Connection, most: int) -> list[Queue]:
    """Every receiver for which something waits or is parked, by name; each is counted up to `most`."""
    named = {one for state in _RECEIVERS for one in connection.scalars(_RECEIVERS[state])}
    found = []
    for destination in sorted(named):
        sought = {"to_whom": destination, "at_most": most + 1}
        pending, parked = (up_to(connection.scalar(_COUNTS[state], sought) or 0, most) for state in (PENDING, PARKED))
        first = connection.execute(_NEXT, {"to_whom": destination}).one_or_none()
        queued_at, due_at, tries, last_error = (None, None, 0, None) if first is None else first
        found.append(Queue(destination, pending, parked, queued_at, due_at, tries, last_error))
    return found


def number_parked(connection: Connection, most: int) -> UpTo:
    """How many messages are parked, counted up to `most`."""
    some = select(outbox.c.outbox_id).where(_is(PARKED)).limit(most + 1).subquery()
    return up_to(connection.scalar(select(func.count()).select_from(some)) or 0, most)


def number_pending(connection: Connection, most: int) -> UpTo:
    """How many messages are still to be delivered, counted up to `most`."""
    some = select(outbox.c.outbox_id).where(_is(PENDING)).limit(most + 1).subquery()
    return up_to(connection.scalar(select(func.count()).select_from(some)) or 0, most)


def messages(
    connection: Connection,
    state: str,
    destination: str | None = None,
    *,
    after: str | None = None,
    limit: int,
    budget: Budget,
) -> Page[SentLine]:
    """Messages in a state, to one receiver or to all.

    What waits is in the order in which each receiver is sent it, what is parked by receiver and then the oldest first.
    The rest is newest first, looked for as long as `budget` allows: a page may hold little, or nothing, and say where
    the next one begins. Raises ValueError for an `after` that no page has given.
    """
    if state == PENDING:
        return _in_order_of_sending(connection, destination, after, limit)
    if state == PARKED:
        return _parked(connection, destination, after, limit)
    statement, values = select(*_COLUMNS).where(_is(state)), dict[str, object]()
    if destination is not None:
        statement, values["to_whom"] = statement.where(outbox.c.destination == bindparam("to_whom")), destination
    before = None if after is None else row_of(after)
    found = _TRAIL.search(connection, statement, values, before=before, since=None, limit=limit, budget=budget)
    rows = tuple(SentLine(*tuple(row)) for row in found.rows)
    return Page(rows, None if found.before is None else str(found.before))


def _in_order_of_sending(
    connection: Connection, destination: str | None, after: str | None, limit: int
) -> Page[SentLine]:
    key = (outbox.c.destination, outbox.c.next_try_at, outbox.c.outbox_id)
    statement = _LINES.where(_is(PENDING)).order_by(*key)
    values: dict[str, object] = {"at_most": limit + 1}
    if destination is not None:
        statement, values["to_whom"] = statement.where(outbox.c.destination == bindparam("to_whom")), destination
    if after is not None:
        microseconds, _, rest = after.partition("-")
        number, _, last = rest.partition("-")
        due, same = bindparam("due", type_=UtcDateTime), outbox.c.destination == bindparam("last")
        statement = statement.where(
            outbox.c.destination >= bindparam("last"),
            or_(
                outbox.c.destination > bindparam("last"),
                and_(same, outbox.c.next_try_at > due),
                and_(same, outbox.c.next_try_at == due, outbox.c.outbox_id > bindparam("after")),
            ),
        )
        seconds, left = divmod(row_of(microseconds), 1_000_000)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=left)
        values |= {"due": at, "after": row_of(number), "last": last}
    return _page(connection, statement, values, limit, _place_in_queue)


def _place_in_queue(line: SentLine) -> str:
    due = line.next_try_at
    microseconds = int(due.replace(microsecond=0).timestamp()) * 1_000_000 + due.microsecond
    return f"{microseconds}-{line.outbox_id}-{line.destination}"


def _parked(connection: Connection, destination: str | None, after: str | None, limit: int) -> Page[SentLine]:
    statement = _LINES.where(_is(PARKED)).order_by(outbox.c.destination, outbox.c.outbox_id)
    values: dict[str, object] = {"at_most": limit + 1}
    if destination is not None:
        statement, values["to_whom"] = statement.where(outbox.c.destination == bindparam("to_whom")), destination
    if after is not None:
        number, _, last = after.partition("-")
        beyond = outbox.c.destination > bindparam("last")
        same = and_(outbox.c.destination == bindparam("last"), outbox.c.outbox_id > bindparam("after"))
        statement = statement.where(outbox.c.destination >= bindparam("last"), or_(beyond, same))
        values |= {"last": last, "after": row_of(number)}
    return _page(connection, statement, values, limit, lambda line: f"{line.outbox_id}-{line.destination}")


def _page(
    connection: Connection,
    statement: Select[Any],
    values: dict[str, object],
    limit: int,
    key: Callable[[SentLine], str],
) -> Page[SentLine]:
    return page([SentLine(*row) for row in connection.execute(statement, values)], limit, key)
