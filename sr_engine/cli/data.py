"""Bringing in spreadsheets: devices and registrations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from sr_engine import configuration
from sr_engine.cli.opening import instance_option, opened
from sr_engine.importers import inventory_csv, registration_csv
from sr_engine.importers.csv_table import described
from sr_engine.operations.imports import ImportedDevices, import_devices, import_registrations

_RULES = """The file is UTF-8 text with commas, and its first line names the columns, in any order. Every bad row is
reported with its line, column and reason, and nothing is imported if there is one. Device ids may be written with or
without separators and in any case. A cell that looks like a formula is text like any other."""


@click.group()
def inventory() -> None:
    """The devices known to the processor."""


@click.group()
def registration() -> None:
    """Which Supplier is registered for which meter point."""


_CSV = click.argument("csv", metavar="CSV", type=click.Path(path_type=Path))


@inventory.command(
    name="import",
    short_help="Import devices from a CSV file.",
    help=f"""Import devices from a CSV file: new ones are added, known ones replaced as a whole.

{_RULES}

A column left out is an empty one. A hub is two devices: its CHF, and the GPF, which names the CHF in hub_id, as does
every device behind the hub.

\b
{described(inventory_csv.COLUMNS)}""",
)
@_CSV
@instance_option
def import_inventory(csv: Path, directory: Path) -> None:
    with opened(directory, writing=True) as instance:
        rows = inventory_csv.read_devices(csv, progress=_progress("rows read"))
        done: ImportedDevices = instance.transactions.run_now(
            lambda unit_of_work: import_devices(unit_of_work, rows, csv.name, progress=_progress("devices written"))
        )
    click.echo(f"{done.devices:,} devices imported, {done.hubs:,} of them hubs (CHF)")
    if done.without_hub:
        click.echo(f"note: {done.without_hub:,} devices name a hub that is not in the inventory", err=True)


@registration.command(
    name="import",
    short_help="Import registrations from a CSV file.",
    help=f"""Import registrations from a CSV file: who is registered for a meter point, in which role, from when on.

{_RULES}

\b
{described(registration_csv.columns(()))}""",
)
@_CSV
@instance_option
def import_registration(csv: Path, directory: Path) -> None:
    with opened(directory, writing=True) as instance:
        users = configuration.load_users(instance.settings.users_file)
        known = [organisation.id for organisation in users.organisations()]
        rows = registration_csv.read_registrations(csv, known, progress=_progress("rows read"))
        count = instance.transactions.run_now(
            lambda unit_of_work: import_registrations(
                unit_of_work, rows, csv.name, progress=_progress("registrations written")
            )
        )
    click.echo(f"{count:,} registrations imported")


def _progress(what: str) -> Callable[[int], None]:
    def tell(count: int) -> None:
        click.echo(f"{count:,} {what}", err=True)

    return tell
