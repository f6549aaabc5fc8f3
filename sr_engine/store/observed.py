"""What those see who watch an instance from outside: messages on their way, states of hubs, the firmware they run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, or_, select

from sr_engine.store import forms
from sr_engine.store.tables import attempts, devices, outbox

_WAITING = (
    select(outbox.c.message_id, outbox.c.kind, outbox.c.destination, outbox.c.event, *forms.BODY)
    .select_from(forms.WITH_FORMS)
    .where(outbox.c.state == "Pending")
    .order_by(outbox.c.outbox_id)
)
_TAKEN = outbox.update().where(outbox.c.state == "Pending").values(state="Delivered", delivered_at=bindparam("now"))
_STATES = select(attempts.c.hub_id, attempts.c.state).order_by(attempts.c.attempt_id)
_OF_HUBS = devices.c.device_type.in_(("CHF", "GPF"))
_NOT_ON = select(devices.c.device_id, devices.c.firmware_version).where(
    _OF_HUBS, or_(devices.c.firmware_version.is_(None), devices.c.firmware_version != bindparam("version"))
)
_HAS_HUBS = select(exists().where(_OF_HUBS))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits to be sent."""

    message_id: str
    kind: str
    destination: str
    event: str
    body: bytes


def take_all(connection: Connection, now: datetime) -> list[Waiting]:
    """Every message that waits, in order; all of them count as delivered, whenever they would have been sent."""
    found = [
        Waiting(message_id, kind, destination, event, forms.whole(*body))
        for message_id, kind, destination, event, *body in connection.execute(_WAITING)
    ]
    if found:
        connection.execute(_TAKEN, {"now": now})
    return found


def newest_states(connection: Connection) -> dict[str, str]:
    """By hub, the state of its newest attempt; hubs without one are left out."""
    return {row.hub_id: row.state for row in connection.execute(_STATES)}


def hubs_not_on(connection: Connection, version: str) -> list[tuple[str, str | None]]:
    """Every CHF and GPF of which the inventory says that it runs something else, and what."""
    found = connection.execute(_NOT_ON, {"version": version})
    return [(row.device_id, row.firmware_version) for row in found]


def has_hubs(connection: Connection) -> bool:
    """Whether there is any CHF or GPF in the inventory."""
    return bool(connection.scalar(_HAS_HUBS))
