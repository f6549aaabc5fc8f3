"""Making an instance of a backup: one that goes on from there, and takes nobody's place."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from signing import Certificate
from sr_engine.backup import manifest as manifests
from sr_engine.backup.manifest import DATABASE, INSTANCE, Manifest
from sr_engine.backup.places import new_folder
from sr_engine.backup.settings_file import with_database
from sr_engine.bootstrap import SETTINGS_FILE, clock_of
from sr_engine.configuration import load_settings
from sr_engine.operations.audit_verification import Verification
from sr_engine.operations.audit_verification import verify as verify_audit
from sr_engine.store import audit, counters, dump, leases, outbox
from sr_engine.store.database import open_engine
from sr_engine.store.dialects import SQLITE
from sr_engine.store.transactions import Transactions, UnitOfWork

LEFT_OUT = 1_000_000
"""Numbers of each counter that nobody is given: the instance may have given them out after the backup was taken."""


class DatabaseNeeded(dump.DumpRefused):
    """A backup of a PostgreSQL database says where it came from, which is where it must not go by itself."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What has been made."""

    manifest: Manifest
    waiting: int
    """Messages that are sent now, for they had not been delivered when the backup was taken."""
    audit: Verification
    key: Path | None
    """Where the key has to be put with which the instance signs; None if it is there."""


def restore(
    source: Path, directory: Path, *, database_url: str | None = None, certificates: Collection[Certificate] = ()
) -> Restored:
    """Make an instance in a new folder, with its database in the folder or where `database_url` says.

    All that the backup holds is held against its checksums first. The leases in it are free, its counters leave numbers
    out, and the audit trail records that it was restored and is verified to its end; `certificates` are of earlier keys
    of the instance. Raises PlaceTaken, BackupDamaged, DatabaseError or ConfigurationError, nothing having been made.
    """
    manifest = manifests.read(source)
    if manifest.dump.kind != SQLITE and database_url is None:
        raise DatabaseNeeded("the backup is of a PostgreSQL database: name an empty one with --database")
    manifests.verify(manifest, source)
    with new_folder(directory) as folder:
        shutil.copytree(source / INSTANCE, folder, dirs_exist_ok=True)
        path = folder / SETTINGS_FILE
        url = database_url or f"sqlite:///{dump.SQLITE_FILE}"
        path.write_text(with_database(path.read_text(encoding="utf-8"), url), encoding="utf-8")
        engine = open_engine(load_settings(path).database_url)
        try:
            dump.put_back(manifest.dump, source / DATABASE, engine)
        finally:
            engine.dispose()
    return _settle(manifest, directory, certificates)


def _settle(manifest: Manifest, directory: Path, certificates: Collection[Certificate]) -> Restored:
    """Let the new instance go on by itself, and look whether it is whole."""
    settings = load_settings(directory / SETTINGS_FILE)
    engine = open_engine(settings.database_url)
    known = [Certificate.from_file(settings.signing.certificate), *certificates]
    try:
        transactions = Transactions(engine, clock_of(settings))
        waiting = transactions.run_now(lambda unit_of_work: _begin_anew(unit_of_work, manifest))
        with engine.connect() as connection:
            verified = verify_audit(connection, known, [bytes.fromhex(head) for head in manifest.dump.audit_heads])
    finally:
        engine.dispose()
    key = settings.signing.key
    return Restored(manifest, waiting, verified, None if key.is_file() else key)


def _begin_anew(unit_of_work: UnitOfWork, manifest: Manifest) -> int:
    connection, now = unit_of_work.connection, unit_of_work.now
    leases.free_all(connection, now)
    counters.leave_out(connection, LEFT_OUT)
    waiting = outbox.number_waiting(connection)
    detail = (
        f"from a backup taken at {manifest.taken_at} of revision {manifest.dump.revision}; {waiting} message(s) wait"
    )
    audit.record(connection, [audit.Entry(now, "operator", "instance restored", detail)])
    return waiting
