"""What was pruned, as the archive of an instance has it: rows by their table, and records of the audit trail."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from signing import Certificate
from sr_engine import archive
from sr_engine.bootstrap import Instance
from sr_engine.operations.archive_verification import verify as verify_archive
from sr_engine.operations.audit_verification import verify as verify_trail
from sr_engine.store import archives
from sr_engine.store.portions import Kind

Row = Mapping[str, Any]
_OVER = ("Delivered", "Expired")


@dataclass(frozen=True, slots=True)
class Archived:
    """All of it, oldest first."""

    rows: Mapping[str, Sequence[Row]]
    records: Sequence[Row]
    wrong: Sequence[str]
    """What is damaged, or was pruned before its time."""


def read_archive(instance: Instance, connection: Connection) -> Archived:
    """Read every file that counts; what another process has set aside does not."""
    folder, terms = instance.settings.archive_directory, instance.configuration.policy.retention
    rows: dict[str, list[Row]] = defaultdict(list)
    records: list[Row] = []
    wrong = list(verify_archive(connection, folder).wrong)
    kept: Mapping[str, tuple[str, timedelta]] = {
        "outbox": ("delivered_at", terms.messages),
        "exchanges": ("received_at", terms.requests),
        "audit": ("at", terms.audit),
    }
    for one in archives.counted(connection):
        try:
            archive.check(folder, archive.Written(one.name, one.sha256, one.lines))
        except archive.ArchiveDamaged:
            # That is told above, and what it says is worth nothing.
            continue
        head, *lines = archive.read(folder, one.name)
        pruned_at = _pruned_at(one.name)
        for line in lines:
            if "link" in line:
                continue
            is_record = one.kind == Kind.AUDIT.value
            table = "audit" if is_record else line["table"]
            row = dict(zip(head["columns"], line["record"], strict=True)) if is_record else line["row"]
            (records if is_record else rows[table]).append(row)
            moment, length = kept.get(table, ("", timedelta(0)))
            if moment and when(row[moment] or row["created_at"]) > pruned_at - length:
                wrong.append(f"a row of {table} was pruned at {pruned_at}, too early: {str(row)[:200]}")
            if table == "outbox" and row["state"] not in _OVER:
                wrong.append(f"message {row['message_id']} was pruned while it was {row['state']}")
    return Archived(rows, sorted(records, key=lambda row: int(row["audit_id"])), wrong)


def broken_chains(instance: Instance, connection: Connection) -> list[str]:
    """What is wrong with the audit trail from its checkpoints on."""
    certificate = Certificate.from_pem(instance.settings.signing.certificate.read_bytes())
    found = verify_trail(connection, [certificate])
    return [f"chain {one.chain_id}: {one.broken}" for one in found.chains if one.broken] + [
        str(one) for one in found.strays
    ]


def when(text: str) -> datetime:
    """A time of the archive; all are UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _pruned_at(name: str) -> datetime:
    """By the name of a file."""
    day, _, rest = name.partition("/")
    return datetime.strptime(f"{day} {rest.split('-')[1]} +0000", "%Y-%m-%d %H%M%S %z") + timedelta(seconds=1)
