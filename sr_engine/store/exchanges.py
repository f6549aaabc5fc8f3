"""The inbox: every exchange with the exact bytes received and answered, kept before the answer leaves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import exchanges

_FIND = Prepared(
    select(exchanges.c.digest, exchanges.c.code, exchanges.c.detail, exchanges.c.answer).where(
        exchanges.c.interface == bindparam("interface"),
        exchanges.c.message_key == bindparam("message_key"),
        exchanges.c.command_variant == bindparam("command_variant"),
    )
)
_ANSWERED_AT = select(func.max(exchanges.c.received_at)).where(
    exchanges.c.interface == bindparam("interface"), exchanges.c.message_key == bindparam("message_key")
)
_INSERT = Prepared(exchanges.insert().returning(exchanges.c.exchange_id))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message and its answer; `message_key` is the RequestID or MessageID in canonical form."""

    interface: str
    message_key: str
    command_variant: int
    digest: bytes
    sender_eui: str
    service_reference_variant: str
    received_at: datetime
    code: str
    detail: str
    received: bytes
    answer: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered to a message that came before, and the digest of what it said."""

    digest: bytes
    code: str
    detail: str
    answer: bytes
    """Empty once it has been pruned; to a message of a CSP it always is."""


def find(connection: Connection, interface: str, message_key: str, command_variant: int) -> Answered | None:
    """The answer already given under this key, if any."""
    sought = {"interface": interface, "message_key": message_key, "command_variant": command_variant}
    row = _FIND.one_or_none(connection, sought)
    return None if row is None else Answered(row.digest, row.code, row.detail, row.answer)


def answered_at(connection: Connection, interface: str, message_key: str) -> datetime | None:
    """When a message under this key was answered last, with whatever Command Variant; None if it was not."""
    found: datetime | None = connection.scalar(_ANSWERED_AT, {"interface": interface, "message_key": message_key})
    return found


def add(connection: Connection, exchange: Exchange) -> int:
    """Keep an exchange and return its row number; raises IntegrityError if one is kept under the same key."""
    added: int | None = _INSERT.scalar(
        connection,
        {
            "interface": exchange.interface,
            "message_key": exchange.message_key,
            "command_variant": exchange.command_variant,
            "digest": exchange.digest,
            "sender_eui": exchange.sender_eui,
            "service_reference_variant": exchange.service_reference_variant,
            "received_at": exchange.received_at,
            "code": exchange.code,
            "detail": exchange.detail,
            "received": exchange.received,
            "answer": exchange.answer,
        },
    )
    if added is None:
        raise RuntimeError("the inbox gave no row number")
    return added
