"""What an operator does about messages that could not be delivered."""

from __future__ import annotations

from sr_engine.store import audit, circuits, outbox, summaries
from sr_engine.store.units_of_work import UnitOfWork

RESENT_AT_ONCE = 1_000
"""Messages that are queued again in one transaction, at most."""


class NotParked(Exception):
    """The message cannot be sent again by hand; the text says why."""


def resend(unit_of_work: UnitOfWork, message_id: str, *, how: str = "") -> None:
    """Queue a parked message once more, with the same bytes and id. Raises NotParked.

    `how` says in the audit trail by which face, and by whom, it was asked for.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    found = summaries.message_details(connection, message_id)
    if found is None:
        raise NotParked(f"there is no message {message_id} in the outbox")
    if found.state != outbox.PARKED:
        raise NotParked(f"message {message_id} is {found.state}: only parked messages are sent again")
    outbox.send_again(connection, message_id, now)
    circuits.probe_now(connection, found.destination, now)
    audit.record(connection, [_entry(unit_of_work, message_id, how)])


def resend_to(unit_of_work: UnitOfWork, destination: str, *, how: str = "") -> int:
    """Queue the oldest parked messages to a receiver once more, in their order; return how many.

    There may be more if that is RESENT_AT_ONCE. Whoever asks for it believes that the receiver is back: that is tried.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    message_ids = outbox.send_parked(connection, destination, now, RESENT_AT_ONCE)
    if message_ids:
        circuits.probe_now(connection, destination, now)
    audit.record(connection, [_entry(unit_of_work, message_id, how) for message_id in message_ids])
    return len(message_ids)


def _entry(unit_of_work: UnitOfWork, message_id: str, how: str) -> audit.Entry:
    detail = audit.said(f"message {message_id} sent again after it was parked", how)
    return audit.Entry(unit_of_work.now, "operator", "resend", detail, message_id)
