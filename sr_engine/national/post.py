"""The post of a simulated country: carries what is in the outbox to its receivers without a network between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.clock import Clock
from sr_engine.configuration import Delivery
from sr_engine.delivery.tries import taken
from sr_engine.store import outbox
from sr_engine.store.outbox import Attempted
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions

Receive = Callable[[bytes, datetime], None]

AT_ONCE = 5_000
"""Messages that one receiver takes in one go, at most."""


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
        """Deliver until nothing is due, or all that is is held back."""
        while True:
            # What transactions have left to be told is told first.
            await self.transactions.close()
            now = self.clock.now()
            due = self.reading(lambda connection, now=now: outbox.destinations(connection, now))  # type: ignore[misc]
            settled = [one for destination in due for one in self._hand_over(destination, now)]
            if not settled:
                return
            await self.transactions.run(lambda work, settled=settled: outbox.settle(work.connection, settled))  # type: ignore[misc]
            self.delivered += len(settled)

    def _hand_over(self, destination: str, now: datetime) -> list[Attempted]:
        """Give a receiver what may be sent to it side by side."""
        receive = self.receivers[destination]
        chosen = self.reading(lambda connection: outbox.sendable(connection, destination, now, AT_ONCE))
        for message in chosen:
            receive(message.body, now)
        return [taken(message, now) for message in chosen]
