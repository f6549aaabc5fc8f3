"""Making instances and synthetic keys."""

from __future__ import annotations

from pathlib import Path

import click

from signing import KeyUnavailable, Participant, make_pki
from sr_engine.cli.failures import Failure
from sr_engine.clock import SystemClock
from sr_engine.instance import BROKER_ROLE, CSP_ROLE, SAMPLE_SUPPLIERS, USER_ROLE, create_instance
from sr_engine.store.database import address_of, shown

_SAMPLE_PARTICIPANTS = (
    *(Participant(supplier.name, supplier.eui, USER_ROLE) for supplier in SAMPLE_SUPPLIERS),
    Participant("broker", "90-B3-D5-1F-30-00-00-02", BROKER_ROLE),
    Participant("csp", "00-00-5E-EF-10-00-00-C1", CSP_ROLE),
)


@click.command(short_help="Make a new instance in the folder DIR.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65_535), help="Port to listen on.")
@click.option(
    "--database",
    "database_url",
    default="sqlite:///sr-engine.db",
    show_default=True,
    metavar="URL",
    help="Where all is kept: a SQLite file, or an empty PostgreSQL database, postgresql://USER@HOST/NAME.",
)
def init(directory: Path, host: str, port: int, database_url: str) -> None:
    """Make a new instance in the folder DIR, which must be empty or not there yet.

    It gets settings, configuration, two sample Suppliers, synthetic keys and certificates, and an empty database, and
    can be served at once. A database with anything in it is refused, and nothing is made then: whoever serves one
    instance from several computers copies its folder.
    """
    create_instance(directory, now=SystemClock().now(), host=host, port=port, database_url=database_url)
    database = shown(address_of(database_url)).removeprefix("sqlite:///")
    suppliers = ", ".join(f"{supplier.name} ({supplier.eui})" for supplier in SAMPLE_SUPPLIERS)
    click.echo(
        f"""Made an instance in {directory}:
  sr-engine.toml  settings: it will listen on {host}:{port}
  config/         regions, Service Requests, response codes, alerts, policy
  users.toml      Suppliers: {suppliers}
  pki/            keys and certificates for all of them; synthetic, they protect nothing
  {database:<14}  the database, empty

Next:
  sr-engine inventory import DEVICES.csv --dir {directory}
  sr-engine registration import REGISTRATIONS.csv --dir {directory}
  sr-engine serve --dir {directory}
  sr-engine release open --help"""
    )


@click.command(short_help="Make synthetic keys and certificates, for tests.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--participant",
    "participants",
    multiple=True,
    metavar="NAME:EUI:ROLE",
    help="Someone to certify: a folder name, an EUI-64, a remote-party role in hexadecimal (87 User XML signing, 89 "
    "DSP XML signing, 06 WAN provider). May be repeated; sample participants if there is none.",
)
def pki(directory: Path, participants: tuple[str, ...]) -> None:
    """Make synthetic keys and certificates in DIR, for tests: they protect nothing."""
    wanted = [_participant(text) for text in participants] or list(_SAMPLE_PARTICIPANTS)
    try:
        make_pki(directory, wanted, now=SystemClock().now())
    except (KeyUnavailable, ValueError) as error:
        raise Failure(str(error)) from None
    for participant in wanted:
        click.echo(
            f"{directory / participant.name}/key.pem and certificate.pem: {participant.eui}, role {participant.role}"
        )
    click.echo(f"{directory / 'trust'}: what a receiver has to trust")


def _participant(text: str) -> Participant:
    parts = text.split(":")
    if len(parts) != 3:
        raise click.BadParameter(f"{text!r} is not NAME:EUI:ROLE", param_hint="--participant")
    name, eui, role = parts
    return Participant(name, eui.upper(), role)
