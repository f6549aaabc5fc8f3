"""Withdrawals of upgrade lists that CSPs were asked for, and whether they have answered."""

from __future__ import annotations

import json
from collections.abc import Iterable
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
    hub_ids: tuple[str, ...] | None = None
    """None: all that are on the list."""


def add(connection: Connection, message_key: str, asked: Withdrawal, now: datetime) -> None:
    """Note that a CSP is asked to withdraw a list, or hubs of it."""
    connection.execute(
        list_withdrawals.insert().values(
            message_key=message_key,
            list_id=asked.list_id,
            reason=asked.reason,
            replacing=asked.replacing,
            hub_ids=None if asked.hub_ids is None else json.dumps(asked.hub_ids),
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


def for_good(connection: Connection, list_id: str, hub_ids: Iterable[str]) -> dict[str, str]:
    """By hub, why those of some are to be taken off a list that are not to stand on another, by what has no answer yet.

    The reason asked for first.
    """
    asked = connection.execute(
        select(list_withdrawals.c.reason, list_withdrawals.c.hub_ids)
        .where(
            list_withdrawals.c.list_id == list_id,
            ~list_withdrawals.c.replacing,
            list_withdrawals.c.answered_at.is_(None),
        )
        .order_by(list_withdrawals.c.asked_at, list_withdrawals.c.message_key)
    ).all()
    named = [(row.reason, None if row.hub_ids is None else set(json.loads(row.hub_ids))) for row in asked]
    found: dict[str, str] = {}
    for hub_id in hub_ids:
        reason = next((reason for reason, only in named if only is None or hub_id in only), None)
        if reason is not None:
            found[hub_id] = reason
    return found


def answered(connection: Connection, message_key: str, now: datetime) -> None:
    """Note that the CSP has answered, the first time it does."""
    connection.execute(
        list_withdrawals.update()
        .where(list_withdrawals.c.message_key == message_key, list_withdrawals.c.answered_at.is_(None))
        .values(answered_at=now)
    )
