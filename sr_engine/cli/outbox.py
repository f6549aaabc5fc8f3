"""Messages on their way out: looking at them, and sending parked ones again."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.operations.outbox import resend as send_again
from sr_engine.store import summaries
from sr_engine.store.outbox import DELIVERED, EXPIRED, PARKED, PENDING


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
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many messages.")
@instance_option
def list_(state: str, limit: int, directory: Path) -> None:
    """List messages, oldest first: the parked ones, which were given up, unless --state says otherwise."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = summaries.messages(connection, state, limit)
    show_table(
        f"{state} messages",
        ("Message", "Kind", "Event", "To", "Since", "Tries", "Last error"),
        (
            (one.message_id, one.kind, one.event, one.destination, one.created_at, one.tries, one.last_error)
            for one in found
        ),
    )


@outbox.command(short_help="Send a parked message again, unchanged.")
@click.argument("message_id", metavar="MESSAGE_ID")
@instance_option
def resend(message_id: str, directory: Path) -> None:
    """Send a parked message again, unchanged; a processor that is running takes it up within a second."""
    with opened(directory, writing=True) as instance:
        instance.transactions.run_now(lambda unit_of_work: send_again(unit_of_work, message_id))
    click.echo(f"message {message_id} is queued again")
