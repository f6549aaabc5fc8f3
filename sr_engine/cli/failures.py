"""What a command that fails says, and with which code it ends."""

from __future__ import annotations

import click

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
    # Knowing every kind takes as long as all else that most commands load, and most never fail.
    from sr_engine.cli.explaining import explained  # noqa: PLC0415 - see above

    return explained(error)
