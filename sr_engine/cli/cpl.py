"""Commands for the Certified Products List of meters and PPMIDs."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.importers import cpl_csv
from sr_engine.importers.csv_table import described
from sr_engine.operations.cpl import ImportedEntries, compare, import_entries
from sr_engine.store import cpl as cpl_store


@click.group()
def cpl() -> None:
    """Firmware of meters and PPMIDs that is certified."""


@cpl.command(
    name="import",
    short_help="Import firmware of meters and PPMIDs from a CSV file.",
    help=f"""Import firmware of meters and PPMIDs from a CSV file: new entries are added, known ones replaced.

The file is UTF-8 text with commas, and its first line names the columns, in any order. Every bad row is reported with
its line, column and reason, and nothing is imported if there is one. Without gbcs_version or from_versions it is for
any. An entry that is not in the file stays as it is: give it another status to take it off the list.

\b
{described(cpl_csv.COLUMNS)}""",
)
@click.argument("csv", metavar="CSV", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Change nothing; say how many entries would be added and changed.")
@instance_option
def import_cpl(csv: Path, dry_run: bool, directory: Path) -> None:
    with opened(directory, writing=not dry_run) as instance:
        entries = cpl_csv.read_entries(csv)
        if dry_run:
            with instance.engine.connect() as connection:
                click.echo(_summary(compare(cpl_store.all_entries(connection), entries)))
            click.echo("dry run: nothing was changed")
            return
        click.echo(_summary(instance.transactions.run_now(lambda work: import_entries(work, entries, csv.name))))


@cpl.command(name="list", short_help="Show the entries.")
@instance_option
def list_cpl(directory: Path) -> None:
    """Every entry, by device model and version."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = cpl_store.all_entries(connection)
    show_table(
        "Certified Products List",
        ("Manufacturer", "Model", "Type", "Version", "Status", "GBCS", "From", "Image hash"),
        (
            (
                entry.manufacturer,
                entry.model,
                entry.device_type,
                entry.version,
                entry.status,
                entry.gbcs_version or "any",
                ", ".join(sorted(entry.from_versions)) or "any",
                entry.image_hash,
            )
            for entry in found
        ),
    )


def _summary(done: ImportedEntries) -> str:
    return f"{done.added:,} entries added, {done.changed:,} changed, {done.unchanged:,} as before"
