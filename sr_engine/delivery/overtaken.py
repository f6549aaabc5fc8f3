"""Messages that wait for a time further ahead than any wait is long: the clock by which they wait was wrong."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sr_engine.store import outbox
from sr_engine.store.units_of_work import UnitOfWork

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Overtaken:
    """The chore that lets them go once the clock is right again."""

    destinations: Sequence[str]
    longest_wait: timedelta

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Look through what waits for each destination; there is never more to do at once."""
        now = unit_of_work.now
        found = outbox.bring_forward(unit_of_work.connection, self.destinations, now + self.longest_wait, now)
        if found:
            log.warning("%d message(s) were to be sent by a clock that was ahead; they are sent now", found)
        return False
