"""What an operator does about messages that could not be delivered."""

from __future__ import annotations

from sr_engine.store import audit, outbox, summaries
from sr_engine.store.transactions import UnitOfWork


class NotParked(Exception):
    """The message cannot be sent again by hand; the text says why."""


def resend(unit_of_work: UnitOfWork, message_id: str) -> None:
    """Queue a parked message once more, with the same bytes and id. Raises NotParked."""
    connection, now = unit_of_work.connection, unit_of_work.now
    state = summaries.message_state(connection, message_id)
    if state is None:
        raise NotParked(f"there is no message {message_id} in the outbox")
    if state != outbox.PARKED:
        raise NotParked(f"message {message_id} is {state}: only parked messages are sent again")
    outbox.send_again(connection, message_id, now)
    detail = f"message {message_id} sent again after it was parked"
    audit.record(connection, [audit.Entry(now, "operator", "resend", detail, message_id)])
