"""Does the audit trail say what it said when it was written? Each chain is recomputed, and its first break named.

What a walk cannot find by itself is that the newest links were cut off together with their records, or that all was
written anew from some link on; that is why an operator keeps the hash of a head elsewhere (`heads`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection

from signing import Certificate, NotAuthenticated, verify_value
from sr_engine.store import audit_chain
from sr_engine.store.audit_chain import BEFORE_THE_FIRST, Checkpoint, Link, Malformed, StoredRecord, start_hash


class Wrong(StrEnum):
    """What can be wrong with a chain."""

    RECORD_CHANGED = "record changed"
    RECORD_MISSING = "record missing"
    RECORD_INSERTED = "record inserted"
    UNLINKED = "records after the last link"
    LINK_CHANGED = "link changed"
    LINK_MISSING = "link missing"
    CHECKPOINT = "checkpoint not ours"
    UNREGISTERED = "chain not registered"


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a chain is not what was written."""

    wrong: Wrong
    why: str
    link: int | None = None
    records: tuple[int, int] | None = None
    """The first and the last that may be concerned."""
    at: datetime | None = None
    """When what is concerned happened, so far as that can still be read."""

    def __str__(self) -> str:
        place = []
        if self.link is not None:
            place.append(f"link {self.link}")
        if self.at is not None:
            place.append(f"{self.at:%Y-%m-%d %H:%M:%S}Z")
        if self.records is not None:
            place.append(_numbers(*self.records))
        return f"{', '.join(place)}{': ' if place else ''}{self.wrong}: {self.why}"


class ChainBroken(Exception):
    """A chain is not what was written; `found` says where."""

    def __init__(self, found: Break) -> None:
        super().__init__(str(found))
        self.found = found


@dataclass(slots=True)
class ChainReport:
    """What a walk along a chain found; where it is broken, up to there."""

    chain_id: int
    writer: str
    checkpoint: Checkpoint | None = None
    links: int = 0
    records: int = 0
    head: bytes | None = None
    broken: Break | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found of all chains."""

    chains: Sequence[ChainReport]
    strays: Sequence[Break] = field(default=())
    """What is in no registered chain."""
    heads_missing: Sequence[bytes] = field(default=())
    """Hashes sought that are in no chain; none of them is a finding where a chain is broken."""

    @property
    def intact(self) -> bool:
        return not (self.strays or self.heads_missing or any(chain.broken for chain in self.chains))


def verify(
    connection: Connection, certificates: Collection[Certificate], heads: Collection[bytes] = ()
) -> Verification:
    """Walk every chain, from its beginning or its newest checkpoint, which one of `certificates` has to have signed.

    `heads` are hashes that have to be in a chain. Memory does not grow with the trail. The connection reads one state
    of the database while it lasts.
    """
    sought = set(heads)
    found = []
    for chain_id, writer in audit_chain.chains(connection):
        report = ChainReport(chain_id, writer)
        try:
            walk(connection, report, certificates, sought=sought)
        except ChainBroken as broken:
            report.broken = broken.found
        found.append(report)
    return Verification(found, tuple(_strays(connection)), tuple(one for one in heads if one in sought))


def walk(
    connection: Connection,
    report: ChainReport,
    certificates: Collection[Certificate],
    *,
    sought: set[bytes] | None = None,
    up_to: int | None = None,
) -> None:
    """Recompute a chain link by link and count in `report`; raises ChainBroken at the first break.

    Hashes met are taken out of `sought`. With `up_to`, the walk ends after that link.
    """
    chain_id = report.chain_id
    previous = _start(connection, report, certificates)
    heads = set() if sought is None else sought
    heads.discard(previous.hash)
    with (
        closing(audit_chain.records(connection, chain_id, previous.last_audit_id)) as records,
        closing(audit_chain.links(connection, chain_id, previous.number)) as links,
    ):
        stored = _Records(records)
        while (link := _next(links, previous)) is not None:
            if link.number != previous.number + 1:
                raise ChainBroken(_missing_link(connection, chain_id, previous, link))
            hashed, last = start_hash(chain_id, link.number, previous.hash), None
            for record in stored.up_to(link.last_audit_id):
                hashed.update(record.data)
                last = record.audit_id
                report.records += 1
            if hashed.digest() != link.hash or last != link.last_audit_id:
                raise ChainBroken(_diagnosis(connection, chain_id, previous, link))
            heads.discard(link.hash)
            report.links += 1
            report.head = link.hash
            previous = link
            if link.number == up_to:
                return
        if stored.next is not None:
            raise ChainBroken(_unlinked(stored.next, stored))


def _start(connection: Connection, report: ChainReport, certificates: Collection[Certificate]) -> Link:
    """The link that the first one to be walked is made from."""
    try:
        checkpoint = audit_chain.newest_checkpoint(connection, report.chain_id)
    except Malformed:
        raise ChainBroken(Break(Wrong.CHECKPOINT, "the newest checkpoint is none")) from None
    start = Link(0, 0, BEFORE_THE_FIRST)
    if checkpoint is not None:
        start = checkpoint.link
        if not any(_signed_by(one, checkpoint, report.chain_id) for one in certificates):
            why = "the signature of the newest checkpoint is not by the key of this instance"
            raise ChainBroken(Break(Wrong.CHECKPOINT, why, start.number))
        report.checkpoint = checkpoint
        report.head = start.hash
    first = audit_chain.first_record(connection, report.chain_id)
    if first is not None and first <= start.last_audit_id:
        why = f"the chain begins with record {start.last_audit_id + 1}"
        raise ChainBroken(Break(Wrong.RECORD_INSERTED, why, None, (first, first)))
    if audit_chain.has_link_up_to(connection, report.chain_id, start.number):
        why = f"the chain begins with link {start.number + 1}, and there is one before it"
        raise ChainBroken(Break(Wrong.LINK_CHANGED, why))
    return start


def _signed_by(certificate: Certificate, checkpoint: Checkpoint, chain_id: int) -> bool:
    try:
        verify_value(certificate, checkpoint.signature, checkpoint.text(chain_id))
    except NotAuthenticated:
        return False
    return True


class _Records:
    """The records of a chain, handed out link by link."""

    def __init__(self, stored: Iterator[StoredRecord]) -> None:
        self._stored = stored
        self.next = next(stored, None)
        """The first that is not handed out yet."""

    def up_to(self, last: int) -> Iterator[StoredRecord]:
        while self.next is not None and self.next.audit_id <= last:
            yield self.next
            self.next = next(self._stored, None)


def _next(links: Iterator[Link], previous: Link) -> Link | None:
    try:
        return next(links, None)
    except Malformed:
        why = "its number, its last record or its hash is none"
        raise ChainBroken(Break(Wrong.LINK_CHANGED, why, previous.number + 1)) from None


# --- What is wrong -----------------------------------------------------------------------------------------------


def _missing_link(connection: Connection, chain_id: int, previous: Link, link: Link) -> Break:
    number = previous.number + 1
    first = next(audit_chain.records(connection, chain_id, previous.last_audit_id), None)
    at = None if first is None else _time(first)
    return Break(
        Wrong.LINK_MISSING,
        f"after link {previous.number} comes link {link.number}" if previous.number else "the chain has no beginning",
        number,
        (previous.last_audit_id + 1, max(link.last_audit_id, previous.last_audit_id + 1)),
        at,
    )


def _unlinked(first: StoredRecord, stored: _Records) -> Break:
    last = first
    for record in stored.up_to(2**63):
        last = record
    return Break(Wrong.UNLINKED, "no link holds them", None, (first.audit_id, last.audit_id), _time(first))


def _diagnosis(connection: Connection, chain_id: int, previous: Link, link: Link) -> Break:
    """Why a link's hash is not the one over its records, as far as its neighbours tell."""
    begins = previous.last_audit_id + 1
    if link.last_audit_id < begins:
        why = f"its last record is said to be {link.last_audit_id}, and link {previous.number} holds that already"
        return Break(Wrong.LINK_CHANGED, why, link.number)
    covered = _covered(connection, chain_id, previous, link)
    first = next(audit_chain.records(connection, chain_id, previous.last_audit_id), None)
    at = None if first is None else _time(first)
    records = (begins, link.last_audit_id)
    if covered is not None:
        why = f"its hash is over the records up to {covered}, not up to {link.last_audit_id}"
        return Break(Wrong.LINK_CHANGED, why, link.number, records, at)
    following = _following(connection, chain_id, link)
    if following is not None and _confirms(connection, chain_id, previous, link, following):
        why = "its hash is not the one over its records, which the link after it was made from"
        return Break(Wrong.LINK_CHANGED, why, link.number, records, at)
    gap = _gap(audit_chain.records(connection, chain_id, previous.last_audit_id), *records)
    if gap is not None:
        return Break(Wrong.RECORD_MISSING, f"the link is over {_numbers(*records)}", link.number, gap, at)
    which = "it is" if begins == link.last_audit_id else "one of them is"
    why = f"{which} not what was linked"
    if following is None:
        why += ", or else the hash of the link was changed: it is the last, and none after it tells"
    return Break(Wrong.RECORD_CHANGED, why, link.number, records, at)


