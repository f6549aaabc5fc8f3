"""Whether the clocks by which processes share work agree: leases and what is due rest on that."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection

from sr_engine.clock import Clock
from sr_engine.store import leases
from sr_engine.store.database import server_time

_WHY = "leases and all that is due rest on clocks that agree"


def clock_differences(
    connection: Connection, *, real: Clock, own: Clock, rate: float, allowed: timedelta
) -> Sequence[str]:
    """In words, each difference that exceeds `allowed`: to the database's server, and to what other processes noted.

    `real` is the computer's clock, `own` the instance's, which runs `rate` times as fast. A process whose clock is
    behind looks like one that has ended; it is the one that finds this one's ahead.
    """
    said: list[str] = []
    before = real.now()
    there = server_time(connection)
    after = real.now()
    if there is not None:
        # Whatever the way there and back took counts in nobody's disfavour.
        ahead = max(before - there, timedelta(0)) or min(after - there, timedelta(0))
        if abs(ahead) > allowed:
            said.append(f"the clock of this computer is {_seconds(ahead)} that of the database's server: {_WHY}")
    newest = leases.newest_renewal(connection)
    if newest is not None and newest.holder is not None:
        behind = newest.renewed_at - own.now()
        if behind > allowed * rate:
            said.append(
                f"the clock of this process is {_seconds(-behind / rate)} that of process {newest.holder}: {_WHY}"
            )
    return said


def _seconds(ahead: timedelta) -> str:
    return f"{abs(ahead.total_seconds()):.1f} s {'ahead of' if ahead > timedelta(0) else 'behind'}"
