"""Spreadsheets in and out: `spreadsheet import`, `template` and `export`."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.bootstrap import quiet_days_of
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import Opened, instance_option, opened, settings_of
from sr_engine.cli.sheet_import import import_
from sr_engine.configuration import SETTINGS_FILE, load, load_users
from sr_engine.domain.eligibility import Applicant
from sr_engine.operations.supplier_hubs import SupplierHubs, UnknownRelease
from sr_engine.resources import data_directory
from sr_engine.spreadsheets.export import write_csv, write_xlsx
from sr_engine.spreadsheets.supplier_tables import TABLES, Table, rows_of, waiting_rows
from sr_engine.spreadsheets.template import template_csv, write_template

_path = click.Path(path_type=Path)
_CSV = ".csv"
_XLSX = ".xlsx"


@click.group()
def spreadsheet() -> None:
    """Decisions from spreadsheets, and tables as spreadsheets."""


spreadsheet.add_command(import_)


@spreadsheet.command(short_help="Write a workbook to fill in and import.")
@click.argument("out", metavar="FILE", type=_path)
@click.option(
    "--supplier", metavar="ORG", help="With --release: begin with the hubs for which this Supplier must answer."
)
@click.option("--release", "release_id", metavar="ID", help="With --supplier: the release that is asked about.")
@instance_option
def template(out: Path, supplier: str | None, release_id: str | None, directory: Path) -> None:
    """Write a template as .xlsx, with lists to choose from and a guide, or as .csv.

    It needs no instance, unless --supplier and --release ask for the hubs that wait for a decision.
    """
    if (supplier is None) != (release_id is None):
        raise click.UsageError("--supplier and --release go together")
    if supplier is None or release_id is None:
        there = (directory / SETTINGS_FILE).is_file()
        folder = settings_of(directory).config_directory if there else data_directory("config")
        spreadsheets = load(folder).spreadsheets
        if _kind(out) == _CSV:
            out.write_bytes(template_csv(spreadsheets))
        else:
            write_template(out, spreadsheets)
        return
    with opened(directory) as instance, instance.engine.connect() as connection:
        rows = waiting_rows(_hubs(instance), connection, _viewer(instance, supplier), instance.clock.now(), release_id)
        spreadsheets = instance.configuration.spreadsheets
        try:
            if _kind(out) == _CSV:
                out.write_bytes(template_csv(spreadsheets, rows))
            else:
                write_template(out, spreadsheets, rows)
        except UnknownRelease:
            raise _unknown(release_id) from None


@spreadsheet.command(short_help="Write a Supplier's hubs, approvals or schedules as a spreadsheet.")
@click.argument("what", type=click.Choice(sorted(TABLES)))
@click.option("--supplier", metavar="ORG", required=True, help="The organisation whose hubs they are.")
@click.option(
    "--release", "release_id", metavar="ID", help="Where they stand in this release; otherwise in the newest."
)
@click.option("--out", type=_path, required=True, help="File to write: .xlsx or .csv.")
@instance_option
def export(what: str, supplier: str, release_id: str | None, out: Path, directory: Path) -> None:
    """Write what a Supplier may see of its hubs, a hub a row: all of them, those with an answer, or with a schedule."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        table: Table = TABLES[what]
        rows = rows_of(
            table, _hubs(instance), connection, _viewer(instance, supplier), instance.clock.now(), release_id=release_id
        )
        spreadsheets = instance.configuration.spreadsheets
        try:
            if _kind(out) == _CSV:
                write_csv(out, table.columns, rows, spreadsheets)
            else:
                write_xlsx(out, what.capitalize(), table.columns, rows, spreadsheets)
        except UnknownRelease:
            raise _unknown(release_id or "") from None
    click.echo(f"written: {out}")


def _kind(out: Path) -> str:
    if out.suffix.casefold() not in {_CSV, _XLSX}:
        raise click.BadParameter(f"{out.name} ends neither in .xlsx nor in .csv", param_hint="FILE")
    return out.suffix.casefold()


def _viewer(instance: Opened, supplier: str) -> Applicant:
    """The Supplier in all roles that its Users have."""
    users = load_users(instance.settings.users_file)
    if users.organisation(supplier) is None:
        known = ", ".join(organisation.id for organisation in users.organisations())
        raise Failure(f"there is no organisation {supplier!r} in users.toml: {known}")
    return Applicant(supplier, frozenset(role for user in users.users_of(supplier) for role in user.roles))


def _hubs(instance: Opened) -> SupplierHubs:
    return SupplierHubs(quiet_days_of(instance.configuration.policy))


def _unknown(release_id: str) -> Failure:
    return Failure(f"there is no release {release_id!r}: see `sr-engine release list`")
