"""The terms of releases: Voluntary or Mandatory, managed by Suppliers or by the DCC."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import click

from sr_engine.cli.dry_run import carry_out, dry_run_option
from sr_engine.cli.firmware import firmware_options
from sr_engine.cli.opening import fully_opened, instance_option, opened
from sr_engine.cli.output import moment, show_table
from sr_engine.domain.terms import Management, Obligation
from sr_engine.messages.model import Firmware
from sr_engine.operations import terms
from sr_engine.store.compulsion import Standing


def _moment(text: str) -> datetime:
    """A time with its zone, or a date: its first moment in UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time such as 2027-03-01T00:00Z or 2027-03-01") from None
    if at.tzinfo is None:
        if len(text) > len("2027-03-01"):
            raise click.BadParameter(f"{text!r} has no zone: add Z for UTC")
        at = at.replace(tzinfo=UTC)
    return at.astimezone(UTC)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a date such as 2027-03-01") from None


@click.group()
def policy() -> None:
    """The terms of releases: obligation and management."""


@policy.command("show", short_help="The terms of a release, in force and announced.")
@firmware_options
@instance_option
def show(firmware: Firmware, directory: Path) -> None:
    """The terms of a release that are in force, and every change ever announced, newest first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = terms.show(connection, firmware)
    click.echo(f"in force: {found.in_force.in_words()}")
    if found.release.compulsory_from is not None:
        click.echo(f"the processor plans the remaining hubs by itself from {moment(found.release.compulsory_from)}")
    show_table(
        "Announced changes",
        ("Terms", "Announced", "Takes effect", "In force since", "Cancelled", "Consultation", "Of"),
        (
            (
                one.terms.in_words(),
                one.announced_at,
                one.effective_at,
                one.applied_at,
                one.cancelled_at,
                one.consultation_reference,
                one.consultation_date,
            )
            for one in found.announcements
        ),
    )


@policy.command("announce", short_help="Announce a change of a release's obligation or management.")
@firmware_options
@click.option("--obligation", type=click.Choice([one.value for one in Obligation]), help="Otherwise as it is.")
@click.option("--management", type=click.Choice([one.value for one in Management]), help="Otherwise as it is.")
@click.option(
    "--comply-by",
    type=_moment,
    metavar="TIME",
    help="By when every hub is to be upgraded; for Mandatory and DCCManaged, otherwise as it is.",
)
@click.option("--effective", type=_moment, metavar="TIME", help="Otherwise as early as the notice period allows.")
@click.option("--consultation", required=True, metavar="REFERENCE", help="The consultation that the change rests on.")
@click.option("--consultation-date", required=True, type=_day, metavar="DATE", help="When it was closed.")
@dry_run_option
@instance_option
def announce(
    *,
    firmware: Firmware,
    obligation: str | None,
    management: str | None,
    comply_by: datetime | None,
    effective: datetime | None,
    consultation: str,
    consultation_date: date,
    dry_run: bool,
    directory: Path,
) -> None:
    """Announce a change: the Suppliers concerned are told now and when it takes effect, after the notice period."""
    wanted = terms.Wanted(
        None if obligation is None else Obligation(obligation),
        None if management is None else Management(management),
        comply_by,
        effective,
        consultation,
        consultation_date,
    )
    with fully_opened(directory) as instance:
        announced = carry_out(
            instance.transactions,
            lambda unit_of_work: terms.announce(
                unit_of_work,
                firmware=firmware,
                wanted=wanted,
                policy=instance.configuration.policy.compulsion,
                alerts=instance.alerts,
            ),
            dry_run=dry_run,
            foretell=lambda one: click.echo(
                f"would be announced: {one.terms.in_words()} from {moment(one.effective_at)}"
            ),
        )
    click.echo(f"announced: {announced.terms.in_words()} from {moment(announced.effective_at)}")


@policy.command("cancel", short_help="Take back an announced change before it takes effect.")
@firmware_options
@dry_run_option
@instance_option
def cancel(firmware: Firmware, dry_run: bool, directory: Path) -> None:
    """Take back an announced change before it takes effect; the Suppliers concerned are told."""
    with fully_opened(directory) as instance:
        cancelled = carry_out(
            instance.transactions,
            lambda unit_of_work: terms.cancel(unit_of_work, firmware=firmware, alerts=instance.alerts),
            dry_run=dry_run,
            foretell=lambda one: click.echo(f"would be cancelled: the change to {one.terms.in_words()}"),
        )
    click.echo(f"cancelled: the release does not become {cancelled.terms.in_words()}")


@policy.command("compare", short_help="What would differ under each regime.")
@firmware_options
@click.option("--comply-by", type=_moment, metavar="TIME", help="Otherwise that of the release, in force or announced.")
@click.option(
    "--effective", type=_moment, metavar="TIME", help="Otherwise as early as a change announced now could take effect."
)
@instance_option
def compare(
    *,
    firmware: Firmware,
    comply_by: datetime | None,
    effective: datetime | None,
    directory: Path,
) -> None:
    """Where the remaining hubs of a release stand, and what each regime would make of them, region by region.

    Nights are counted at the region's hubs per night; other releases may need some of them.
    """
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = terms.compare(
            connection,
            firmware=firmware,
            regions=instance.configuration.regions,
            policy=instance.configuration.policy.compulsion,
            now=instance.clock.now(),
            comply_by=comply_by,
            effective_at=effective,
        )
    show_table(
        "Hubs that the firmware can be installed on",
        ("Region", *(one.value for one in Standing)),
        ((region, *(counts.get(one, 0) for one in Standing)) for region, counts in found.standings.items()),
    )
    show_table(
        f"What each regime would mean, ComplyBy {moment(found.comply_by)}",
        ("Regime", "Region", "Planned", "Without consent", "Not planned", "Nights needed", "Nights left"),
        (
            (
                one.regime,
                one.region,
                one.planned,
                one.without_consent,
                one.not_planned,
                one.nights_needed,
                one.nights_left,
            )
            for one in found.regimes
        ),
    )
