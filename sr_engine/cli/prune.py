"""What is older than it is kept for: pruning it into the archive, and verifying that."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import click

from signing import Certificate, SoftwareKey
from sr_engine.cli.audit import CERTIFICATE
from sr_engine.cli.failures import REFUSED, Failure
from sr_engine.cli.opening import Opened, instance_option, opened
from sr_engine.cli.output import moment, show_table
from sr_engine.drawing import identifier
from sr_engine.operations.archive_verification import verify as verify_archive
from sr_engine.operations.pruning import Pruning
from sr_engine.operations.retaining import prune_all
from sr_engine.store.database import open_engine
from sr_engine.store.reading import Reading

_WHAT = {
    "messages": "messages that were delivered or expired",
    "requests": "requests and messages of CSPs, with their answers",
    "upgrades": "hubs at releases that are over",
    "lists": "lists of which no upgrade is left",
    "deliveries": "meters and PPMIDs of firmware lists that are over",
    "images": "firmware images that nobody needs",
    "audit": "records of the audit trail",
}


@click.command(short_help="Write what is old into the archive and remove it.")
@instance_option
@click.option("--dry-run", is_flag=True, help="Only say how much would go.")
@CERTIFICATE
def prune(directory: Path, dry_run: bool, certificates: tuple[Path, ...]) -> None:
    """Write what is older than `[retention]` of policy.toml keeps it into the archive folder, and remove it.

    Nothing that is under way, waiting or parked is touched. A processor that runs does this once a day by itself. The
    audit trail begins afterwards at a signed checkpoint, with which the archive ends.
    """
    with opened(directory, writing=not dry_run) as instance:
        reading_engine = open_engine(instance.settings.database_url, read_only=True)
        try:
            pruning = _pruning(instance, Reading(reading_engine), certificates)
            now = instance.clock.now()
            if dry_run:
                show_table(
                    "What would go into the archive",
                    ("What", "Over before", "How many"),
                    (
                        (_WHAT[kind], moment(pruning.cutoff(kind, now)), number)
                        for kind, number in pruning.count(now).items()
                    ),
                )
                return
            lines = asyncio.run(prune_all(pruning, instance.transactions, now, "operator"))
        finally:
            reading_engine.dispose()
    for kind, number in lines.items():
        if number:
            click.echo(f"{number:,} lines of {kind}")
    click.echo(f"pruned into {instance.settings.archive_directory}" if any(lines.values()) else "nothing is so old")


def _pruning(instance: Opened, reading: Reading, certificates: tuple[Path, ...]) -> Pruning:
    signing = instance.settings.signing
    return Pruning(
        reading,
        instance.settings.archive_directory,
        instance.configuration.policy.retention,
        SoftwareKey.load(signing.key, signing.certificate),
        [Certificate.from_file(path) for path in (signing.certificate, *certificates)],
        lambda: identifier(secrets.randbelow),
    )


@click.group()
def archive() -> None:
    """What was pruned."""


@archive.command("verify", short_help="Verify that the archive is what was written.")
@instance_option
@click.option("--folder", type=click.Path(path_type=Path), help="The archive, if it is not where the settings say.")
def verify(directory: Path, folder: Path | None) -> None:
    """Hold every file of the archive against its SHA-256 in the database, recompute the hash chains of the audit trail
    in it, and look whether that in the database begins where they end. Ends with exit code 10 if anything is wrong.
    """
    with opened(directory) as instance, instance.engine.connect() as connection:
        report = verify_archive(connection, folder or instance.settings.archive_directory)
    click.echo(f"{report.files:,} files, {report.lines:,} lines, {report.links:,} links of the audit trail")
    for gap in report.gaps:
        click.echo(f"note: {gap}", err=True)
    if report.wrong:
        raise Failure("\n".join(report.wrong), REFUSED)
