"""Firmware releases: opening, listing, amending, closing and withdrawing them, and their standing on the CPL."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from sr_engine.bootstrap import phases_of
from sr_engine.cli.dry_run import carry_out, dry_run_option, show_rehearsal, unless_changed, until_done
from sr_engine.cli.failures import Failure
from sr_engine.cli.firmware import firmware_options
from sr_engine.cli.opening import fully_opened, instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.cli.phases import gate
from sr_engine.configuration import Policy
from sr_engine.domain.phases import PhasePlan
from sr_engine.messages.model import Firmware
from sr_engine.operations.releases import (
    CPL_STATUSES,
    Amended,
    Amendment,
    Withdrawal,
    amend,
    close,
    open_release,
    plan_by_policy,
    set_cpl_status,
    withdraw,
)
from sr_engine.store import releases
from sr_engine.store.units_of_work import UnitOfWork

_F = TypeVar("_F", bound=Callable[..., Any])

_PLAN_OPTIONS = (
    click.option("--pilot-first", is_flag=True, help="List only pilot hubs until a region's gate opens."),
    click.option("--pilot-limit", type=click.IntRange(1), help="The most pilot hubs in a region; else there is none."),
    click.option("--pilot-closes", metavar="TIME", help="When the pilot ends if nobody has named a hub, with zone."),
    click.option("--soak-hours", type=click.IntRange(0, 8760), help="From the end of the pilot to the gate's opening."),
    click.option("--automatic-gate", is_flag=True, help="The gate opens by itself after the soak."),
    click.option(
        "--failure-percent", type=click.IntRange(0, 100), help="With a larger share of failures a region is halted."
    ),
    click.option("--minimum-sample", type=click.IntRange(1), help="Outcomes before that share is judged."),
)


def _plan_options(command: _F) -> _F:
    """Adds the options that say how a release goes from a pilot to everybody."""
    for option in reversed(_PLAN_OPTIONS):
        command = option(command)
    return command


@click.group()
def release() -> None:
    """Firmware releases."""


@release.command("open", short_help="Open a release for scheduling and approval.")
@firmware_options
@click.option("--image-hash", help="SHA-256 of the image, 64 hexadecimal digits.")
@click.option("--image", type=click.Path(path_type=Path), help="The image itself, to take the hash of; it is not kept.")
@click.option("--region", "regions", multiple=True, required=True, help="CSP region it is for; may be repeated.")
@click.option(
    "--from-version", "from_versions", multiple=True, required=True, help="Version it installs on; may be repeated."
)
@click.option(
    "--han-model",
    "han_models",
    multiple=True,
    metavar="MANUFACTURER:MODEL",
    help="HAN device it may break; may be repeated.",
)
@_plan_options
@dry_run_option
@instance_option
def open_(
    *,
    firmware: Firmware,
    image_hash: str | None,
    image: Path | None,
    regions: tuple[str, ...],
    from_versions: tuple[str, ...],
    han_models: tuple[str, ...],
    pilot_first: bool,
    dry_run: bool,
    directory: Path,
    **plan: Any,
) -> None:
    """Open a release: its Suppliers are told which of their hubs it concerns, and may schedule and approve.

    With --pilot-first it begins with a pilot in each region. What is not said of it stands in policy.toml.
    """
    if (image is None) == (image_hash is None):
        raise click.UsageError("name the image by --image or its hash by --image-hash")
    if image is not None:
        data = image.read_bytes()
        if not data:
            raise Failure(f"{image} is empty: it is not the image of a firmware")
        image_hash = hashlib.sha256(data).hexdigest()
    with fully_opened(directory) as instance:
        phase_plan = _plan(instance.configuration.policy, pilot_first=pilot_first, **plan)
        _opened, hubs = carry_out(
            instance.transactions,
            lambda unit_of_work: open_release(
                unit_of_work,
                configuration=instance.configuration,
                alerts=instance.alerts,
                draw_id=instance.draw_id,
                firmware=firmware,
                image_hash=image_hash or "",
                regions=regions,
                reachable_from=from_versions,
                han_models=[_han_model(text, "--han-model") for text in han_models],
                general_open=not pilot_first,
                phase_plan=phase_plan,
            ),
            dry_run=dry_run,
            foretell=lambda result: click.echo(f"{_named(firmware)} would concern {result[1]:,} hubs"),
        )
    click.echo(f"opened {_named(firmware)}: it concerns {hubs:,} hubs")


@release.command("list")
@instance_option
def list_(directory: Path) -> None:
    """List all releases, newest first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = releases.all_releases(connection)
    show_table(
        "Releases",
        (
            *("Manufacturer", "Model", "Version", "Status", "CPL", "Installs on", "Regions"),
            *("General phase open in", "Halted in", "HAN models"),
        ),
        (
            (
                one.firmware.manufacturer,
                one.firmware.model,
                one.firmware.version,
                one.status,
                one.cpl_status,
                ", ".join(sorted(one.reachable_from)),
                ", ".join(sorted(one.regions)),
                ", ".join(sorted(one.general_open)) or "none",
                ", ".join(sorted(one.halted)) or "none",
                ", ".join(":".join(pair) for pair in sorted(one.han_models)),
            )
            for one in found
        ),
    )


