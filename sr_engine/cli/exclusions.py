"""Exclusions: how many hubs Suppliers keep out, and what the operator confirms about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import click

from sr_engine.cli.dry_run import carry_out, dry_run_option
from sr_engine.cli.firmware import firmware_options
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
@firmware_options
@click.option("--region", help="CSP region; otherwise all regions of the release.")
@dry_run_option
@instance_option
def confirm(*, firmware: Firmware, region: str | None, dry_run: bool, directory: Path) -> None:
    """Confirm that a compulsory upgrade need not heed the exclusions of the hubs that the release can be installed on.

    Only the exclusions that run now are confirmed, each for as long as it runs. A voluntary upgrade heeds them all.
    """
    with opened(directory, writing=True) as instance:
        confirmed = carry_out(
            instance.transactions,
            lambda unit_of_work: confirm_exclusions(unit_of_work, firmware, region),
            dry_run=dry_run,
            foretell=lambda found: _show_confirmed("Would be confirmed", found),
        )
    _show_confirmed("Confirmed", confirmed)


def _show_confirmed(title: str, confirmed: Mapping[str, Collection[str]]) -> None:
    show_table(title, ("Region", "Hubs"), ((place, len(hub_ids)) for place, hub_ids in confirmed.items()))
