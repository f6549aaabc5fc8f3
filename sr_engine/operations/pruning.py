"""Taking what is old out of the database: into a file of the archive first, and away once that is on the disk.

A file counts from the transaction on that removes its rows, which happens only if they are still what the file holds.
So a process may end at any moment: rows are in the database or in a file that counts, never in both or in neither.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from signing import Certificate, SigningKey
from sr_engine import archive
from sr_engine.configuration import Retention
from sr_engine.operations.audit_verification import ChainReport, walk
from sr_engine.store import archives, audit, audit_chain, retention
from sr_engine.store.audit_chain import Link
from sr_engine.store.portions import ROWS_AT_ONCE, ChangedMeanwhile, Kind, Line, Portion
from sr_engine.store.reading import Reading
from sr_engine.store.units_of_work import UnitOfWork

FORMAT = 1
LINKS_AT_ONCE = 1_000
"""Links of the audit trail in one file, at most; and no more than ROWS_AT_ONCE records, unless one link has more."""
_KINDS_OF_ROWS = tuple(kind for kind in Kind if kind is not Kind.AUDIT)


@dataclass(frozen=True, slots=True)
class ChainPart:
    """Links of a chain that go, with their records."""

    chain_id: int
    after: Link
    last: Link


@dataclass(frozen=True, slots=True)
class Prepared:
    """What can be removed: what was chosen, and the file on the disk that holds it; no file if it holds nothing."""

    kind: Kind
    chosen: Portion | ChainPart
    written: archive.Written | None
    digest: bytes
    """Of the rows as they were read."""

    @property
    def reached(self) -> Any:
        """For `Pruning.prepare`, once this is removed."""
        return self.chosen.reached if isinstance(self.chosen, Portion) else None


@dataclass(frozen=True, slots=True)
class Pruning:
    """Prunes one instance, portion by portion: `prepare` beside what is written, `remove` in a transaction."""

    reading: Reading
    """One state of the database each time."""
    folder: Path
    """The archive's."""
    terms: Retention
    key: SigningKey
    certificates: Collection[Certificate]
    """By one of these the newest checkpoint of the audit trail is signed."""
    draw_id: Callable[[], str]

    def cutoff(self, kind: Kind, now: datetime) -> datetime:
        """What was over by then may go."""
        kept: Mapping[Kind, timedelta] = {
            Kind.MESSAGES: self.terms.messages,
            Kind.REQUESTS: self.terms.requests,
            Kind.UPGRADES: self.terms.upgrades,
            Kind.LISTS: self.terms.upgrades,
            Kind.DELIVERIES: self.terms.upgrades,
            Kind.IMAGES: self.terms.images,
            Kind.AUDIT: self.terms.audit,
        }
        return now - kept[kind]

    def set_aside(self) -> list[str]:
        """Set aside files that a process left behind which ended before it removed their rows; return their names."""
        counted = self.reading(lambda connection: {one.name for one in archives.counted(connection)})
        return archive.abandon(self.folder, counted)

    def prepare(self, kind: Kind, now: datetime, reached: Any = None) -> Prepared | None:
        """Choose the next portion of a kind and write it to a new file; None if nothing is left.

        `reached` is that of what was prepared and removed before it in the same run. Raises ChainBroken if the audit
        trail is not what was written: then nothing of it goes.
        """
        return self.reading(lambda connection: self._prepare(connection, kind, now, reached))

    def discard(self, prepared: Prepared) -> None:
        """Delete the file of what was prepared and will not be removed; one that counts stays."""
        written = prepared.written
        if written is not None and not self.reading(lambda connection: archives.is_counted(connection, written.name)):
            archive.discard(self.folder, written.name)

    def remove(self, unit_of_work: UnitOfWork, prepared: Prepared) -> None:
        """Remove what was prepared, in the transaction from which on its file counts; doing it twice does it once.

        Raises ChangedMeanwhile, having changed nothing, if it is not what is in the file: the file has to be set aside.
        """
        connection, now, kind, chosen = unit_of_work.connection, unit_of_work.now, prepared.kind, prepared.chosen
        written = prepared.written
        if written is not None:
            if archives.is_counted(connection, written.name):
                return
            if not archive.is_there(self.folder, written.name):
                raise ChangedMeanwhile(f"{written.name} is not in the archive any more")
            archives.add(connection, archives.Counted(written.name, kind.value, written.sha256, written.lines), now)
        if isinstance(chosen, ChainPart):
            self._remove_links(connection, chosen, now)
        else:
            if _digest(retention.read(connection, kind, chosen)) != prepared.digest:
                raise ChangedMeanwhile(f"some of the {kind} have changed")
            retention.remove(connection, kind, chosen)
            if kind is Kind.REQUESTS:
                archives.set_mark(connection, kind.value, chosen.up_to)

    def count(self, now: datetime) -> dict[Kind, int]:
        """How much would go by now, nothing of it changed: hubs of upgrades, devices of deliveries, records of the
        audit trail, else rows or lists."""
        return self.reading(lambda connection: self._count(connection, now))

    def _prepare(self, connection: Connection, kind: Kind, now: datetime, reached: Any) -> Prepared | None:
        cutoff = self.cutoff(kind, now)
        name = f"{now:%Y-%m-%d}/{kind}-{now:%H%M%S}-{self.draw_id()}{archive.SUFFIX}"
        if kind is Kind.AUDIT:
            part = self._choose_links(connection, cutoff)
            if part is None:
                return None
            written = archive.write(self.folder, name, _lines_of_links(connection, part))
            return Prepared(kind, part, written, b"")
        mark = archives.mark(connection, kind.value)
        portion = retention.choose(connection, kind, cutoff, mark, reached)
        if portion is None:
            return None
        if not portion.keys:
            return Prepared(kind, portion, None, _digest(retention.read(connection, kind, portion)))
        hashed = hashlib.sha256()

        def lines() -> Iterator[Mapping[str, object]]:
            yield {"archive": FORMAT, "kind": kind.value, "before": cutoff}
            for line in retention.read(connection, kind, portion):
                hashed.update(_bytes_of(line))
                yield {"table": line.table, "row": line.row}

        written = archive.write(self.folder, name, lines())
        return Prepared(kind, portion, written, hashed.digest())

    def _choose_links(self, connection: Connection, cutoff: datetime) -> ChainPart | None:
        for chain_id, writer in audit_chain.chains(connection):
            last = audit_chain.prunable(connection, chain_id, cutoff, LINKS_AT_ONCE, ROWS_AT_ONCE)
            if last is not None:
                walk(connection, ChainReport(chain_id, writer), self.certificates, up_to=last.number)
                return ChainPart(chain_id, audit_chain.start_of(connection, chain_id), last)
        return None

    def _remove_links(self, connection: Connection, part: ChainPart, now: datetime) -> None:
        if audit_chain.start_of(connection, part.chain_id) != part.after:
            raise ChangedMeanwhile("the audit trail has been pruned by somebody else")
        checkpoint = audit_chain.unsigned_checkpoint(part.last, now)
        checkpoint = replace(checkpoint, signature=self.key.sign(checkpoint.text(part.chain_id)))
        audit_chain.prune(connection, part.chain_id, checkpoint, now)

    def _count(self, connection: Connection, now: datetime) -> dict[Kind, int]:
        found: dict[Kind, int] = {
            kind: retention.count(connection, kind, self.cutoff(kind, now)) for kind in _KINDS_OF_ROWS
        }
        found[Kind.AUDIT] = 0
        for chain_id, _ in audit_chain.chains(connection):
            last = audit_chain.prunable(connection, chain_id, self.cutoff(Kind.AUDIT, now), 2**62)
            if last is not None:
                found[Kind.AUDIT] += audit_chain.number_of_records(connection, chain_id, last.last_audit_id)
        return found


