"""What Suppliers are still to be told: kept with what caused it, and gone once its alerts are in the outbox."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.configuration import AlertEvent
from sr_engine.domain.changes import HubEvent
from sr_engine.store.bulk import execute_many
from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import tidings

_OLDEST = Prepared(select(tidings).order_by(tidings.c.tidings_id).limit(1))
_ANY = select(tidings.c.tidings_id).limit(1)
_INSERT = Prepared(tidings.insert())
_DELETE = Prepared(tidings.delete().where(tidings.c.tidings_id == bindparam("key")))


@dataclass(frozen=True, slots=True)
class Tidings:
    """Events of one kind and release for one Supplier, as of one moment."""

    tidings_id: int
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
                    [[one.hub_id, one.occurrence, one.device_id, one.for_gas, one.request_id] for one in portion]
                ),
            }
            for portion in portions
        ],
    )


def oldest(connection: Connection) -> Tidings | None:
    """The first that were added of those that are left."""
    row = _OLDEST.one_or_none(connection)
    if row is None:
        return None
    event = AlertEvent(row.event)
    events = tuple(
        HubEvent(event, hub_id, row.organisation, row.release_id, occurrence, device_id, for_gas, request_id)
        for hub_id, occurrence, device_id, for_gas, request_id in json.loads(row.hubs)
    )
    return Tidings(row.tidings_id, row.at, row.release_id, events)


def remove(connection: Connection, tidings_id: int) -> None:
    """They have been told."""
    _DELETE.run(connection, {"key": tidings_id})


def are_left(connection: Connection) -> bool:
    """True if somebody is still to be told something."""
    return connection.scalar(_ANY) is not None


def counts(connection: Connection) -> dict[str, int]:
    """Events still to be told, by name: one for each hub and Supplier."""
    found = connection.execute(select(tidings.c.event, func.sum(tidings.c.hub_count)).group_by(tidings.c.event))
    return {event: int(number) for event, number in found}
