"""Withdrawals of upgrade lists that CSPs were asked for, and whether they have answered."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from sr_engine.store.tables import list_withdrawals


def add(connection: Connection, message_key: str, list_id: str, reason: str, now: datetime) -> None:
    """Note that a CSP is asked to withdraw a list, or hubs of it."""
    connection.execute(
        list_withdrawals.insert().values(message_key=message_key, list_id=list_id, reason=reason, asked_at=now)
    )


def reason_of(connection: Connection, message_key: str, list_id: str) -> str | None:
    """Why a list was to be withdrawn; None if it was not by that message."""
    found: str | None = connection.scalar(
        select(list_withdrawals.c.reason).where(
            list_withdrawals.c.message_key == message_key, list_withdrawals.c.list_id == list_id
        )
    )
    return found


def answered(connection: Connection, message_key: str, now: datetime) -> None:
    """Note that the CSP has answered, the first time it does."""
    connection.execute(
        list_withdrawals.update()
        .where(list_withdrawals.c.message_key == message_key, list_withdrawals.c.answered_at.is_(None))
        .values(answered_at=now)
    )
