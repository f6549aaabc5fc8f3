"""What follows transactions that leave something to tell: alerts are signed beside other work, then queued in short.

Of what a Supplier is to be told portions are taken, from the oldest on, and nothing that comes after them before their
alerts are queued: so what a Supplier is told is in order. Those of several go together, up to QUEUED_AT_ONCE, for
a transaction costs as much as dozens of alerts. One that queues alerts finds their portions gone if another process was
faster, and then changes nothing: so each is told once. Processes (on PostgreSQL) and the parts of
one keep out of each other's way by holding a Supplier while they are at it; that saves work, and nothing rests on it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from sr_engine.delivery.alerts import Alerts, SignedAlerts
from sr_engine.delivery.firmware_alerts import FirmwareAlerts
from sr_engine.store import firmware_tidings, tidings
from sr_engine.store.database import holding, looking, may_pass, stop_looking
from sr_engine.store.tidings import Tidings
from sr_engine.store.units_of_work import Taken, UnitOfWork

log = logging.getLogger(__name__)

QUEUED_AT_ONCE = 1_000
"""Alerts that one transaction queues, about: some 50 ms, in which nothing else is written."""


@dataclass(frozen=True, slots=True)
class Telling:
    """Prepares the alerts of some Suppliers after those of others."""

    alerts: Alerts
    firmware_alerts: FirmwareAlerts
    engine: Engine
    """One that only reads."""
    _held: set[str] = field(default_factory=set, init=False)
    """Suppliers whose alerts are being prepared or queued by this process."""
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False)

    def take(self, *, whoever_is_at_it: bool = False) -> Taken | None:
        """Sign what those who have waited longest are to be told first; None if nobody has to be told anything.

        A Supplier that is held by somebody else is passed over, unless `whoever_is_at_it`.
        """
        with ExitStack() as stack:
            hold = stack.enter_context(holding(self.engine))
            connection = stack.enter_context(looking(self.engine))
            waiting = tidings.whom(connection)
            portions: list[Tidings] = []
            left, looked_at = QUEUED_AT_ONCE, 0
            while left > 0 and looked_at < len(waiting):
                organisation = waiting[looked_at]
                looked_at += 1
                if not whoever_is_at_it and not self._hold(hold, organisation, stack):
                    continue
                of_one = tidings.oldest(connection, organisation, left)
                portions += of_one
                left -= sum(len(portion.events) for portion in of_one)
            if portions:
                signed = self._signed(connection, portions, waiting)
                # Processes of a version before number what they queue within the transactions of whoever writes.
                beside, more = not signed.mixed, looked_at < len(waiting)
                return Taken(self._queueing(signed), stack.pop_all().close, more, beside=beside)
            if not waiting and firmware_tidings.are_left(connection):
                return Taken(self._firmware, lambda: None)
        return None

    def _signed(self, connection: Connection, portions: Sequence[Tidings], waiting: Sequence[str]) -> SignedAlerts:
        """The alerts of what some are to be told; if they cannot be written, those of the first who can be told alone.

        Raises what is raised for them if nobody of all who wait can.
        """
        try:
            composed = self.alerts.compose(connection, portions)
            stop_looking(connection)
            return self.alerts.sign(composed)
        except Exception as error:
            if may_pass(error):
                raise
            first = error
        # Held or not: that saves work only.
        for organisation in waiting:
            of_one = tidings.oldest(connection, organisation, QUEUED_AT_ONCE)
            if of_one:
                try:
                    composed = self.alerts.compose(connection, of_one)
                    stop_looking(connection)
                    return self.alerts.sign(composed)
                except Exception as error:
                    if may_pass(error):
                        raise
                    log.exception("what %s is to be told cannot be written", organisation)
        raise first

    def _hold(self, hold: Callable[[str], bool], organisation: str, stack: ExitStack) -> bool:
        """Keep others from the same until the stack is closed, with which `hold` lets go."""
        with self._guard:
            if organisation in self._held:
                return False
            self._held.add(organisation)
        is_held = False
        try:
            is_held = hold(organisation)
        finally:
            # Also if the database is away: who stayed held would be told nothing more.
            if not is_held:
                self._let_go(organisation)
        if is_held:
            stack.callback(self._let_go, organisation)
        return is_held

    def _let_go(self, organisation: str) -> None:
        with self._guard:
            self._held.discard(organisation)

    def _queueing(self, signed: SignedAlerts) -> Callable[[UnitOfWork], None]:
        return lambda unit_of_work: self.alerts.queue(unit_of_work, signed)

    def _firmware(self, unit_of_work: UnitOfWork) -> None:
        self.firmware_alerts.write(unit_of_work)


def remind(unit_of_work: UnitOfWork) -> bool:
    """Have told what a stop has left to be told; False: there is nothing more to do in transactions like this one."""
    if tidings.are_left(unit_of_work.connection) or firmware_tidings.are_left(unit_of_work.connection):
        unit_of_work.to_follow.set()
    return False
