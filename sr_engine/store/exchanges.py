"""The inbox: every exchange with the exact bytes received and answered, kept before the answer leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.store import sharing
from sr_engine.store.bulk import execute_many
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of_many, members
from sr_engine.store.tables import exchanges
from sr_engine.value_objects import value_object

_FIND = Prepared(
    select(exchanges.c.digest, exchanges.c.code, exchanges.c.detail, exchanges.c.answer).where(
        exchanges.c.interface == bindparam("interface"),
        exchanges.c.message_key == bindparam("message_key"),
        exchanges.c.command_variant == bindparam("command_variant"),
    )
)
_FIND_ALL = Prepared(
    select(
        exchanges.c.message_key,
        exchanges.c.command_variant,
        exchanges.c.digest,
        exchanges.c.code,
        exchanges.c.detail,
        exchanges.c.answer,
    ).where(exchanges.c.interface == bindparam("interface"), is_one_of_many(exchanges.c.message_key, "message_keys"))
)
_ANSWERED_AT = select(func.max(exchanges.c.received_at)).where(
    exchanges.c.interface == bindparam("interface"), exchanges.c.message_key == bindparam("message_key")
)
_INSERT = Prepared(exchanges.insert().returning(exchanges.c.exchange_id))
_PUT = Prepared(exchanges.insert())
_ANSWERED = ("exchanges",)
"""What is known of those that were answered before, by interface, key and Command Variant."""


@value_object
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
    answer: bytes | Callable[[], bytes]
    """Or what gives it, asked when it is written: for all that share a transaction one after the other."""


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
    shared = sharing.of(connection)
    if shared is not None:
        known: Answered | None = shared.known(_ANSWERED, (interface, message_key, command_variant))
        if known is not sharing.UNKNOWN:
            return known
    sought = {"interface": interface, "message_key": message_key, "command_variant": command_variant}
    row = _FIND.one_or_none(connection, sought)
    return None if row is None else Answered(row.digest, row.code, row.detail, row.answer)


def ask_ahead(
    connection: Connection, shared: sharing.Shared, interface: str, sought: Iterable[tuple[str, int]]
) -> sharing.Take:
    """Find for all that share this transaction; `sought` are keys and Command Variants."""
    wanted = set(sought)
    keys = members(sorted({key for key, _ in wanted}))
    asked = _FIND_ALL.ask(connection, {"interface": interface, "message_keys": keys})

    def look() -> Mapping[tuple[str, str, int], Answered | None]:
        found = {(key, variant): Answered(*answered) for key, variant, *answered in asked.all()}
        return {(interface, *one): found.get(one) for one in wanted}

    return lambda: shared.read(_ANSWERED, look)


def answered_at(connection: Connection, interface: str, message_key: str) -> datetime | None:
    """When a message under this key was answered last, with whatever Command Variant; None if it was not."""
    found: datetime | None = connection.scalar(_ANSWERED_AT, {"interface": interface, "message_key": message_key})
    return found


def add(connection: Connection, exchange: Exchange) -> int:
    """Keep an exchange and return its row number; raises IntegrityError if one is kept under the same key."""
    with sharing.sparing(connection, _ANSWERED[0], [_key(exchange)]):
        added: int | None = _INSERT.scalar(connection, _row(exchange))
    if added is None:
        raise RuntimeError("the inbox gave no row number")
    return added


def put(connection: Connection, exchange: Exchange) -> None:
    """The same for one whose row number nobody needs: written with others of this transaction, if it is shared.

    If one is kept under the same key, that is where the error is raised.
    """
    shared = sharing.of(connection)
    if shared is None:
        _PUT.run(connection, _row(exchange))
    else:
        shared.forget(_ANSWERED[0], [_key(exchange)])
        shared.keep(exchanges.name, _put_all, {"exchange": exchange})


def _put_all(connection: Connection, kept: Sequence[Mapping[str, Any]]) -> None:
    execute_many(connection, _PUT, [_row(one["exchange"]) for one in kept])


def _key(exchange: Exchange) -> tuple[str, str, int]:
    return exchange.interface, exchange.message_key, exchange.command_variant


def _row(exchange: Exchange) -> Mapping[str, object]:
    return {
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
        "answer": exchange.answer if isinstance(exchange.answer, bytes) else exchange.answer(),
    }
