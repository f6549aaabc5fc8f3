"""Which process delivers to which destination: all of them work it out alike, from the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sr_engine.store import circuits, leases

REACHES = "reaches:"
"""Before a destination, the lease of the process that reached it when the one that it falls to could not."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How destinations are shared out, as of the last look."""

    there: Collection[str] = ()
    """Processes that deliver."""
    probes: Mapping[str, int] = field(default_factory=dict)
    """How many there were at each destination whose circuit is open."""
    reached_by: Mapping[str, str] = field(default_factory=dict)

    def owner_of(self, destination: str, me: str) -> str:
        """The process that a destination falls to; `me` counts as one that is there.

        It is who once reached it when another could not. While its circuit is open each probe falls to another process:
        it may be that only the way from one of them is cut.
        """
        there = {*self.there, me}
        if destination in self.probes:
            return _drawn(f"{destination} {self.probes[destination]}", there)
        reached_by = self.reached_by.get(destination)
        return reached_by if reached_by in there else _drawn(destination, there)

    def owner_by_name(self, destination: str, me: str) -> str:
        """The process that it falls to whoever has reached it."""
        return _drawn(destination, {*self.there, me})


def shares(connection: Connection, now: datetime, length: timedelta) -> Shares:
    """As they are now; `length` is that of a lease."""
    return Shares(
        leases.present(connection, now, length),
        {one.destination: one.probes for one in circuits.all_open(connection)},
        {name.removeprefix(REACHES): holder for name, holder in leases.held(connection, REACHES, now, length).items()},
    )


def _drawn(name: str, there: Collection[str]) -> str:
    return max(there, key=lambda holder: hashlib.sha256(f"{name} {holder}".encode()).digest())
