"""Withdrawals of upgrade lists that CSPs were asked for, and whether they have answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from sr_engine.store.tables import list_withdrawals


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a CSP was asked."""

    list_id: str
    reason: str
    replacing: bool
    """What it takes off is to stand on a new list, as far as it still may."""


def add(connection: Connection, message_key: str, asked: Withdrawal, now: datetime) -> None:
    """Note that a CSP is asked to withdraw a list, or hubs of it."""
    connection.execute(
        list_withdrawals.insert().values(
            message_key=message_key,
            list_id=asked.list_id,
            reason=asked.reason,
            replacing=asked.replacing,
            asked_at=now,
        )
    )


def find(connection: Connection, message_key: str, list_id: str) -> Withdrawal | None:
    """What was asked of a list by a message; None if nothing was."""
    row = connection.execute(
        select(list_withdrawals.c.reason, list_withdrawals.c.replacing).where(
            list_withdrawals.c.message_key == message_key, list_withdrawals.c.list_id == list_id
        )
    ).one_or_none()
    return None if row is None else Withdrawal(list_id, row.reason, row.replacing)


def answered(connection: Connection, message_key: str, now: datetime) -> None:
    """Note that the CSP has answered, the first time it does."""
    connection.execute(
        list_withdrawals.update()
        .where(list_withdrawals.c.message_key == message_key, list_withdrawals.c.answered_at.is_(None))
        .values(answered_at=now)
    )
