"""Which errors a command may end with, and what is said about each."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import SQLAlchemyError

from signing import DocumentRefused, KeyUnavailable, NotAuthenticated, ProfileRefused
from sr_engine.archive import ArchiveDamaged, ArchiveInUse
from sr_engine.backup.manifest import BackupDamaged
from sr_engine.backup.places import PlaceTaken
from sr_engine.cli.failures import KEY_MISSING, REFUSED, Failure
from sr_engine.configuration import ConfigurationError
from sr_engine.counters import CountersUnusable
from sr_engine.importers.csv_table import CsvRefused
from sr_engine.instance import InstanceExistsError
from sr_engine.messages.schema import SchemaRefused
from sr_engine.messages.schema_files import SchemaUnusable
from sr_engine.operations.accounts import AccountRefused
from sr_engine.operations.audit_verification import ChainBroken
from sr_engine.operations.imports import DevicesRefused
from sr_engine.operations.outbox import NotParked
from sr_engine.operations.releases import ReleaseRefused
from sr_engine.operations.terms import TermsRefused
from sr_engine.processes import ProcessFailed
from sr_engine.receiver import InboxUnusable
from sr_engine.signservice.permissions import TokensUnusable
from sr_engine.spreadsheets.refusals import SheetRefused
from sr_engine.store.database import DatabaseError

_CONTENT_REFUSED = (DocumentRefused, ProfileRefused, NotAuthenticated, SchemaRefused)
_IN_WORDS_ALREADY = (
    AccountRefused,
    DatabaseError,
    InstanceExistsError,
    PlaceTaken,
    ArchiveInUse,
    ReleaseRefused,
    TermsRefused,
    NotParked,
    SchemaUnusable,
    CountersUnusable,
    InboxUnusable,
    TokensUnusable,
    ProcessFailed,
)


def explained(error: Exception) -> Failure:
    """What to say about an error, and the exit code that goes with it."""
    match error:
        case KeyUnavailable():
            return Failure(str(error), KEY_MISSING)
        case CsvRefused() | SheetRefused() | DevicesRefused() | ChainBroken() | BackupDamaged() | ArchiveDamaged():
            return Failure(str(error), REFUSED)
        case ConfigurationError():
            return Failure("\n".join(error.problems))
        case SQLAlchemyError():
            # PostgreSQL says more than a line.
            said = " ".join(str(getattr(error, "orig", None) or error).split())
            return Failure(f"the database cannot be used: {said}")
        case sqlite3.Error():
            return Failure(f"the database cannot be copied: {error}")
        case OSError():
            return Failure(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error))
        case _ if isinstance(error, _CONTENT_REFUSED):
            return Failure(str(error), REFUSED)
        case _ if isinstance(error, _IN_WORDS_ALREADY):
            return Failure(str(error))
        case _:
            return Failure(
                f"this should not have happened: {type(error).__name__}: {error} (sr-engine --traceback shows where)"
            )
