"""How things stand, by the database and by certificates; looked up when somebody asks, and not too often."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Connection

from sr_engine.clock import Clock
from sr_engine.domain.holding import HoldReason
from sr_engine.domain.sla import Measure, Month
from sr_engine.store import circuits, held, kept_changes, sla, standing
from sr_engine.store.reading import Reading

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 10.0
"""Whoever asks more often gets the same again."""

_ALL_USERS = "users"


class Standing:
    """Asks the database what waits and what went wrong."""

    def __init__(
        self,
        reading: Reading,
        clock: Clock,
        regions: Mapping[str, object],
        expiries: Callable[[], Mapping[str, datetime]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`expiries` tells until when each certificate is valid, by whose it is."""
        self._reading = reading
        self._clock = clock
        self._regions = sorted(regions)
        self._expiries = expiries
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._found: list[Metric] = []

    def families(self) -> list[Metric]:
        """All of it; without the database, what is known without it, and that it does not answer."""
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= LOOK_EVERY_SECONDS:
            self._found = [*self._look(), self._certificates()]
            self._looked_at = now
        return self._found

    def _look(self) -> list[Metric]:
        up = GaugeMetricFamily("sr_engine_database_up", "Whether the database answers.")
        try:
            found = self._reading(lambda connection: list(self._of_database(connection)))
        except Exception:
            log.exception("metrics are without what the database knows")
            up.add_metric((), 0)
            return [up]
        up.add_metric((), 1)
        return [up, *found]

    def _of_database(self, connection: Connection) -> Iterator[Metric]:
        now = self._clock.now()
        yield from self._queues(connection, now)
        yield _gauge(
            "sr_engine_held_requests",
            "Requests that were answered and wait to be carried out, by what they wait for.",
            "reason",
            {reason.value: 0 for reason in HoldReason}
            | {reason.value: number for reason, number in held.waiting_counts(connection).items()},
        )
        left = kept_changes.unfinished(connection)
        yield GaugeMetricFamily(
            "sr_engine_unfinished_portions",
            "Portions of long lists that were answered and are still to be carried out.",
            0 if left is None else left.portions,
        )
        yield GaugeMetricFamily(
            "sr_engine_unfinished_oldest_seconds",
            "How long ago the oldest of these was answered.",
            0 if left is None else left.waits(now).total_seconds(),
        )
        open_circuits = dict.fromkeys(self._places(), 0)
        for one in circuits.all_open(connection):
            open_circuits[self._place(one.destination)] += 1
        yield _gauge("sr_engine_open_circuits", "Receivers that fail.", "region", open_circuits)
        month = Month.of(now)
        breaches = GaugeMetricFamily(
            "sr_engine_sla_breaches",
            "Breaches of service levels that were found in this month, UTC.",
            labels=("region", "measure"),
        )
        found = {
            (one.region, one.measure): one.number for one in sla.breaches_found(connection, month.start, month.end)
        }
        for region in self._regions:
            for measure in Measure:
                breaches.add_metric((region, measure.value), found.get((region, measure), 0))
        yield breaches

    def _queues(self, connection: Connection, now: datetime) -> Iterator[Metric]:
        numbers, ages, parked = (dict.fromkeys(self._places(), 0.0) for _ in range(3))
        for one in standing.waiting(connection):
            place = self._place(one.destination)
            numbers[place] += one.number
            ages[place] = max(ages[place], (now - one.oldest).total_seconds())
        for destination, number in standing.parked(connection).items():
            parked[self._place(destination)] += number
        yield _gauge(
            "sr_engine_queue_messages", "Messages to a region's CSP, or to all Users, that wait.", "region", numbers
        )
        yield _gauge("sr_engine_queue_oldest_seconds", "How long the oldest of these has waited.", "region", ages)
        yield _gauge("sr_engine_parked_messages", "Messages that were given up.", "region", parked)

    def _places(self) -> list[str]:
        return [*self._regions, _ALL_USERS]

    def _place(self, destination: str) -> str:
        """The region of a CSP; Users are not told apart, for there are many."""
        name = destination.partition(":")[2]
        return name if name in self._regions else _ALL_USERS

    def _certificates(self) -> Metric:
        return _gauge(
            "sr_engine_certificate_expires_timestamp_seconds",
            "When certificates expire, in seconds since 1970.",
            "of",
            {whose: until.timestamp() for whose, until in self._expiries().items()},
        )


def _gauge(name: str, says: str, label: str, numbers: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, says, labels=(label,))
    for value, number in numbers.items():
        family.add_metric((value,), number)
    return family
