"""Messages on their way out: looking at them, and sending parked ones again."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import click

from sr_engine import configuration
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import Opened, instance_option, opened
from sr_engine.cli.output import moment, show_table
from sr_engine.operations.outbox import RESENT_AT_ONCE, resend_to
from sr_engine.operations.outbox import resend as send_again
from sr_engine.store import summaries
from sr_engine.store.outbox import DELIVERED, EXPIRED, PARKED, PENDING
from sr_engine.store.summaries import MessageDetails
from sr_engine.store.units_of_work import NO_HUBS

_destination = click.option(
    "--to", "destination", metavar="DESTINATION", help="Only to this receiver: user:EUI or csp:REGION."
)


@click.group()
def outbox() -> None:
    """Responses, alerts and upgrade lists on their way out."""


@outbox.command("list", short_help="List messages; the parked ones unless --state says otherwise.")
@click.option(
    "--state",
    type=click.Choice([PENDING, DELIVERED, PARKED, EXPIRED], case_sensitive=False),
    default=PARKED,
    show_default=True,
    help="Only messages in this state.",
)
@_destination
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many messages.")
@instance_option
def list_(state: str, destination: str | None, limit: int, directory: Path) -> None:
    """List messages, oldest first: the parked ones, which were given up, unless --state says otherwise."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        _check(instance, destination)
        found = summaries.messages(connection, state, limit, destination)
    show_table(
        f"{state} messages",
        ("Message", "Kind", "Event", "To", "Since", "Tries", "Last error"),
        (
            (one.message_id, one.kind, one.event, one.destination, one.created_at, one.tries, one.last_error)
            for one in found
        ),
    )


def _check(instance: Opened, destination: str | None) -> None:
    """Raises Failure for what is no receiver, and had no message before it ceased to be one."""
    if destination is None:
        return
    users = configuration.load_users(instance.settings.users_file).users()
    regions = instance.configuration.regions
    if destination in {*(f"user:{one.eui}" for one in users), *(f"csp:{name}" for name in regions)}:
        return
    with instance.engine.connect() as connection:
        if summaries.is_sent_to(connection, destination):
            return
    raise Failure(
        f"there is no receiver {destination}, and no message to it: name a User of users.toml as "
        f"user:EUI, or the CSP of a region: {', '.join(f'csp:{name}' for name in regions)}"
    )


@outbox.command(short_help="Show all that is on record of a message.")
@click.argument("message_id", metavar="MESSAGE_ID")
@click.option("--body", is_flag=True, help="Write the message itself to stdout, byte for byte, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@instance_option
def show(message_id: str, *, body: bool, as_json: bool, directory: Path) -> None:
    """Show what is on record of a message: whom it goes to, its times and tries, and its last error.

    The message itself is shown only with --body: it names devices, and may be large.
    """
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = summaries.message_details(connection, message_id)
        data = summaries.message_body(connection, message_id) if body else None
    if found is None:
        raise Failure(f"there is no message {message_id} in the outbox")
    if data is not None:
        click.echo(data, nl=False)
        return
    facts = _facts(found)
    if as_json:
        named = {name.lower().replace(" ", "_").replace("-", ""): value for name, value in facts.items()}
        click.echo(json.dumps(named, indent=2))
        return
    for name, value in facts.items():
        click.echo(f"{name + ':':<14}{'-' if value is None else value}")


def _facts(found: MessageDetails) -> dict[str, object]:
    return {
        "Message": found.message_id,
        "Kind": found.kind,
        "Event": found.event,
        "To": found.destination,
        "Hub": found.hub_id,
        "State": found.state,
        "Queued": moment(found.created_at),
        "Tries": found.tries,
        "Next try": moment(found.next_try_at) if found.state == PENDING else None,
        "Delivered": None if found.delivered_at is None else moment(found.delivered_at),
        "Last error": found.last_error,
        "SHA-256": found.sha256,
        "Bytes": found.size,
    }


@outbox.command(short_help="Send parked messages again, unchanged.")
@click.argument("message_ids", metavar="[MESSAGE_ID]...", nargs=-1)
@click.option("--to", "destination", metavar="DESTINATION", help="All that is parked for user:EUI or csp:REGION.")
@instance_option
def resend(message_ids: tuple[str, ...], destination: str | None, directory: Path) -> None:
    """Send parked messages again, unchanged: those that are named, or all to one receiver, in their order.

    A processor that is running takes them up within a second. If the receiver's circuit is open, one is sent to see
    whether it is back, and the others once it is.
    """
    if bool(message_ids) == (destination is not None):
        raise click.UsageError("name messages, or a receiver by --to")
    with opened(directory, writing=True) as instance:
        _check(instance, destination)
        for message_id in message_ids:
            instance.transactions.run_now(partial(send_again, message_id=message_id), hubs=NO_HUBS)
            click.echo(f"message {message_id} is queued again")
        if destination is not None:
            queued, more = 0, True
            while more:
                some = instance.transactions.run_now(lambda work: resend_to(work, destination), hubs=NO_HUBS)
                queued, more = queued + some, some == RESENT_AT_ONCE
            click.echo(f"{queued:,} message(s) to {destination} are queued again")
