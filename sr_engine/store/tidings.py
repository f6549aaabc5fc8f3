"""What Suppliers are still to be told: kept with what caused it, and gone once its alerts are in the outbox."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.configuration import AlertEvent
from sr_engine.domain.changes import HubEvent
from sr_engine.store import notices
from sr_engine.store.bulk import execute_many
from sr_engine.store.prepared import Prepared, Row
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import tidings

_PORTIONS_AT_ONCE = 16
"""That are read to find so many events."""

_WHOM = Prepared(
    select(tidings.c.organisation).group_by(tidings.c.organisation).order_by(func.min(tidings.c.tidings_id))
)
_OLDEST = Prepared(
    select(tidings)
    .where(tidings.c.organisation == bindparam("organisation"))
    .order_by(tidings.c.tidings_id)
    .limit(bindparam("at_most"))
)
_STILL_THERE = Prepared(
    select(tidings.c.tidings_id, tidings.c.at, tidings.c.organisation, tidings.c.event)
    .where(is_one_of(tidings.c.tidings_id, "keys"))
    # Whoever tells the same beside this waits here, and then finds them gone.
    .with_for_update()
)
_ANY = select(tidings.c.tidings_id).limit(1)
_INSERT = Prepared(tidings.insert())
_DELETE = Prepared(tidings.delete().where(is_one_of(tidings.c.tidings_id, "keys")))


@dataclass(frozen=True, slots=True)
class Tidings:
    """Events of one kind and release for one Supplier, as of one moment."""

    tidings_id: int
    event: str
    organisation: str
    at: datetime
    release_id: str
    events: tuple[HubEvent, ...]


def add(connection: Connection, portions: Sequence[Sequence[HubEvent]], at: datetime) -> None:
    """Append portions; the events of each have the same name, Supplier and release."""
    execute_many(
        connection,
        _INSERT,
        [
            {
                "event": portion[0].event.value,
                "organisation": portion[0].organisation,
                "release_id": portion[0].release_id,
                "at": at,
                "hub_count": len(portion),
                "hubs": json.dumps(
                    [
                        [one.hub_id, one.occurrence, one.device_id, one.for_gas, one.request_id, one.versions]
                        for one in portion
                    ]
                ),
            }
            for portion in portions
        ],
    )
    notices.leave(connection, notices.Left.TIDINGS)


@dataclass(frozen=True, slots=True)
class Alike:
    """An event of many hubs of one Supplier that happened to all of them at once."""

    event: AlertEvent
    organisation: str
    release_id: str
    occurrence: str
    hub_ids: Sequence[str]


def add_alike(connection: Connection, portions: Sequence[Alike], at: datetime) -> None:
    """The same as `add` for events that are alike but for their hubs."""
    execute_many(
        connection,
        _INSERT,
        [
            {
                "event": portion.event.value,
                "organisation": portion.organisation,
                "release_id": portion.release_id,
                "at": at,
                "hub_count": len(portion.hub_ids),
                "hubs": json.dumps({"occurrence": portion.occurrence, "hub_ids": portion.hub_ids}),
            }
            for portion in portions
        ],
    )
    notices.leave(connection, notices.Left.TIDINGS)


def whom(connection: Connection) -> list[str]:
    """The organisations that are to be told something, whoever waits longest first."""
    return [row.organisation for row in _WHOM.all(connection)]


def oldest(connection: Connection, organisation: str, at_least: int) -> list[Tidings]:
    """What an organisation is to be told first: as many portions as it takes for so many events, if there are."""
    chosen: list[Tidings] = []
    for row in _OLDEST.all(connection, {"organisation": organisation, "at_most": _PORTIONS_AT_ONCE}):
        events = tuple(_events(row))
        chosen.append(Tidings(row.tidings_id, row.event, organisation, row.at, row.release_id, events))
        at_least -= len(events)
        if at_least <= 0:
            break
    return chosen


def _events(row: Row) -> Iterator[HubEvent]:
    event, organisation, release_id = AlertEvent(row.event), row.organisation, row.release_id
    hubs = json.loads(row.hubs)
    if isinstance(hubs, dict):
        for hub_id in hubs["hub_ids"]:
            yield HubEvent(event, hub_id, organisation, release_id, hubs["occurrence"])
        return
    for hub_id, occurrence, device_id, for_gas, request_id, pair in hubs:
        versions = None if pair is None else (pair[0], pair[1])
        yield HubEvent(event, hub_id, organisation, release_id, occurrence, device_id, for_gas, request_id, versions)


def remove(connection: Connection, told: Sequence[Tidings]) -> bool:
    """They are told now; False, and nothing has changed, if some of them have been told already."""
    wanted = {"keys": members([one.tidings_id for one in told])}
    # SQLite gives the number of a row that has gone to the next one that comes: by it alone another would be taken.
    there = {(row.tidings_id, row.at, row.organisation, row.event) for row in _STILL_THERE.all(connection, wanted)}
    if not there.issuperset((one.tidings_id, one.at, one.organisation, one.event) for one in told):
        return False
    _DELETE.run(connection, wanted)
    return True


def are_left(connection: Connection) -> bool:
    """True if somebody is still to be told something."""
    return connection.scalar(_ANY) is not None


def counts(connection: Connection) -> dict[str, int]:
    """Events still to be told, by name: one for each hub and Supplier."""
    found = connection.execute(select(tidings.c.event, func.sum(tidings.c.hub_count)).group_by(tidings.c.event))
    return {event: int(number) for event, number in found}
