"""What a long list comes to, worked out beside the transactions that write, and whether that is so when its turn comes.

It is if its release is what it was, its hubs are where and with whom they were, and the audit trail, which names the
hubs of all else that a decision goes by, names none of them since. Those that it names are looked up once more.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.domain.portions import Portion
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware
from sr_engine.requests.outcome import Outcome
from sr_engine.store import audit, releases, suppliers, upgrades
from sr_engine.store.known_hubs import KnownHubs
from sr_engine.store.reading import Connection
from sr_engine.store.upgrades import Past


@dataclass(frozen=True, slots=True)
class Decided:
    """What a request came to when its hubs were looked up."""

    outcome: Outcome = field(repr=False)
    portions: Sequence[Portion] | None = field(repr=False)
    """What it changes, as far as that is kept; None: nothing was to be kept by then."""
    past: Past = field(repr=False)
    """That of its hubs, by which it was decided."""
    release: Release
    audit_id: int
    """The newest record of the audit trail by then."""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """What was found out about a request before its transaction."""

    known: KnownHubs
    decided: Decided | None = None
    """None if more than what is known of its hubs decides."""

    def portions_of(self, outcome: Outcome) -> Sequence[Portion] | None:
        """Those of an outcome, if that was the one before and they were worked out."""
        return self.decided.portions if self.decided is not None and self.decided.outcome is outcome else None

    @property
    def only_known(self) -> LookedUp:
        """The same for a decision at another time."""
        return LookedUp(self.known)

    def still_so(self, connection: Connection, firmware: Firmware, now: datetime) -> tuple[Decided, Set[str]] | None:
        """What was decided, and the hubs that something was done with since; None if all may be otherwise by now."""
        decided, known = self.decided, self.known
        if (
            decided is None
            or known.at > now
            or releases.by_firmware(connection, firmware) != decided.release
            or not suppliers.are_as_of(connection, known.written, known.at, now)
            or self._number_is_taken(connection, decided)
        ):
            return None
        return decided, audit.hubs_named_since(connection, decided.audit_id).intersection(known.hub_ids.values())

    def _number_is_taken(self, connection: Connection, decided: Decided) -> bool:
        changes = decided.outcome.changes
        if changes is None or changes.new_schedule is None:
            return False
        return upgrades.schedule_exists(connection, changes.new_schedule.schedule.schedule_id)
