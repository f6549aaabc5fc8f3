"""Bringing in spreadsheets: devices and registrations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import click

from sr_engine.bootstrap import supplier_changes_of
from sr_engine.cli.dry_run import dry_run_option, in_turn, show_rehearsal, until_done
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import fully_opened, instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.importers import inventory_csv, registration_csv
from sr_engine.importers.csv_table import described, digits, eui
from sr_engine.operations.imports import ImportedDevices, import_devices, import_registrations
from sr_engine.operations.registrations import history
from sr_engine.store import inventory as inventory_store
from sr_engine.store.registrations import KnownRegistration
from sr_engine.store.summaries import is_metered
from sr_engine.store.units_of_work import UnitOfWork

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

A change of Supplier that is effective already is carried out at once: what the one that leaves had scheduled is void,
and those concerned are told. One to come is carried out on its date by the running processor.

\b
{described(registration_csv.columns(()))}""",
)
@_CSV
@dry_run_option
@instance_option
def import_registration(csv: Path, dry_run: bool, directory: Path) -> None:
    with fully_opened(directory) as instance:
        known = [organisation.id for organisation in instance.users.organisations()]
        rows = registration_csv.read_registrations(csv, known, progress=_progress("rows read"))
        carry_out = supplier_changes_of(instance)

        def bring_in(unit_of_work: UnitOfWork) -> int:
            return import_registrations(unit_of_work, rows, csv.name, progress=_progress("registrations written"))

        if dry_run:
            show_rehearsal(instance.transactions, in_turn(bring_in, until_done(carry_out)))
        count = instance.transactions.run_now(bring_in)
        while instance.transactions.run_now(carry_out):
            pass
    click.echo(f"{count:,} registrations imported")


@registration.command(name="show", short_help="Who is and was registered for a meter point.")
@click.argument("mpxn_or_device", metavar="MPXN|DEVICE")
@instance_option
def show_registrations(mpxn_or_device: str, directory: Path) -> None:
    """Everything known of who is registered for a meter point, by its MPAN or MPRN, by the EUI of its meter, or by that
    of its hub (CHF or GPF) for all meters behind it.

    A registration that was cancelled is not among them: it is as if it had never been.
    """
    sought = _meter_point(mpxn_or_device)
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = history(connection, sought)
        known = inventory_store.device_type(connection, sought) is not None or is_metered(connection, sought)
        if not found and not known:
            raise Failure(f"no such meter point or device: {sought} is neither registered nor in the inventory")
        now = instance.clock.now()
    newest: dict[tuple[str, str], KnownRegistration] = {
        (one.mpxn, one.role): one for one in found if one.effective_from <= now
    }
    show_table(
        f"Registrations of {sought}",
        ("MPxN", "Role", "From", "Organisation", "State", "Carried out"),
        (
            (
                one.mpxn,
                one.role,
                one.effective_from,
                one.organisation or "nobody",
                _state(one, newest.get((one.mpxn, one.role)), now),
                "up to here" if one.carried_out else None,
            )
            for one in found
        ),
    )


def _meter_point(text: str) -> str:
    for read in (eui, digits(1, 13)):
        try:
            return read(text)
        except ValueError:
            continue
    raise Failure(f"{text!r} is neither an MPAN or MPRN of at most 13 digits nor the EUI-64 of a device")


def _state(one: KnownRegistration, newest: KnownRegistration | None, now: datetime) -> str:
    if one.effective_from > now:
        return "to come"
    return "in force" if one is newest else "past"


def _progress(what: str) -> Callable[[int], None]:
    def tell(count: int) -> None:
        click.echo(f"{count:,} {what}", err=True)

    return tell
