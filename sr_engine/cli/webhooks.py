"""Webhooks of Suppliers: looking at them, sending on to parked ones, and taking them away."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.operations.webhooks import WebhookRefused, take_away
from sr_engine.operations.webhooks import resend as send_again
from sr_engine.store import webhooks


@click.group()
def webhook() -> None:
    """Webhooks, by which Suppliers have changes sent to them."""


@webhook.command("list", short_help="List webhooks.")
@click.option("--parked", is_flag=True, help="Only those to which nothing is sent any more.")
@instance_option
def list_(parked: bool, directory: Path) -> None:
    """List webhooks, oldest first, with how sending to them goes."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = webhooks.all_webhooks(connection)
    show_table(
        "Webhooks",
        ("Webhook", "User", "To", "Changes", "Delivered", "Failures", "Parked", "Last error"),
        (
            (
                one.webhook_id,
                one.user_eui,
                one.url,
                "all" if one.kinds is None else ", ".join(one.kinds),
                one.delivered_at,
                one.tries,
                one.parked_at,
                one.last_error,
            )
            for one in found
            if one.parked_at is not None or not parked
        ),
    )


@webhook.command(short_help="Send on to a webhook, parked or not.")
@click.argument("webhook_id", metavar="WEBHOOK_ID")
@click.option("--leave-out", is_flag=True, help="Leave out what has not been sent, and begin with what comes now.")
@instance_option
def resend(webhook_id: str, leave_out: bool, directory: Path) -> None:
    """Send on to a webhook from where it was, at once."""
    with opened(directory, writing=True) as instance:
        try:
            instance.transactions.run_now(lambda uow: send_again(uow, webhook_id, leave_out=leave_out))
        except WebhookRefused as refused:
            raise Failure(str(refused)) from None
    click.echo("it is sent again")


@webhook.command(short_help="Have nothing sent to a webhook any more.")
@click.argument("webhook_id", metavar="WEBHOOK_ID")
@instance_option
def remove(webhook_id: str, directory: Path) -> None:
    """Remove a webhook, whoever made it: its Supplier can make another."""
    with opened(directory, writing=True) as instance:
        try:
            taken = instance.transactions.run_now(lambda uow: take_away(uow, webhook_id))
        except WebhookRefused as refused:
            raise Failure(str(refused)) from None
    click.echo(f"removed: nothing is sent to {taken.url} any more")
