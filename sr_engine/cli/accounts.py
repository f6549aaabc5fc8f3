"""Who may sign in to the console."""

from __future__ import annotations

import secrets
from pathlib import Path

import click
import segno

from sr_engine import configuration
from sr_engine.cli.opening import Opened, instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.clock import SystemClock
from sr_engine.configuration.console import ConsoleRole, load_console
from sr_engine.operations import accounts as operations
from sr_engine.operations.passwords import Passwords, totp_uri
from sr_engine.store import accounts
from sr_engine.store.units_of_work import NO_HUBS

_LOGIN = click.argument("login")


@click.group()
def account() -> None:
    """Who may sign in to the console."""


@account.command(short_help="Let somebody sign in.")
@_LOGIN
@click.option("--organisation", help="The organisation of users.toml it belongs to.")
@click.option("--operator", is_flag=True, help="It is the DCC operator's and belongs to no organisation.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([ConsoleRole.VIEW.value, ConsoleRole.ACT.value, ConsoleRole.APPROVE.value]),
    help="What it may do beside looking: act, or approve what others want done. May be given more than once.",
)
@click.option("--as", "user_eui", metavar="EUI", help="The User in whose name it acts; otherwise the first.")
@click.option("--openid-subject", metavar="SUBJECT", help="It signs in at the OpenID provider, which calls it so.")
@instance_option
def add(
    *,
    login: str,
    organisation: str | None,
    operator: bool,
    roles: tuple[str, ...],
    user_eui: str | None,
    openid_subject: str | None,
    directory: Path,
) -> None:
    """Let somebody sign in; prints the first password, which has to be changed when it is first used."""
    if operator == (organisation is not None):
        raise click.UsageError("say whose account it is: --organisation NAME or --operator")
    with opened(directory, writing=True) as instance:
        users = configuration.load_users(instance.settings.users_file)
        password = instance.transactions.run_now(
            lambda uow: operations.add(
                uow,
                users,
                _passwords(instance),
                secrets.randbelow,
                login=login,
                organisation=organisation,
                user_eui=user_eui,
                roles=[ConsoleRole(role) for role in roles],
                oidc_subject=openid_subject,
            )
        )
    click.echo(f"{login} may sign in" + ("" if password is None else f"; its first password is {password}"))


@account.command("list", short_help="Show who may sign in.")
@instance_option
def list_(directory: Path) -> None:
    """Show who may sign in, and what they may do."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = accounts.every(connection)
        locks = {one.login: operations.locked_until(connection, one.login, SystemClock().now()) for one in found}
    show_table(
        "Accounts",
        ("Login", "Organisation", "Roles", "Signs in by", "Second factor", "State"),
        (
            (
                one.login,
                one.organisation or "(operator)",
                ", ".join(sorted(one.roles)),
                "OpenID" if one.oidc_subject is not None else "first password" if one.must_change else "password",
                "yes" if one.totp_secret is not None else "no",
                "disabled" if one.disabled_at is not None else "locked" if locks[one.login] is not None else "active",
            )
            for one in found
        ),
    )


@account.command(short_help="Give an account a new first password.")
@_LOGIN
@instance_option
def password(login: str, directory: Path) -> None:
    """Give an account a new first password and end its sessions; prints it."""
    with opened(directory, writing=True) as instance:
        made = instance.transactions.run_now(
            lambda uow: operations.reset_password(uow, _passwords(instance), secrets.randbelow, login)
        )
    click.echo(f"the new first password of {login} is {made}")


@account.command(short_help="Shut an account out, or let it in again.")
@_LOGIN
@click.option("--undo", is_flag=True, help="Let it in again.")
@instance_option
def disable(*, login: str, undo: bool, directory: Path) -> None:
    """Shut an account out at once, its sessions too; with --undo let it in again."""
    with opened(directory, writing=True) as instance:
        changed = instance.transactions.run_now(
            lambda uow: operations.set_disabled(uow, login, disabled=not undo), hubs=NO_HUBS
        )
    state = "may sign in" if undo else "is shut out"
    click.echo(f"{login} {state}{'' if changed else ' already'}")


@account.command(short_help="Set up or take away a second factor.")
@_LOGIN
@click.option("--remove", is_flag=True, help="Take it away, of somebody who has lost the telephone and all codes.")
@instance_option
def totp(*, login: str, remove: bool, directory: Path) -> None:
    """Give an account a second factor in place of any it had, and end its sessions.

    Prints a picture for an authenticator app, its key and the recovery codes, once.
    """
    with opened(directory, writing=True) as instance:
        if remove:
            removed = instance.transactions.run_now(
                lambda uow: operations.remove_second_factor(uow, login), hubs=NO_HUBS
            )
            click.echo(f"{login} {'has no second factor now' if removed else 'had no second factor'}")
            return
        made = instance.transactions.run_now(lambda uow: operations.new_second_factor(uow, secrets.randbelow, login))
        uri = totp_uri(made.secret, login, f"sr_engine {instance.settings.environment}")
    segno.make(uri, error="m").terminal(compact=True)
    click.echo(f"key: {made.secret}")
    click.echo("recovery codes, each good once without the telephone:")
    for code in made.recovery_codes:
        click.echo(f"  {code}")


@account.command(short_help="Let an account or address that was locked out try again.")
@click.argument("subject")
@instance_option
def unlock(subject: str, directory: Path) -> None:
    """Let an account that was locked out try again at once; or an address, given as address:ADDRESS."""
    with opened(directory, writing=True) as instance:
        unlocked = instance.transactions.run_now(lambda uow: operations.unlock(uow, subject), hubs=NO_HUBS)
    click.echo(f"{subject} may try again" if unlocked else f"{subject} had no failures")


def _passwords(instance: Opened) -> Passwords:
    return Passwords(load_console(instance.settings.config_directory).sign_in)