@release.command("amend", short_help="Add or remove versions, regions and affected HAN models.")
@firmware_options
@click.option("--add-from-version", "add_versions", multiple=True, help="Version it installs on too; may be repeated.")
@click.option(
    "--remove-from-version", "remove_versions", multiple=True, help="Version it installs no more on; may be repeated."
)
@click.option("--add-region", "add_regions", multiple=True, help="CSP region it is for, too; may be repeated.")
@click.option(
    "--add-han-model",
    "add_han_models",
    multiple=True,
    metavar="MANUFACTURER:MODEL",
    help="HAN device it may break; may be repeated.",
)
@click.option(
    "--remove-han-model",
    "remove_han_models",
    multiple=True,
    metavar="MANUFACTURER:MODEL",
    help="HAN device it does not break after all; may be repeated.",
)
@_plan_options
@dry_run_option
@instance_option
def amend_(
    *,
    firmware: Firmware,
    add_versions: tuple[str, ...],
    remove_versions: tuple[str, ...],
    add_regions: tuple[str, ...],
    add_han_models: tuple[str, ...],
    remove_han_models: tuple[str, ...],
    pilot_first: bool,
    dry_run: bool,
    directory: Path,
    **plan: Any,
) -> None:
    """Add or remove versions, regions and affected HAN models of a release.

    What is agreed already is judged by it when its list is cut. Suppliers are told of hubs that the release concerns
    only now. --pilot-first and what goes with it are for the regions added.
    """
    amendment = Amendment(
        frozenset(add_versions),
        frozenset(remove_versions),
        frozenset(add_regions),
        frozenset(_han_model(text, "--add-han-model") for text in add_han_models),
        frozenset(_han_model(text, "--remove-han-model") for text in remove_han_models),
    )
    if amendment == Amendment():
        raise click.UsageError("say what is to be added or removed")
    with fully_opened(directory) as instance:
        said = pilot_first or any(value is not None and value is not False for value in plan.values())
        phase_plan = _plan(instance.configuration.policy, pilot_first=pilot_first, **plan) if said else None
        amended = carry_out(
            instance.transactions,
            lambda unit_of_work: amend(
                unit_of_work,
                configuration=instance.configuration,
                alerts=instance.alerts,
                firmware=firmware,
                amendment=amendment,
                general_open=not pilot_first,
                phase_plan=phase_plan,
            ),
            dry_run=dry_run,
            foretell=lambda result: _show_amended(firmware, result, "would concern"),
        )
    _show_amended(firmware, amended, "concerns")


def _show_amended(firmware: Firmware, amended: Amended, concerns: str) -> None:
    if not amended.changes:
        click.echo(f"{_named(firmware)} was so already: nothing changed")
        return
    for change in amended.changes:
        click.echo(f"{_named(firmware)}: {change}")
    if amended.hubs:
        click.echo(f"it {concerns} {amended.hubs:,} more hubs")


@release.command("close", short_help="Accept nothing new for a release; what is agreed goes on.")
@firmware_options
@dry_run_option
@instance_option
def close_(firmware: Firmware, dry_run: bool, directory: Path) -> None:
    """Accept nothing new for a release, neither schedules nor approvals; what is agreed goes on."""
    already = f"{_named(firmware)} was closed already"
    with opened(directory, writing=True) as instance:
        changed = carry_out(
            instance.transactions,
            lambda unit_of_work: close(unit_of_work, firmware),
            dry_run=dry_run,
            foretell=unless_changed(already),
        )
    click.echo(f"{_named(firmware)} is closed now" if changed else already)


