"""`--dry-run`: the same command, and the same refusals, with nothing changed and a count of what would be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from sr_engine.cli.output import show_table
from sr_engine.operations.rehearsal import HubChange, rehearse
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork

T = TypeVar("T")
_F = TypeVar("_F", bound=Callable[..., Any])

_COLUMNS = ("Region", "Role", "From", "To", "Hubs")


def dry_run_option(command: _F) -> _F:
    """Adds --dry-run to a command, as the parameter `dry_run`."""
    return click.option(
        "--dry-run", is_flag=True, help="Change nothing; say how many hubs would change, per region and Supplier role."
    )(command)


def carry_out(
    transactions: Transactions, work: Callable[[UnitOfWork], T], *, dry_run: bool, foretell: Callable[[T], None]
) -> T:
    """Run `work` in a transaction and return what it returned.

    With `dry_run` it is taken back, what would have changed is printed, and the command ends there, successfully.
    `foretell` prints what only the result says.
    """
    if dry_run:
        show_rehearsal(transactions, work, foretell)
    return transactions.run_now(work)


def show_rehearsal(
    transactions: Transactions, work: Callable[[UnitOfWork], T], foretell: Callable[[T], None] = lambda _result: None
) -> NoReturn:
    """Run `work` in a transaction that is taken back, print what would have changed, and end the command."""
    rehearsed = rehearse(transactions, work)
    show_table("Hubs that would change", _COLUMNS, map(_row, rehearsed.changes))
    show_table("Scheduled hubs that would be kept off lists or freed for them", _COLUMNS, map(_row, rehearsed.listing))
    foretell(rehearsed.result)
    click.echo("dry run: nothing was changed")
    raise click.exceptions.Exit


def unless_changed(text: str) -> Callable[[bool], None]:
    """What to foretell of work that returns whether it changed anything: `text`, if it did not."""

    def foretell(changed: bool) -> None:
        if not changed:
            click.echo(text)

    return foretell


def until_done(work: Callable[[UnitOfWork], bool]) -> Callable[[UnitOfWork], None]:
    """What is done in portions, each in a transaction of its own while `work` returns true, as one piece of work."""

    def all_of_it(unit_of_work: UnitOfWork) -> None:
        while work(unit_of_work):
            pass

    return all_of_it


def in_turn(*works: Callable[[UnitOfWork], object]) -> Callable[[UnitOfWork], None]:
    """Several pieces of work, each in a transaction of its own otherwise, as one."""

    def all_of_them(unit_of_work: UnitOfWork) -> None:
        for work in works:
            work(unit_of_work)

    return all_of_them


def _row(change: HubChange) -> tuple[str, str, str, str, int]:
    return change.region, change.role, change.before, change.after, change.hubs
