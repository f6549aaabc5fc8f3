"""Exclusions: how many hubs Suppliers keep out, and what the operator confirms about it."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.cli.dry_run import carry_out, dry_run_option
from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.messages.model import Firmware
from sr_engine.operations.exclusions import confirm_exclusions
from sr_engine.store import exclusions


@click.group()
def exclusion() -> None:
    """Hubs that Suppliers keep out of upgrades."""


@exclusion.command("list", short_help="Count the excluded hubs, region by region.")
@instance_option
def list_(directory: Path) -> None:
    """Count the excluded hubs, region by region; a compulsory upgrade need not heed those that are confirmed."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = exclusions.by_region(connection, instance.clock.now())
    show_table(
        "Excluded hubs",
        ("Region", "Hubs", "Confirmed", "Not confirmed"),
        ((one.region or "unknown", one.hubs, one.confirmed, one.hubs - one.confirmed) for one in found),
    )


@exclusion.command(short_help="Confirm that a compulsory upgrade need not heed exclusions.")
@click.option("--manufacturer", required=True, help="DeviceManufacturer of the hub model.")
@click.option("--model", required=True, help="DeviceModel of the hub model.")
@click.option("--version", required=True, help="The firmware version of the release.")
@click.option("--region", help="CSP region; otherwise all regions of the release.")
@dry_run_option
@instance_option
def confirm(*, manufacturer: str, model: str, version: str, region: str | None, dry_run: bool, directory: Path) -> None:
    """Confirm that a compulsory upgrade need not heed the exclusions of the hubs that the release can be installed on.

    Only the exclusions that run now are confirmed, each for as long as it runs. A voluntary upgrade heeds them all.
    """
    firmware = Firmware(manufacturer, model, version)
    with opened(directory, writing=True) as instance:
        confirmed = carry_out(
            instance.transactions,
            lambda unit_of_work: confirm_exclusions(unit_of_work, firmware, region),
            dry_run=dry_run,
        )
    show_table("Confirmed", ("Region", "Hubs"), ((place, len(hub_ids)) for place, hub_ids in confirmed.items()))
