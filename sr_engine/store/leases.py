"""Leases: which process may do a piece of work, until when, and by which token.

A token is never given out twice under one name. Whoever writes under a lease first looks, in the same transaction,
whether its token is still the newest; on a database with several writers that look keeps others from claiming the lease
until the transaction has ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, or_, select
from sqlalchemy.exc import IntegrityError

from sr_engine.store.tables import leases

_SAYS_REVISION = re.compile("r([0-9]{4})[0-9a-f]{27}")
_FIND = select(leases).where(leases.c.name == bindparam("sought"))
_NEWEST = select(leases).where(leases.c.holder.is_not(None)).order_by(leases.c.renewed_at.desc()).limit(1)
_CHECK = select(leases.c.token, leases.c.holder).where(leases.c.name == bindparam("sought")).with_for_update()
_INSERT = leases.insert()
# Nothing has happened to the lease since it was read: neither a claim nor a renewal.
_CLAIM = (
    leases.update()
    .where(
        leases.c.name == bindparam("sought"),
        leases.c.token == bindparam("seen_token"),
        leases.c.renewed_at == bindparam("seen_renewed_at"),
    )
    .values(
        token=leases.c.token + 1,
        holder=bindparam("new_holder"),
        acquired_at=bindparam("now"),
        renewed_at=bindparam("now"),
        expires_at=bindparam("until"),
    )
)
_RENEW = (
    leases.update()
    .where(leases.c.holder == bindparam("by"))
    .values(renewed_at=bindparam("now"), expires_at=bindparam("until"))
)
_HELD = select(leases.c.name, leases.c.token).where(leases.c.holder == bindparam("by"))
_FREE_ALL = leases.update().where(leases.c.holder.is_not(None)).values(holder=None, expires_at=bindparam("now"))
_GIVE_BACK = leases.update().where(leases.c.holder == bindparam("by")).values(holder=None, expires_at=bindparam("now"))
_GIVE_ONE_BACK = _GIVE_BACK.where(leases.c.name == bindparam("sought"), leases.c.token == bindparam("seen_token"))
PRESENCE = "worker:"
"""Before the id of a process, the lease that shows that it is there and delivers; no other ever claims it."""
_HELD_WITH_PREFIX = select(leases).where(
    leases.c.name >= bindparam("first"), leases.c.name < bindparam("beyond"), leases.c.holder.is_not(None)
)
_FORGET = leases.delete().where(
    leases.c.name.startswith(PRESENCE), or_(leases.c.holder.is_(None), leases.c.expires_at <= bindparam("now"))
)


class LeaseLost(Exception):
    """Another process has the lease now, or it was given back: what was begun under it changes nothing."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was claimed."""

    name: str
    token: int
    holder: str


@dataclass(frozen=True, slots=True)
class LeaseState:
    """What is on record of a lease; times are of the instance's clock."""

    name: str
    token: int
    holder: str | None
    """None: it was given back."""
    acquired_at: datetime
    renewed_at: datetime
    expires_at: datetime

    def is_free(self, now: datetime, length: timedelta) -> bool:
        """True if anybody may claim it: given back, run out, or renewed so far ahead that a clock must have been wrong.

        `length` is that of a lease: no two clocks that may be trusted differ by as much.
        """
        return self.holder is None or now >= self.expires_at or self.renewed_at > now + length


def find(connection: Connection, name: str) -> LeaseState | None:
    """One lease; None if nobody ever claimed it."""
    row = connection.execute(_FIND, {"sought": name}).one_or_none()
    return None if row is None else _state_of(row)


def all_leases(connection: Connection) -> list[LeaseState]:
    """All there are, by name."""
    return [_state_of(row) for row in connection.execute(select(leases).order_by(leases.c.name))]


def unexpired(connection: Connection, now: datetime) -> dict[str, datetime]:
    """Until when, by process, those are good that somebody holds and nobody else may claim."""
    until: dict[str, datetime] = {}
    for one in all_leases(connection):
        if one.holder is not None and not one.is_free(now, one.expires_at - one.renewed_at):
            until[one.holder] = max(one.expires_at, until.get(one.holder, one.expires_at))
    return until


