"""Is the archive what was written, and does the audit trail in it lead up to the one in the database?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from sr_engine import archive
from sr_engine.archive import ArchiveDamaged, Written
from sr_engine.store import archives, audit_chain
from sr_engine.store.audit_chain import Link
from sr_engine.store.portions import Kind


@dataclass(slots=True)
class ArchiveReport:
    """What was found; `wrong` is empty if all is well."""

    files: int = 0
    lines: int = 0
    links: int = 0
    """Of the audit trail, recomputed."""
    wrong: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    """Links that were pruned without an archive."""


def verify(connection: Connection, folder: Path) -> ArchiveReport:
    """Hold every file that counts against its SHA-256, and recompute the chains of the audit trail in them."""
    report = ArchiveReport()
    sound: dict[str, archives.Counted] = {}
    for one in archives.counted(connection):
        try:
            archive.check(folder, Written(one.name, one.sha256, one.lines))
        except ArchiveDamaged as damaged:
            report.wrong.append(str(damaged))
            continue
        report.files += 1
        report.lines += one.lines
        sound[one.name] = one
    ends: dict[int, Link] = {}
    for one in sound.values():
        if one.kind == Kind.AUDIT.value:
            try:
                _walk(folder, one.name, ends, report)
            except ArchiveDamaged as damaged:
                report.wrong.append(str(damaged))
    for chain_id, end in ends.items():
        start = audit_chain.start_of(connection, chain_id)
        if start.number < end.number or (start.number == end.number and start.hash != end.hash):
            report.wrong.append(f"chain {chain_id} in the database does not begin after link {end.number}")
        elif start.number > end.number:
            report.gaps.append(f"chain {chain_id}: links {end.number + 1} to {start.number} are in no archive")
    return report


def _walk(folder: Path, name: str, ends: dict[int, Link], report: ArchiveReport) -> None:
    """Recompute the links in a file; raises ArchiveDamaged where they are not what was linked."""
    lines = archive.read(folder, name)
    try:
        head = next(lines)
        chain_id, previous, last = int(head["chain"]), _link(head["after"]), _link(head["last"])
        before = ends.get(chain_id, Link(0, 0, audit_chain.BEFORE_THE_FIRST))
        if previous.number > before.number:
            report.gaps.append(f"chain {chain_id}: links {before.number + 1} to {previous.number} are in no archive")
        elif previous != before:
            raise ArchiveDamaged(f"{name} does not follow what is before it in the archive")
        for link, records in _links(lines):
            found = audit_chain.hash_of(chain_id, link.number, previous.hash, records)
            if link.number != previous.number + 1 or found != link.hash:
                raise ArchiveDamaged(f"{name}: link {link.number} of the audit trail is not what was linked")
            report.links += 1
            previous = link
        if previous != last:
            raise ArchiveDamaged(f"{name} ends with link {previous.number}, not {last.number}")
    except (KeyError, TypeError, ValueError, StopIteration):
        raise ArchiveDamaged(f"{name} cannot be read as a part of the audit trail") from None
    ends[chain_id] = last


def _links(lines: Iterator[dict[str, Any]]) -> Iterator[tuple[Link, Sequence[Sequence[Any]]]]:
    link: Link | None = None
    records: list[Sequence[Any]] = []
    for line in lines:
        if "link" in line:
            if link is not None:
                yield link, records
            link, records = _link(line["link"]), []
        else:
            records.append(line["record"])
    if link is not None:
        yield link, records


def _link(values: Sequence[Any]) -> Link:
    number, last, digest = values
    return Link(int(number), int(last), bytes.fromhex(digest))
