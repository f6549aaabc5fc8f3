"""Pilots, gates and halts of a release, region by region."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.bootstrap import Instance, phases_of
from sr_engine.cli.dry_run import carry_out, dry_run_option, unless_changed
from sr_engine.cli.firmware import firmware_options
from sr_engine.cli.opening import fully_opened, instance_option, opened
from sr_engine.cli.output import moment, show_table
from sr_engine.messages.model import Firmware
from sr_engine.operations.phases import RegionReport, halt, open_gate, report, resume, tell
from sr_engine.operations.releases import find

_REGION = click.option("--region", required=True, help="The CSP region.")


@click.group()
def phase() -> None:
    """Pilots, gates and halts of a release, region by region."""


@phase.command("show", short_help="Where a release stands in each of its regions.")
@firmware_options
@instance_option
def show(firmware: Firmware, directory: Path) -> None:
    """Where a release stands in each of its regions: pilot, gate, failures and halts."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        release = find(connection, firmware)
        found = report(connection, firmware, instance.clock.now())
    show_table(
        f"Firmware {firmware.version} for {firmware.manufacturer} {firmware.model}: "
        f"{release.status}, CPL {release.cpl_status}",
        (
            *("Region", "Pilot limit", "Shares", "Pilot waiting", "Pilot done", "General phase"),
            *("Activated", "Failed", "Missed", "Halts above", "Halted"),
        ),
        (
            (
                one.phase.region,
                "none" if one.phase.plan.pilot_limit is None else one.phase.plan.pilot_limit,
                ", ".join(f"{organisation} {hubs:,}" for organisation, hubs in one.shares),
                one.pilot.waiting,
                one.pilot.ended,
                _gate(one),
                one.outcomes.activated,
                one.outcomes.failed,
                one.outcomes.missed,
                f"{one.phase.plan.failure_percent} % of {one.phase.plan.minimum_sample:,} or more",
                "no" if one.phase.halted_at is None else f"{moment(one.phase.halted_at)}: {one.phase.halt_reason}",
            )
            for one in found
        ),
    )


@phase.command("gate", short_help="Open a region's gate to the General phase.")
@firmware_options
@_REGION
@dry_run_option
@instance_option
def gate(firmware: Firmware, region: str, dry_run: bool, directory: Path) -> None:
    """Open a region's gate to the General phase: from now on not only pilot hubs are listed."""
    already = f"the gate of region {region} was open already"
    with opened(directory, writing=True) as instance:
        changed = carry_out(
            instance.transactions,
            lambda unit_of_work: open_gate(unit_of_work, firmware, region),
            dry_run=dry_run,
            foretell=unless_changed(already),
        )
    click.echo(f"the gate of region {region} is open now" if changed else already)


@phase.command("halt", short_help="List nothing more of a release in a region until it is resumed.")
@firmware_options
@_REGION
@click.option("--reason", required=True, help="Why; for the audit trail and for whoever is to resume it.")
@dry_run_option
@instance_option
def halt_(firmware: Firmware, region: str, reason: str, dry_run: bool, directory: Path) -> None:
    """List nothing more of a release in a region until it is resumed or withdrawn; its Suppliers are told.

    What is with the CSP goes on.
    """
    already = f"firmware {firmware.version} was halted already in region {region}"
    with fully_opened(directory) as instance:
        machinery = phases_of(instance)
        changed = carry_out(
            instance.transactions,
            lambda one: halt(one, machinery, firmware, region, reason),
            dry_run=dry_run,
            foretell=unless_changed(already),
        )
        _tell_all(instance, firmware, region)
    click.echo(f"firmware {firmware.version} is halted now in region {region}" if changed else already)


@phase.command("resume", short_help="Resume a release that is halted in a region.")
@firmware_options
@_REGION
@dry_run_option
@instance_option
def resume_(firmware: Firmware, region: str, dry_run: bool, directory: Path) -> None:
    """Resume a release that is halted in a region; its Suppliers are told.

    What failed before is not judged again: it is halted again by itself only for what fails from now on.
    """
    already = f"firmware {firmware.version} was not halted in region {region}"
    with fully_opened(directory) as instance:
        machinery = phases_of(instance)
        changed = carry_out(
            instance.transactions,
            lambda one: resume(one, machinery, firmware, region),
            dry_run=dry_run,
            foretell=unless_changed(already),
        )
        _tell_all(instance, firmware, region)
    click.echo(f"firmware {firmware.version} is resumed now in region {region}" if changed else already)


def _tell_all(instance: Instance, firmware: Firmware, region: str) -> None:
    machinery = phases_of(instance)
    while instance.transactions.run_now(lambda one: tell(one, machinery, firmware, region)):
        pass


def _gate(one: RegionReport) -> str:
    if one.phase.general_open:
        return "open"
    if one.gate_opens_at is not None:
        return f"opens by itself on {moment(one.gate_opens_at)}"
    return "opens by itself after the pilot" if one.phase.plan.automatic_gate else "closed until somebody opens it"
