"""The post of a simulated country: carries what is in the outbox to its receivers without a network between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.clock import Clock
from sr_engine.configuration import Delivery
from sr_engine.delivery.dispatch import settle
from sr_engine.store import outbox
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions

Receive = Callable[[bytes, datetime], None]

AT_ONCE = 1_000
"""Messages of one destination whose delivery one transaction records, at most."""


@dataclass(slots=True)
class Post:
    """Delivers in the order and by the records of the dispatcher; every receiver takes everything."""

    transactions: Transactions
    reading: Reading
    clock: Clock
    policy: Delivery
    receivers: Mapping[str, Receive]
    """By destination."""
    delivered: int = field(default=0)

    async def deliver(self) -> None:
        """Deliver until nothing is due."""
        while True:
            # What transactions have left to be told is told first.
            await self.transactions.close()
            now = self.clock.now()
            due = self.reading(lambda connection, now=now: outbox.destinations(connection, now))  # type: ignore[misc]
            if not due:
                return
            for destination in due:
                await self._deliver_to(destination, now)

    async def _deliver_to(self, destination: str, now: datetime) -> None:
        receive = self.receivers[destination]
        while chosen := self.reading(lambda connection: outbox.sendable(connection, destination, now, AT_ONCE)):
            for message in chosen:
                receive(message.body, now)
            results = [settle(message, None, now, self.policy) for message in chosen]
            await self.transactions.run(
                lambda unit_of_work, results=results: outbox.settle(unit_of_work.connection, results),  # type: ignore[misc]
                heavy=True,
            )
            self.delivered += len(chosen)
