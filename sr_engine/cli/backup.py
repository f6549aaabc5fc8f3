"""Backups of an instance."""

from __future__ import annotations

from pathlib import Path

import click

from signing import Certificate
from sr_engine.backup import restoring, taking
from sr_engine.cli.audit import CERTIFICATE, lines_about
from sr_engine.cli.failures import REFUSED, Failure
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.clock import SystemClock


@click.command(short_help="Take a backup while the instance serves.")
@instance_option
@click.argument("target", metavar="TARGET", type=click.Path(path_type=Path))
@click.option("--with-keys", is_flag=True, help="Private keys too: whoever has the backup can sign then.")
def backup(directory: Path, target: Path, with_keys: bool) -> None:
    """Write a backup of the instance into the new folder TARGET: its database as of one moment, settings,
    configuration, Users and certificates.

    Nobody is kept from anything meanwhile. Private keys are left out, and so is the password of the database.
    """
    settings_of(directory)
    taken = taking.take(directory, target, taken_at=SystemClock().now(), with_keys=with_keys)
    heads = ", ".join(taken.dump.audit_heads) or "none"
    click.echo(f"backup in {target}: {taken.size / 1e6:,.1f} MB, revision {taken.dump.revision}, audit head {heads}")
    for path in taken.left_out:
        click.echo(f"not in it, for it is outside the folder of the instance: {path}", err=True)
    if not taken.keys:
        click.echo("private keys are not in it: keep them apart, or use --with-keys", err=True)


@click.command(short_help="Make an instance of a backup.")
@click.argument("source", metavar="SOURCE", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--directory", required=True, type=click.Path(path_type=Path), help="Folder to make the instance in.")
@click.option(
    "--database",
    "database_url",
    metavar="URL",
    help="Where its database is to be: an empty PostgreSQL database, or a SQLite file that is not there yet; if left "
    "out, a SQLite file in the folder.",
)
@CERTIFICATE
def restore(source: Path, directory: Path, database_url: str | None, certificates: tuple[Path, ...]) -> None:
    """Make an instance of the backup SOURCE, in a new folder, overwriting nothing.

    The backup is held against its checksums before and the audit trail is verified afterwards: ends with exit code 10
    if either is not what it was. What had not been delivered is sent once the instance is served, with the same ids.
    """
    others = [Certificate.from_file(path) for path in certificates]
    made = restoring.restore(source, directory, database_url=database_url, certificates=others)
    click.echo(f"made an instance in {directory}, as of {made.manifest.taken_at}; {made.waiting:,} messages to be sent")
    if made.key is not None:
        click.echo(f"before it can be served, put its key where the settings say: {made.key}", err=True)
    api = settings_of(directory).api
    if api is not None and not api.key_file.exists():
        click.echo(f"and the key of its interface for CRM systems: {api.key_file}", err=True)
    if made.archive_left is not None:
        click.echo(
            f"{made.archive_left} is left to the instance the backup was taken of; if that is gone, name it again as "
            "archive_directory in sr-engine.toml",
            err=True,
        )
    intact, wrong = lines_about(made.audit)
    for line in intact:
        click.echo(line)
    if wrong:
        raise Failure("\n".join(wrong), REFUSED)
