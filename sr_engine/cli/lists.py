"""Upgrade lists that were cut: looking at them, and asking a CSP not to carry one out."""

from __future__ import annotations

from pathlib import Path

import click

from sr_engine.bootstrap import withdrawing_of
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import fully_opened, instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.cli.regions import chosen_regions
from sr_engine.operations.lists import NotWithdrawable, find_list
from sr_engine.store import lists
from sr_engine.store.units_of_work import UnitOfWork


@click.group("list")
def list_() -> None:
    """Upgrade lists that were cut for the CSPs."""


@list_.command(short_help="Show the lists that were cut last.")
@click.option("--region", help="Only lists of this CSP region.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="How many lists.")
@instance_option
def show(region: str | None, limit: int, directory: Path) -> None:
    """Show the lists that were cut last, newest first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        if region is not None:
            chosen_regions(instance.configuration.regions, [region])
        found = lists.newest_lists(connection, region=region, limit=limit)
    show_table(
        "Upgrade lists",
        ("List", "Region", "Firmware", "From", "To", "Hubs", "With the CSP", "Delivered", "Acknowledged", "Replaces"),
        (
            (
                one.list_id,
                one.region,
                one.version,
                one.period.start,
                one.period.end,
                one.hub_count,
                one.with_csp,
                "yes" if one.delivered else "no",
                "yes" if one.acknowledged else "no",
                one.replaces,
            )
            for one in found
        ),
    )


@list_.command(short_help="Ask the CSP not to carry out a list.")
@click.argument("list_id", metavar="LIST_ID")
@click.option("--reason", required=True, help="Why; the CSP and the audit trail are told.")
@click.option("--hub", "hub_ids", multiple=True, metavar="CHF", help="Only this hub; may be repeated.")
@instance_option
def withdraw(list_id: str, reason: str, hub_ids: tuple[str, ...], directory: Path) -> None:
    """Ask the CSP not to carry out a list, or some hubs of it, before it starts.

    A hub is cancelled, and its Suppliers are told, once the CSP has acknowledged that it is withdrawn.
    """
    asked = _ask(directory, list_id, reason, hub_ids, replacing=False)
    click.echo(f"the CSP is asked to withdraw {asked:,} hub(s) of list {list_id}")


@list_.command("replace", short_help="Have a list withdrawn, and cut anew what still may go.")
@click.argument("list_id", metavar="LIST_ID")
@click.option("--reason", required=True, help="Why; the CSP and the audit trail are told.")
@instance_option
def replace_list(list_id: str, reason: str, directory: Path) -> None:
    """Ask the CSP not to carry out a list before it starts, and cut anew what it takes off, as things are then.

    Once the CSP has acknowledged it, hubs that still may go stand on a new list for the same night, which names the one
    it replaces; the others are back in planning. What the CSP refuses to take off, or has begun, stays as it is.
    """
    asked = _ask(directory, list_id, reason, (), replacing=True)
    click.echo(f"the CSP is asked to withdraw {asked:,} hub(s) of list {list_id}, which is then replaced")


def _ask(directory: Path, list_id: str, reason: str, hub_ids: tuple[str, ...], *, replacing: bool) -> int:
    with fully_opened(directory) as instance:
        withdrawing, regions = withdrawing_of(instance), instance.configuration.regions

        def work(unit_of_work: UnitOfWork) -> int:
            cut = find_list(unit_of_work, list_id)
            return withdrawing(unit_of_work, regions[cut.region], cut, hub_ids, reason, replacing=replacing)

        try:
            return instance.transactions.run_now(work)
        except NotWithdrawable as refused:
            raise Failure(str(refused)) from None