@release.command("withdraw", short_help="Withdraw a release: what is not with the CSP is cancelled.")
@firmware_options
@dry_run_option
@instance_option
def withdraw_(firmware: Firmware, dry_run: bool, directory: Path) -> None:
    """Withdraw a release for good: what is not with the CSP is cancelled, and the Suppliers are told.

    What is with the CSP goes on; what the CSP refuses of it is cancelled too.
    """
    with fully_opened(directory) as instance:
        machinery = phases_of(instance)

        def all_of_it(unit_of_work: UnitOfWork) -> Withdrawal:
            begun = withdraw(unit_of_work, machinery, firmware)
            until_done(lambda one: withdraw(one, machinery, firmware).more)(unit_of_work)
            return begun

        if dry_run:
            already = unless_changed(f"{_named(firmware)} was withdrawn already")
            show_rehearsal(instance.transactions, all_of_it, lambda begun: already(begun.withdrawn_now))
        done = first = instance.transactions.run_now(lambda one: withdraw(one, machinery, firmware))
        cancelled = first.cancelled
        while done.more:
            done = instance.transactions.run_now(lambda one: withdraw(one, machinery, firmware))
            cancelled += done.cancelled
    click.echo(
        f"{_named(firmware)} {'is withdrawn now' if first.withdrawn_now else 'was withdrawn already'}: "
        f"{cancelled:,} upgrades cancelled"
    )


@release.command("cpl", short_help="Record what the Certified Products List says of a release.")
@firmware_options
@click.argument("status", type=click.Choice(CPL_STATUSES, case_sensitive=False))
@dry_run_option
@instance_option
def cpl(firmware: Firmware, status: str, dry_run: bool, directory: Path) -> None:
    """Record what the Certified Products List says of a release; nothing is listed of one that is not Active."""
    already = f"{_named(firmware)} was {status} on the Certified Products List already"
    with opened(directory, writing=True) as instance:
        changed = carry_out(
            instance.transactions,
            lambda unit_of_work: set_cpl_status(unit_of_work, firmware, status),
            dry_run=dry_run,
            foretell=unless_changed(already),
        )
    click.echo(f"{_named(firmware)} is {status} on the Certified Products List now" if changed else already)


# Where it was before there were phases; there it is found by those who know it from then.
_alias_of_gate = copy.copy(gate)
_alias_of_gate.hidden = True
release.add_command(_alias_of_gate)


def _plan(
    policy: Policy,
    *,
    pilot_first: bool,
    pilot_limit: int | None,
    pilot_closes: str | None,
    soak_hours: int | None,
    automatic_gate: bool,
    failure_percent: int | None,
    minimum_sample: int | None,
) -> PhasePlan:
    """The plan of the policy with what was said on the command line."""
    of_pilot = (pilot_limit, pilot_closes, soak_hours, automatic_gate or None)
    if not pilot_first and any(value is not None for value in of_pilot):
        raise click.UsageError(
            "--pilot-limit, --pilot-closes, --soak-hours and --automatic-gate need --pilot-first: without a pilot the "
            "gate is open from the start"
        )
    plan = plan_by_policy(policy)
    return replace(
        plan,
        pilot_limit=pilot_limit,
        pilot_closes=None if pilot_closes is None else _moment(pilot_closes),
        soak=plan.soak if soak_hours is None else timedelta(hours=soak_hours),
        automatic_gate=automatic_gate,
        failure_percent=plan.failure_percent if failure_percent is None else failure_percent,
        minimum_sample=plan.minimum_sample if minimum_sample is None else minimum_sample,
    )


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.BadParameter(
            f"{text!r} is not a time with a zone, such as 2026-11-23T09:00:00Z", param_hint="--pilot-closes"
        )
    return found.astimezone(UTC)


def _named(firmware: Firmware) -> str:
    return f"firmware {firmware.version} for {firmware.manufacturer} {firmware.model}"


def _han_model(text: str, option: str) -> tuple[str, str]:
    manufacturer, separator, model = text.partition(":")
    if not (manufacturer and separator and model):
        raise click.BadParameter(f"{text!r} is not MANUFACTURER:MODEL", param_hint=option)
    return manufacturer, model
