"""Circuits that are open: receivers that have failed so often in a row that nothing but a probe is sent to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, select

from sr_engine.store.tables import delivery_circuits

_FIND = select(delivery_circuits).where(delivery_circuits.c.destination == bindparam("sought"))
_CLOSED_TO_ALL = select(delivery_circuits.c.destination).where(
    delivery_circuits.c.retry_at > bindparam("now"), delivery_circuits.c.retry_at <= bindparam("latest")
)
_DELETE = delivery_circuits.delete().where(delivery_circuits.c.destination == bindparam("sought"))
_INSERT = delivery_circuits.insert()
_PROBE_NOW = (
    delivery_circuits.update()
    .where(delivery_circuits.c.destination == bindparam("sought"), delivery_circuits.c.retry_at > bindparam("now"))
    .values(retry_at=bindparam("now"))
)


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """A receiver that fails; times are of the instance's clock."""

    destination: str
    opened_at: datetime
    retry_at: datetime
    """From when on one message may be sent to see whether it is back."""
    probes: int
    """How many were since it was opened."""
    last_error: str

    def is_half_open(self, now: datetime, longest: timedelta) -> bool:
        """True if a probe may be sent: also if that was to be after the longest wait: a clock was wrong."""
        return not now < self.retry_at <= now + longest


def find(connection: Connection, destination: str) -> OpenCircuit | None:
    """The circuit of a destination, if it is open."""
    row = connection.execute(_FIND, {"sought": destination}).one_or_none()
    return None if row is None else OpenCircuit(*row)


def all_open(connection: Connection) -> list[OpenCircuit]:
    """All that are open, by destination."""
    found = connection.execute(select(delivery_circuits).order_by(delivery_circuits.c.destination))
    return [OpenCircuit(*row) for row in found]


def closed_to_all(connection: Connection, now: datetime, longest: timedelta) -> set[str]:
    """Destinations to which not even a probe may be sent yet; `longest` is the longest wait for one."""
    return set(connection.scalars(_CLOSED_TO_ALL, {"now": now, "latest": now + longest}))


def keep(connection: Connection, circuit: OpenCircuit) -> None:
    """Record a circuit as it is now."""
    close(connection, circuit.destination)
    connection.execute(
        _INSERT,
        {
            "destination": circuit.destination,
            "opened_at": circuit.opened_at,
            "retry_at": circuit.retry_at,
            "probes": circuit.probes,
            "last_error": circuit.last_error,
        },
    )


def close(connection: Connection, destination: str) -> None:
    """Let everything be sent to a destination again."""
    connection.execute(_DELETE, {"sought": destination})


def probe_now(connection: Connection, destination: str, now: datetime) -> None:
    """Let a probe be sent to a destination now, if its circuit is open."""
    connection.execute(_PROBE_NOW, {"sought": destination, "now": now})