def _covered(connection: Connection, chain_id: int, previous: Link, link: Link) -> int | None:
    """The record up to which a link's hash is right, if there is one."""
    following = _following(connection, chain_id, link)
    hashed = start_hash(chain_id, link.number, previous.hash)
    for record in audit_chain.records(connection, chain_id, previous.last_audit_id):
        if following is not None and record.audit_id > max(link.last_audit_id, following.last_audit_id):
            return None
        hashed.update(record.data)
        if hashed.digest() == link.hash:
            return record.audit_id
    return None


def _confirms(connection: Connection, chain_id: int, previous: Link, link: Link, following: Link) -> bool:
    """Whether the next link was made from the hash that the records of this one have now."""
    stored = _Records(audit_chain.records(connection, chain_id, previous.last_audit_id))
    hashed = start_hash(chain_id, link.number, previous.hash)
    for record in stored.up_to(link.last_audit_id):
        hashed.update(record.data)
    hashed = start_hash(chain_id, following.number, hashed.digest())
    for record in stored.up_to(following.last_audit_id):
        hashed.update(record.data)
    return hashed.digest() == following.hash


def _following(connection: Connection, chain_id: int, link: Link) -> Link | None:
    try:
        return next(audit_chain.links(connection, chain_id, link.number), None)
    except Malformed:
        return None


def _gap(stored: Iterator[StoredRecord], first: int, last: int) -> tuple[int, int] | None:
    """The first numbers of a link that no record has: in a chain they follow one another."""
    expected = first
    for record in stored:
        if record.audit_id > expected:
            return expected, min(record.audit_id - 1, last)
        expected += 1
        if expected > last:
            return None
    return expected, last


def _strays(connection: Connection) -> Iterator[Break]:
    first = audit_chain.stray_record(connection)
    if first is not None:
        yield Break(Wrong.UNREGISTERED, "it is in none of the chains above", None, (first, first))
    if audit_chain.has_stray_link(connection):
        yield Break(Wrong.UNREGISTERED, "a link or checkpoint is in none of the chains above")


def _numbers(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first} to {last}"


def _time(record: StoredRecord) -> datetime | None:
    try:
        return datetime.fromisoformat(record.at.decode()).replace(tzinfo=UTC)
    except ValueError:
        return None