def record(unit_of_work: UnitOfWork, actor: str, lines: Mapping[Kind, int], aside: Collection[str]) -> None:
    """Note in the audit trail what has been pruned, if anything was, and that everything has been looked through."""
    connection, now = unit_of_work.connection, unit_of_work.now
    archives.set_done(connection, now)
    what = [f"{number} lines of {kind}" for kind, number in lines.items() if number]
    what += [f"{name} set aside" for name in aside]
    if what:
        audit.record(connection, [audit.Entry(now, actor, "pruned into the archive", ", ".join(what))])


def _lines_of_links(connection: Connection, part: ChainPart) -> Iterator[Mapping[str, object]]:
    """Each link before its records: with `after` they are all it takes to recompute the hashes."""
    yield {
        "archive": FORMAT,
        "kind": Kind.AUDIT.value,
        "chain": part.chain_id,
        "after": _as_line(part.after),
        "last": _as_line(part.last),
        "columns": audit_chain.COLUMNS,
    }
    previous = part.after
    for link in audit_chain.links(connection, part.chain_id, part.after.number):
        if link.number > part.last.number:
            return
        yield {"link": _as_line(link)}
        for values in audit_chain.plain_records(connection, part.chain_id, previous.last_audit_id, link.last_audit_id):
            yield {"record": values}
        previous = link


def _as_line(link: Link) -> list[object]:
    return [link.number, link.last_audit_id, link.hash.hex()]


def _digest(lines: Iterator[Line]) -> bytes:
    hashed = hashlib.sha256()
    for line in lines:
        hashed.update(_bytes_of(line))
    return hashed.digest()


def _bytes_of(line: Line) -> bytes:
    return json.dumps([line.table, line.row], default=_text).encode()


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
