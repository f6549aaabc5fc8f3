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
from sr_engine.backup.settings_file import with_database, without_archive
from sr_engine.configuration import SETTINGS_FILE, Settings, clock_of, load_settings
from sr_engine.operations.audit_verification import Verification
from sr_engine.operations.audit_verification import verify as verify_audit
from sr_engine.store import audit, counters, dump, leases, outbox
from sr_engine.store.database import open_engine
from sr_engine.store.dialects import SQLITE
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork

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
    archive_left: Path | None
    """The archive that the settings named and that another instance may write into: this one has its own."""


def restore(
    source: Path, directory: Path, *, database_url: str | None = None, certificates: Collection[Certificate] = ()
) -> Restored:
    """Make an instance in a new folder, with its database in the folder or where `database_url` says.

    All that the backup holds is held against its checksums first. The leases in it are free, its counters leave numbers
    out, and the audit trail records that it was restored and is verified to its end; `certificates` are of earlier keys
    of the instance. Raises PlaceTaken, BackupDamaged, DatabaseError,
    ConfigurationError or signing.KeyUnavailable, no instance having been made.
    """
    manifest = manifests.read(source)
    if manifest.dump.kind != SQLITE and database_url is None:
        raise DatabaseNeeded("the backup is of a PostgreSQL database: name an empty one with --database")
    manifests.verify(manifest, source)
    with new_folder(directory) as folder:
        shutil.copytree(source / INSTANCE, folder, dirs_exist_ok=True)
        path = folder / SETTINGS_FILE
        archive_left = _settle_settings(path, database_url or f"sqlite:///{dump.SQLITE_FILE}")
        settings = load_settings(path)
        known = [Certificate.from_file(settings.signing.certificate), *certificates]
        engine = open_engine(settings.database_url)
        try:
            # Before the folder has its name: whoever finds it finds an instance that goes on by itself.
            with dump.put_back(manifest.dump, source / DATABASE, engine):
                transactions = Transactions(engine, clock_of(settings))
                waiting = transactions.run_now(lambda unit_of_work: _begin_anew(unit_of_work, manifest))
        finally:
            engine.dispose()
    settings = load_settings(directory / SETTINGS_FILE)
    key = settings.signing.key
    return Restored(manifest, waiting, _verify(manifest, settings, known), None if key.is_file() else key, archive_left)


def _settle_settings(path: Path, url: str) -> Path | None:
    """Let settings name a database, and no archive of somebody else: which it was, if they named one."""
    text = with_database(path.read_text(encoding="utf-8"), url)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)  # it may hold a password
    archive = load_settings(path).archive_directory
    if archive.is_relative_to(path.parent.resolve()):
        return None
    path.write_text(without_archive(text), encoding="utf-8")
    return archive


def _verify(manifest: Manifest, settings: Settings, certificates: Collection[Certificate]) -> Verification:
    """Look whether the audit trail of the new instance is whole."""
    engine = open_engine(settings.database_url, read_only=True)
    try:
        with engine.connect() as connection:
            return verify_audit(connection, certificates, [bytes.fromhex(head) for head in manifest.dump.audit_heads])
    finally:
        engine.dispose()


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