def name_of_process(revision: str, drawn: str) -> str:
    """Under which a process holds leases that knows the schema up to a revision; `drawn` has 32 hexadecimal digits."""
    return f"r{revision}{drawn[5:]}"


def knows(holder: str) -> str | None:
    """The newest revision that a process knows; None: it is of the first release or of before it, which do not say."""
    said = _SAYS_REVISION.match(holder)
    return None if said is None else said[1]


def newest_renewal(connection: Connection) -> LeaseState | None:
    """The lease that was renewed last, of those that are held; None if none is."""
    row = connection.execute(_NEWEST).one_or_none()
    return None if row is None else _state_of(row)


def claim(connection: Connection, name: str, holder: str, now: datetime, length: timedelta) -> Lease | None:
    """Claim a lease for a time, under a new token; None if another process has it, or was faster."""
    if name.startswith(PRESENCE):
        connection.execute(_FORGET, {"now": now})
    known = find(connection, name)
    times = {"now": now, "until": now + length}
    if known is None:
        values = {"name": name, "token": 1, "holder": holder, "acquired_at": now, "renewed_at": now}
        try:
            with connection.begin_nested():
                connection.execute(_INSERT, {**values, "expires_at": now + length})
        except IntegrityError:
            return None
        return Lease(name, 1, holder)
    if known.holder != holder and not known.is_free(now, length):
        return None
    seen = {"sought": name, "seen_token": known.token, "seen_renewed_at": known.renewed_at}
    claimed = connection.execute(_CLAIM, {**seen, **times, "new_holder": holder})
    return Lease(name, known.token + 1, holder) if claimed.rowcount == 1 else None


def renew(connection: Connection, holder: str, now: datetime, length: timedelta) -> set[Lease]:
    """Renew all that a process holds, also those that have run out and nobody has claimed; return them."""
    connection.execute(_RENEW, {"by": holder, "now": now, "until": now + length})
    return {Lease(name, token, holder) for name, token in connection.execute(_HELD, {"by": holder})}


def check(connection: Connection, lease: Lease) -> None:
    """Raises LeaseLost unless the token of a lease is the newest and was not given back."""
    row = connection.execute(_CHECK, {"sought": lease.name}).one_or_none()
    if row is None or (row.token, row.holder) != (lease.token, lease.holder):
        raise LeaseLost(f"the lease {lease.name!r} is no longer held under token {lease.token}")


def give_back(connection: Connection, holder: str, now: datetime) -> None:
    """Free all that a process holds."""
    connection.execute(_GIVE_BACK, {"by": holder, "now": now})
    connection.execute(_FORGET, {"now": now})


def let_go(connection: Connection, lease: Lease, now: datetime) -> None:
    """Free one lease, if it is still the process's."""
    sought = {"sought": lease.name, "seen_token": lease.token, "by": lease.holder, "now": now}
    connection.execute(_GIVE_ONE_BACK, sought)


def presence_of(holder: str) -> str:
    """The name of the lease that shows that a process is there."""
    return f"{PRESENCE}{holder}"


def present(connection: Connection, now: datetime, length: timedelta) -> list[str]:
    """Processes that deliver, by their ids."""
    return sorted(held(connection, PRESENCE, now, length).values())


def held(connection: Connection, prefix: str, now: datetime, length: timedelta) -> dict[str, str]:
    """Holders of the leases whose names begin so, and that nobody else may claim, by those names."""
    # Names are in the order of their bytes.
    beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    found = (_state_of(row) for row in connection.execute(_HELD_WITH_PREFIX, {"first": prefix, "beyond": beyond}))
    return {one.name: one.holder for one in found if one.holder is not None and not one.is_free(now, length)}


def free_all(connection: Connection, now: datetime) -> None:
    """Free all, whoever held them: in a database that was restored none of their holders works."""
    connection.execute(_FREE_ALL, {"now": now})


def _state_of(row: Row[Any]) -> LeaseState:
    return LeaseState(row.name, row.token, row.holder, row.acquired_at, row.renewed_at, row.expires_at)
