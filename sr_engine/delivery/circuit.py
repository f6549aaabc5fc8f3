"""The circuit breaker of one destination: after failures in a row it lets nothing through but a probe now and then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sr_engine.configuration import Delivery
from sr_engine.delivery.tries import Reply, drawn
from sr_engine.store.circuits import OpenCircuit

log = logging.getLogger(__name__)


class Breaker:
    """What is known of a receiver from what has just been sent to it; `opened` is kept in the database."""

    def __init__(
        self, destination: str, opened: OpenCircuit | None, policy: Delivery, randbelow: Callable[[int], int]
    ) -> None:
        """`opened` is what the database knows of it."""
        self.opened = opened
        self._destination = destination
        self._policy = policy
        self._randbelow = randbelow
        self._failures = 0

    def admits(self, now: datetime, most: int) -> int:
        """How many messages may be sent side by side now: all, a probe, or none."""
        if self.opened is None:
            return most
        return 1 if self.opened.is_half_open(now, max(self._policy.circuit)) else 0

    def note(self, reply: Reply, now: datetime, *, probing: bool) -> None:
        """Learn from what came of a try; of what was on its way when it was opened only that something was taken."""
        if reply.says_nothing:
            return
        if not reply.is_failure(self._policy.refusals_of_one):
            self._failures = 0
            if self.opened is not None:
                self._close(self.opened, now)
        elif self.opened is None:
            self._failures += 1
            if self._failures >= self._policy.circuit_failures:
                self._open(reply, now)
        elif probing:
            self._stay_open(self.opened, reply, now)

    def _open(self, reply: Reply, now: datetime) -> None:
        retry_at = now + self._wait(self._policy.circuit[0], reply)
        self.opened = OpenCircuit(self._destination, now, retry_at, 0, reply.error or "")
        log.warning(
            "circuit of %s opened after %d failures in a row (%s); first probe at %s",
            self._destination,
            self._failures,
            reply.error,
            retry_at.isoformat(timespec="seconds"),
        )

    def _stay_open(self, opened: OpenCircuit, reply: Reply, now: datetime) -> None:
        probes = opened.probes + 1
        longest = self._policy.circuit[min(probes, len(self._policy.circuit) - 1)]
        retry_at = now + self._wait(longest, reply)
        self.opened = replace(opened, retry_at=retry_at, probes=probes, last_error=reply.error or "")
        log.warning(
            "circuit of %s stays open after probe %d (%s); next probe at %s",
            self._destination,
            probes,
            reply.error,
            retry_at.isoformat(timespec="seconds"),
        )

    def _wait(self, longest: timedelta, reply: Reply) -> timedelta:
        """Before the next probe; what the receiver asks for counts up to the longest wait there is."""
        asked = min(reply.asked_to_wait, max(self._policy.circuit))
        return max(asked, drawn(longest, self._randbelow, at_least=0.5))

    def _close(self, opened: OpenCircuit, now: datetime) -> None:
        self.opened = None
        log.info(
            "circuit of %s closed: it is back after %d s; what had failed is sent now",
            self._destination,
            (now - opened.opened_at).total_seconds(),
        )
