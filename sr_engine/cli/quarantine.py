"""Requests in quarantine, and the anomaly thresholds that put them there."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import fully_opened, instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.domain.holding import Breach, HoldReason, Thresholds
from sr_engine.operations import quarantine as operations
from sr_engine.store import anomalies, held
from sr_engine.store.units_of_work import UnitOfWork

_LIMIT = click.IntRange(1, 2**63 - 1)


@click.group()
def quarantine() -> None:
    """Requests held for the operator to decide."""


@quarantine.command("list", short_help="List the requests in quarantine.")
@instance_option
def list_(directory: Path) -> None:
    """List the requests in quarantine, the first held first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = held.waiting(connection, HoldReason.QUARANTINE)
    show_table(
        "Requests in quarantine",
        ("QuarantineEventRef", "RequestID", "Service Request", "Threshold of", "Since", "Until", "Decided"),
        (
            (
                one.event_ref,
                one.request_id,
                one.service_reference_variant,
                one.breach,
                one.held_at,
                one.ready_at,
                one.decided,
            )
            for one in found
        ),
    )


_REFERENCE = click.argument("event_ref", metavar="[QUARANTINE_EVENT_REF]", required=False)
_USER = click.option("--user", "user_eui", metavar="EUI", help="All requests of this User, instead of one.")


@quarantine.command(short_help="Let requests be checked again and carried out.")
@_REFERENCE
@_USER
@instance_option
def release(event_ref: str | None, user_eui: str | None, directory: Path) -> None:
    """Let a request be checked again and carried out; a processor that is running does so within seconds."""
    _decide(directory, event_ref, user_eui, release=True)


@quarantine.command(short_help="Refuse requests for good.")
@_REFERENCE
@_USER
@instance_option
def delete(event_ref: str | None, user_eui: str | None, directory: Path) -> None:
    """Refuse a request for good: its User is answered E100."""
    _decide(directory, event_ref, user_eui, release=False)


def _decide(directory: Path, event_ref: str | None, user_eui: str | None, *, release: bool) -> None:
    if (event_ref is None) is (user_eui is None):
        raise click.UsageError("give a QuarantineEventRef, or --user")
    with opened(directory, writing=True) as instance:

        def work(unit_of_work: UnitOfWork) -> list[str]:
            chosen = [event_ref] if event_ref else operations.undecided_of(unit_of_work, user_eui or "")
            for one in chosen:
                operations.decide(unit_of_work, one, release=release)
            return chosen

        try:
            decided = instance.transactions.run_now(work)
        except operations.NotQuarantined as refused:
            raise Failure(str(refused)) from None
    what = event_ref or f"{len(decided):,} request(s) of {user_eui}"
    click.echo(f"{what}: {'released' if release else 'deleted'}")


@click.group("held")
def held_() -> None:
    """Requests that wait to be carried out."""


@held_.command("list", short_help="List the requests that wait.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many requests.")
@instance_option
def list_held(limit: int, directory: Path) -> None:
    """List the requests that wait, whatever for, the first held first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = held.waiting(connection, limit=limit)
    show_table(
        "Requests that wait",
        ("RequestID", "Service Request", "For", "Since", "Until", "After"),
        (
            (one.request_id, one.service_reference_variant, one.reason, one.held_at, one.ready_at, one.preceding)
            for one in found
        ),
    )


@click.group()
def anomaly() -> None:
    """How much a User may send in an hour."""


@anomaly.command(short_help="Show thresholds, and what was sent in this hour.")
@instance_option
def show(directory: Path) -> None:
    """Show the thresholds of each User, and how many requests and devices it has sent in this hour."""
    with fully_opened(directory) as instance, instance.engine.connect() as connection:
        policy = instance.configuration.policy.anomaly
        counted = anomalies.counts(connection, instance.clock.now())
        rows = []
        for organisation in instance.users.organisations():
            for user in instance.users.users_of(organisation.id):
                known = anomalies.thresholds(connection, user.eui)
                default = Thresholds(policy.requests_per_hour, policy.devices_per_hour)
                dcc, own = known.get(Breach.DCC, default), known.get(Breach.USER)
                rows.append((user.eui, *counted.get(user.eui, (0, 0)), _shown(dcc), _shown(own)))
    show_table(
        "Requests and devices in this hour",
        ("User", "Requests", "Devices", "DCC's threshold", "User's threshold"),
        rows,
    )


@anomaly.command("set", short_help="Set the thresholds of one User.")
@click.argument("user_eui", metavar="EUI")
@click.option("--by", type=click.Choice(list(Breach), case_sensitive=False), default=Breach.DCC, show_default=True)
@click.option("--requests", type=_LIMIT, help="Requests in an hour; left out: any number.")
@click.option("--devices", type=_LIMIT, help="Devices named in an hour; left out: any number.")
@click.option("--reset", is_flag=True, help="Take the thresholds away: the policy's count again for the DCC.")
@instance_option
def set_(*, user_eui: str, by: str, requests: int | None, devices: int | None, reset: bool, directory: Path) -> None:
    """Set the thresholds of one User, on the DCC's word or on its own."""
    if reset is (requests is not None or devices is not None):
        raise click.UsageError("give --requests, --devices or both; or --reset alone")
    with fully_opened(directory) as instance:
        user = instance.users.by_eui(user_eui)
        if user is None:
            raise Failure(f"{user_eui} is no User known here")
        wanted = None if reset else Thresholds(requests, devices)
        instance.transactions.run_now(
            lambda unit_of_work: operations.set_thresholds(unit_of_work, user.eui, Breach(by), wanted)
        )
    click.echo(f"thresholds of {user.eui} are set")


def _shown(thresholds: Thresholds | None) -> str:
    if thresholds is None:
        return "none"
    named = (("requests", thresholds.requests), ("devices", thresholds.devices))
    return ", ".join(f"{number:,} {name}" for name, number in named if number is not None)
