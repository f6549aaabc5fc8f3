"""The hash chains of the audit trail: one link per committed transaction, and what verification reads of them.

A link's hash is the SHA-256 of the chain, the link's number, the hash of the link before it (32 zero bytes for the
first), and every column of the transaction's records in the order they were given out. Each value is written as its
kind, its length and its bytes: integers in decimal, text in UTF-8, times as text in UTC to the microsecond.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    bindparam,
    exists,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from sr_engine.store.audit import CHAIN, UNLINKED
from sr_engine.store.dialects import stored_bytes, stored_kind, utc_text
from sr_engine.store.prepared import Prepared
from sr_engine.store.tables import UtcDateTime, audit, audit_chains, audit_checkpoints, audit_links

WRITER = "processor"
BEFORE_THE_FIRST = bytes(32)
"""Stands for the hash of the link before the first."""

_LINKS_AT_ONCE, _RECORDS_AT_ONCE = 1_000, 5
"""Rows that are fetched of the trail at a time: a record may name 50,000 hubs."""
_DOMAIN = b"sr-engine audit link 1"
_KINDS = {"null": b"n", "integer": b"i", "text": b"s", "blob": b"b", "real": b"r"}


class Malformed(Exception):
    """A link or checkpoint that the processor cannot have written."""


@dataclass(frozen=True, slots=True)
class Link:
    """The end of one committed transaction."""

    number: int
    last_audit_id: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Stands for all links up to one that was the last to be pruned; `pruned_at` is as stored."""

    link: Link
    pruned_at: str
    signature: bytes

    def text(self, chain_id: int) -> bytes:
        """What is signed."""
        return (
            "sr-engine audit checkpoint 1\n"
            f"chain {chain_id}\nlink {self.link.number}\nlast record {self.link.last_audit_id}\n"
            f"hash {self.link.hash.hex()}\npruned {self.pruned_at}\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record as it is stored, whatever has been done to it; `data` is what is hashed."""

    audit_id: int
    at: bytes
    """As it is stored."""
    data: bytes


def start_hash(chain_id: int, number: int, previous: bytes) -> hashlib._Hash:
    """The hash of a link, to which its records are still to be added."""
    return hashlib.sha256(b"".join((_DOMAIN, _integer(chain_id), _integer(number), _field(b"b", previous))))


def _field(kind: bytes, data: bytes) -> bytes:
    return b"%b%d:%b" % (kind, len(data), data)


def _integer(value: int) -> bytes:
    return _field(b"i", b"%d" % value)


def _written(record: Iterable[str | int | None]) -> bytes:
    """The values of a record as the driver returns them, each behind its kind and its length in bytes."""
    # A request has some thirty of these: a call for each would take longer than all of it.
    return "".join(
        [
            "n0:"
            if value is None
            else f"i{len(str(value))}:{value}"
            if isinstance(value, int)
            else f"s{len(value) if str.isascii(value) else len(value.encode())}:{value}"
            for value in record
        ]
    ).encode()


# --- Linking -----------------------------------------------------------------------------------------------------


def _plain(column: Column[Any]) -> ColumnElement[Any]:
    """A column as it is stored: a time in another form would be another time to the hash."""
    return utc_text(column) if isinstance(column.type, UtcDateTime) else column


def _of_link(column: Column[Any], by: ColumnElement[Any]) -> ScalarSelect[Any]:
    """A column of the first link of a chain by some order."""
    of_chain = select(column).where(audit_links.c.chain_id == bindparam("chain_id"))
    return of_chain.order_by(by).limit(1).scalar_subquery()


def _of_newest_link(column: Column[Any]) -> ScalarSelect[Any]:
    return _of_link(column, audit_links.c.number.desc())


# Behind number and hash of the newest link, the records as they are hashed, the row number first.
_UNLINKED = Prepared(
    select(_of_newest_link(audit_links.c.number), _of_newest_link(audit_links.c.hash), *map(_plain, audit.columns))
    .where(
        audit.c.chain_id == bindparam("chain_id"),
        audit.c.audit_id > func.coalesce(_of_newest_link(audit_links.c.last_audit_id), 0),
    )
    .order_by(audit.c.audit_id)
)
_INSERT_LINK = Prepared(audit_links.insert())
_REGISTER = insert(audit_chains).on_conflict_do_nothing()


def link(connection: Connection, now: datetime) -> None:
    """Link the records of this transaction, if there are any; nothing may be recorded in it after that.

    What is linked is what is in the table: records that a savepoint took back are not.
    """
    if not connection.info.pop(UNLINKED, False):
        return
    rows = _UNLINKED.tuples(connection, {"chain_id": CHAIN})
    if not rows:
        return
    number, previous = rows[0][:2]
    if number is None:
        connection.execute(_REGISTER, {"chain_id": CHAIN, "writer": WRITER, "registered_at": now})
        number, previous = 0, BEFORE_THE_FIRST
    hashed = start_hash(CHAIN, number + 1, previous)
    for row in rows:
        hashed.update(_written(row[2:]))
    _INSERT_LINK.put(
        connection,
        {"chain_id": CHAIN, "number": number + 1, "last_audit_id": rows[-1][2], "hash": hashed.digest()},
    )


# --- Verification ------------------------------------------------------------------------------------------------


def _raw(column: Column[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """A column's kind and bytes: read so, no value that was tampered with stops the reading."""
    return stored_kind(column), stored_bytes(column)


def _all_raw(*columns: Column[Any]) -> Select[Any]:
    return select(*(part for column in columns for part in _raw(column)))


_CHAINS = _all_raw(audit_chains.c.chain_id, audit_chains.c.writer).order_by(audit_chains.c.chain_id)
_LINKS = (
    _all_raw(audit_links.c.number, audit_links.c.last_audit_id, audit_links.c.hash)
    .where(audit_links.c.chain_id == bindparam("chain_id"), audit_links.c.number > bindparam("after"))
    .order_by(audit_links.c.number)
)
_NEWEST_HASH = select(_of_newest_link(audit_links.c.hash))
_LINK_UP_TO = select(
    exists().where(audit_links.c.chain_id == bindparam("chain_id"), audit_links.c.number <= bindparam("to"))
)
_CHECKPOINT = (
    _all_raw(
        audit_checkpoints.c.number,
        audit_checkpoints.c.last_audit_id,
        audit_checkpoints.c.hash,
        audit_checkpoints.c.pruned_at,
        audit_checkpoints.c.signature,
    )
    .where(audit_checkpoints.c.chain_id == bindparam("chain_id"))
    .order_by(audit_checkpoints.c.number.desc())
    .limit(1)
)
_RECORDS = (
    _all_raw(*audit.columns)
    .where(audit.c.chain_id == bindparam("chain_id"), audit.c.audit_id > bindparam("after"))
    .order_by(audit.c.audit_id)
)
_AT = list(audit.columns).index(audit.c.at)
_FIRST_RECORD = select(func.min(audit.c.audit_id)).where(audit.c.chain_id == bindparam("chain_id"))
_REGISTERED = select(audit_chains.c.chain_id)
_STRAY_RECORD = select(func.min(audit.c.audit_id)).where(audit.c.chain_id.not_in(_REGISTERED))
_STRAY_LINK = select(
    exists(audit_links.c.chain_id).where(audit_links.c.chain_id.not_in(_REGISTERED))
    | exists(audit_checkpoints.c.chain_id).where(audit_checkpoints.c.chain_id.not_in(_REGISTERED))
)


def chains(connection: Connection) -> list[tuple[int, str]]:
    """Number and writer of every registered chain."""
    return [(int(number), name.decode(errors="replace")) for _, number, _, name in connection.execute(_CHAINS)]


def heads(connection: Connection) -> list[bytes]:
    """The hash of the newest link of every chain that has one, in the order of their numbers."""
    found = [connection.execute(_NEWEST_HASH, {"chain_id": chain_id}).scalar() for chain_id, _ in chains(connection)]
    return [one for one in found if one is not None]


def _streamed(connection: Connection, statement: Select[Any], at_once: int, **sought: int) -> Generator[Sequence[Any]]:
    """Rows as they are asked for: of a long trail PostgreSQL's driver would fetch all at once."""
    with connection.execute(statement, sought, execution_options={"yield_per": at_once}) as rows:
        yield from rows


def links(connection: Connection, chain_id: int, after: int) -> Generator[Link]:
    """The links with a higher number, in order; raises Malformed at one that is none."""
    for row in _streamed(connection, _LINKS, _LINKS_AT_ONCE, chain_id=chain_id, after=after):
        yield _link_of(row)


def has_link_up_to(connection: Connection, chain_id: int, number: int) -> bool:
    """Whether there is a link with this or a lower number."""
    return bool(connection.scalar(_LINK_UP_TO, {"chain_id": chain_id, "to": number}))


def newest_checkpoint(connection: Connection, chain_id: int) -> Checkpoint | None:
    """The checkpoint verification starts from; raises Malformed if it is none. Its signature is not looked at."""
    row = connection.execute(_CHECKPOINT, {"chain_id": chain_id}).one_or_none()
    if row is None:
        return None
    pruned_at, signature = row[7], row[9]
    return Checkpoint(_link_of(row[:6]), (pruned_at or b"").decode(errors="replace"), signature or b"")


def _link_of(row: Sequence[Any]) -> Link:
    number_kind, number, last_kind, last, hash_kind, digest = row
    if (number_kind, last_kind, hash_kind) != ("integer", "integer", "blob"):
        raise Malformed
    return Link(int(number), int(last), digest)


def records(connection: Connection, chain_id: int, after: int) -> Generator[StoredRecord]:
    """The records with a higher number, in order, one at a time."""
    for row in _streamed(connection, _RECORDS, _RECORDS_AT_ONCE, chain_id=chain_id, after=after):
        kinds, values = row[::2], row[1::2]
        data = b"".join([_field(_KINDS[kind], value or b"") for kind, value in zip(kinds, values, strict=True)])
        yield StoredRecord(int(values[0]), values[_AT] or b"", data)


def first_record(connection: Connection, chain_id: int) -> int | None:
    """The lowest number of a record."""
    first: int | None = connection.scalar(_FIRST_RECORD, {"chain_id": chain_id})
    return first


def stray_record(connection: Connection) -> int | None:
    """The first record that is in no registered chain."""
    first: int | None = connection.scalar(_STRAY_RECORD)
    return first


def has_stray_link(connection: Connection) -> bool:
    """Whether a link or checkpoint is in no registered chain."""
    return bool(connection.scalar(_STRAY_LINK))


# --- The archive -------------------------------------------------------------------------------------------------

COLUMNS = tuple(column.name for column in audit.columns)
"""Of a record, in the order in which they are hashed."""
_PLAIN_RECORDS = (
    select(*map(_plain, audit.columns))
    .where(
        audit.c.chain_id == bindparam("chain_id"),
        audit.c.audit_id > bindparam("after"),
        audit.c.audit_id <= bindparam("up_to"),
    )
    .order_by(audit.c.audit_id)
)


def plain_records(connection: Connection, chain_id: int, after: int, up_to: int) -> Iterator[Sequence[Any]]:
    """Records by their numbers, in order, each value as it was hashed: a number, text or none."""
    for row in _streamed(connection, _PLAIN_RECORDS, _RECORDS_AT_ONCE, chain_id=chain_id, after=after, up_to=up_to):
        yield tuple(row)


def hash_of(chain_id: int, number: int, previous: bytes, records: Iterable[Sequence[Any]]) -> bytes:
    """The hash of a link over records as `plain_records` gives them."""
    hashed = start_hash(chain_id, number, previous)
    for record in records:
        hashed.update(_written(record))
    return hashed.digest()


def start_of(connection: Connection, chain_id: int) -> Link:
    """The link that the first one there is was made from; raises Malformed if the newest checkpoint is none."""
    checkpoint = newest_checkpoint(connection, chain_id)
    return Link(0, 0, BEFORE_THE_FIRST) if checkpoint is None else checkpoint.link


# --- Pruning -----------------------------------------------------------------------------------------------------

_FIRST_SINCE = (
    select(audit.c.audit_id)
    .where(
        audit.c.chain_id == bindparam("chain_id"),
        audit.c.at >= bindparam("before"),
        audit.c.audit_id <= bindparam("up_to"),
    )
    .order_by(audit.c.audit_id)
    .limit(1)
)
_OLDEST_LINKS = select(
    _of_link(audit_links.c.last_audit_id, audit_links.c.number.asc()),
    select(func.max(audit_links.c.last_audit_id))
    .where(
        audit_links.c.chain_id == bindparam("chain_id"),
        audit_links.c.number < _of_link(audit_links.c.number, audit_links.c.number.asc()) + bindparam("limit"),
    )
    .scalar_subquery(),
)
# The newest link is kept: the next one is made from it.
_PRUNABLE = (
    select(audit_links.c.number, audit_links.c.last_audit_id, audit_links.c.hash)
    .where(
        audit_links.c.chain_id == bindparam("chain_id"),
        audit_links.c.last_audit_id < bindparam("first_kept"),
        audit_links.c.number < _of_newest_link(audit_links.c.number),
        audit_links.c.number < _of_link(audit_links.c.number, audit_links.c.number.asc()) + bindparam("limit"),
    )
    .order_by(audit_links.c.number.desc())
    .limit(1)
)
_DELETE_RECORDS = audit.delete().where(
    audit.c.chain_id == bindparam("key_chain"), audit.c.audit_id <= bindparam("last")
)
_DELETE_LINKS = audit_links.delete().where(
    audit_links.c.chain_id == bindparam("key_chain"), audit_links.c.number <= bindparam("last")
)
_INSERT_CHECKPOINT = audit_checkpoints.insert()
_AFTER_ALL = 2**63 - 1


def prunable(
    connection: Connection, chain_id: int, before: datetime, limit: int, records_limit: int = _AFTER_ALL
) -> Link | None:
    """The last of the oldest links, at most `limit`, all of whose records are older than `before`.

    With no more than `records_limit` records, unless the oldest link alone has more.
    """
    sought: dict[str, object] = {"chain_id": chain_id, "limit": limit}
    oldest, last = connection.execute(_OLDEST_LINKS, sought).one()
    first = first_record(connection, chain_id)
    if oldest is None or first is None:
        return None
    # No further than what may go: the trail is long.
    up_to = min(last, max(oldest, first + records_limit - 1))
    first_kept = connection.scalar(_FIRST_SINCE, {"chain_id": chain_id, "before": before, "up_to": up_to})
    row = connection.execute(
        _PRUNABLE, {**sought, "first_kept": up_to + 1 if first_kept is None else first_kept}
    ).one_or_none()
    return None if row is None else Link(*row)


_HOW_MANY = select(func.count()).where(
    audit.c.chain_id == bindparam("chain_id"), audit.c.audit_id <= bindparam("up_to")
)


def number_of_records(connection: Connection, chain_id: int, up_to: int) -> int:
    """How many records of a chain there are up to one."""
    return int(connection.scalar(_HOW_MANY, {"chain_id": chain_id, "up_to": up_to}) or 0)


def unsigned_checkpoint(link: Link, now: datetime) -> Checkpoint:
    """A checkpoint that is still to be signed."""
    return Checkpoint(link, f"{now.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}", b"")


def prune(connection: Connection, chain_id: int, checkpoint: Checkpoint, now: datetime) -> None:
    """Delete the links up to a signed checkpoint made at `now`, and their records."""
    upto = checkpoint.link
    connection.execute(_DELETE_RECORDS, {"key_chain": chain_id, "last": upto.last_audit_id})
    connection.execute(_DELETE_LINKS, {"key_chain": chain_id, "last": upto.number})
    connection.execute(
        _INSERT_CHECKPOINT,
        {
            "chain_id": chain_id,
            "number": upto.number,
            "last_audit_id": upto.last_audit_id,
            "hash": upto.hash,
            "pruned_at": now,
            "signature": checkpoint.signature,
        },
    )
