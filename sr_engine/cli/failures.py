"""What a command that fails says, and with which code it ends."""

from __future__ import annotations

import sqlite3

import click
from sqlalchemy.exc import SQLAlchemyError

from signing import DocumentRefused, KeyUnavailable, NotAuthenticated, ProfileRefused
from sr_engine.archive import ArchiveDamaged, ArchiveInUse
from sr_engine.backup.manifest import BackupDamaged
from sr_engine.backup.places import PlaceTaken
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

ANSWERED_WITH_ERROR = 1
ANYTHING_ELSE = 2
KEY_MISSING = 3
SCHEMA_PENDING = 4
SCHEMA_UNKNOWN = 5
REFUSED = 10

EXIT_CODES = """\b
Exit codes:
  0   done
  1   the processor answered a request with an error code
  2   anything else: usage, files, configuration, database, connection
  3   a key or certificate is missing or cannot be used
  4   db check: the schema of the database is to be brought forward
  5   db check: the schema of the database is a later one, unknown to this version
  10  a document, signature, imported file or backup was refused, or the audit trail does not verify
"""

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


class Failure(click.ClickException):
    """Ends the command with `exit_code`; each line of the message goes to stderr, without a traceback."""

    def __init__(self, message: str, exit_code: int = ANYTHING_ELSE) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it on the class and reads it from the object

    def show(self, file: object = None) -> None:  # noqa: ARG002 - the signature is click's; failures go to stderr
        """Write the message, each line of it marked as ours."""
        for line in self.message.splitlines():
            click.echo(f"sr-engine: {line}", err=True)


def failure_of(error: Exception) -> Failure:
    """What to say about an error, and the exit code that goes with it."""
    match error:
        case KeyUnavailable():
            return Failure(str(error), KEY_MISSING)
        case CsvRefused() | SheetRefused() | DevicesRefused() | ChainBroken() | BackupDamaged() | ArchiveDamaged():
            return Failure(str(error), REFUSED)
        case ConfigurationError():
            return Failure("\n".join(error.problems))
        case SQLAlchemyError():
            return Failure(f"the database cannot be used: {getattr(error, 'orig', None) or error}")
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


class Commands(click.Group):
    """The group of all commands: turns every error into a Failure."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command named on the command line."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params["traceback"]:
                raise
            raise failure_of(error) from None
