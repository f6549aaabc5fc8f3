"""Tokens of the interface for CRM systems."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path

import click

from sr_engine import configuration
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import Opened, instance_option, opened
from sr_engine.cli.output import show_table
from sr_engine.drawing import identifier
from sr_engine.operations.api_tokens import Issued, TokenDesk, TokenRefused
from sr_engine.peers import fingerprint_of_pem
from sr_engine.store import api_tokens, webhooks
from sr_engine.store.api_tokens import Scope
from sr_engine.store.units_of_work import NO_HUBS

_HOUR = timedelta(hours=1)


def _desk(instance: Opened) -> TokenDesk:
    must_be_bound = instance.configuration.api.tokens.must_be_bound
    return TokenDesk(lambda: identifier(secrets.randbelow), secrets.randbelow, must_be_bound)


def _fingerprint(certificate: Path | None) -> str | None:
    if certificate is None:
        return None
    try:
        return fingerprint_of_pem(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise Failure(f"{certificate} is no certificate in PEM that can be read: {error}") from None


_bound_option = click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Good only over TLS connections that show this certificate (PEM).",
)


@click.group("api-token")
def api_token() -> None:
    """Tokens of the interface for CRM systems, below /api/v2."""


@api_token.command(short_help="Make a token, and print it: it stands nowhere else.")
@click.argument("name", metavar="NAME")
@click.option("--user", "eui", metavar="EUI", help="In whose name it acts; left out for the registration feed.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([one.value for one in Scope]),
    multiple=True,
    required=True,
    help="What it is for; may be said more than once.",
)
@click.option("--hours", type=click.IntRange(1), help="How long it is good; otherwise until it is revoked.")
@_bound_option
@instance_option
def create(
    name: str,
    eui: str | None,
    scopes: tuple[str, ...],
    *,
    hours: int | None,
    certificate: Path | None,
    directory: Path,
) -> None:
    """Make a token called NAME, and print it. Of it only its SHA-256 is kept."""
    bound = _fingerprint(certificate)
    with opened(directory, writing=True) as instance:
        user = None
        if eui is not None:
            user = configuration.load_users(instance.settings.users_file).by_eui(eui)
            if user is None:
                raise Failure(f"there is no User {eui} in {instance.settings.users_file}")
        good_for = None if hours is None else hours * _HOUR
        wanted = {Scope(one) for one in scopes}
        try:
            issued = instance.transactions.run_now(
                lambda uow: _desk(instance).create(
                    uow,
                    name,
                    None if user is None else user.eui,
                    wanted,
                    good_for=good_for,
                    certificate_sha256=bound,
                )
            )
        except TokenRefused as refused:
            raise Failure(str(refused)) from None
    _show(issued)


@api_token.command("list", short_help="List tokens, without their secrets.")
@instance_option
def list_(directory: Path) -> None:
    """List all tokens there ever were, oldest first."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        now, found = instance.clock.now(), api_tokens.all_tokens(connection)
    show_table(
        "Tokens",
        ("Name", "User", "Scopes", "Made", "Good", "Until", "Last used, hour", "Bound to certificate"),
        (
            (
                one.name,
                one.user_eui or "registration feed",
                ", ".join(sorted(one.scopes)),
                one.created_at,
                "yes" if one.is_good(now) else "no",
                one.revoked_at or one.ends_at,
                one.used_at,
                (one.certificate_sha256 or "")[:16],
            )
            for one in found
        ),
    )


@api_token.command(short_help="Make one that takes its place; the former is good for a while.")
@click.argument("name", metavar="NAME")
@click.option(
    "--overlap-hours", type=click.IntRange(0), help="How long the former is good; otherwise as api.toml says."
)
@_bound_option
@instance_option
def rotate(name: str, overlap_hours: int | None, certificate: Path | None, directory: Path) -> None:
    """Make a token that takes the place of NAME, and print it; without --certificate it is bound as the former is."""
    bound = _fingerprint(certificate)
    with opened(directory, writing=True) as instance:
        default = instance.configuration.api.tokens.overlap
        overlap = default if overlap_hours is None else overlap_hours * _HOUR
        try:
            issued = instance.transactions.run_now(
                lambda uow: _desk(instance).rotate(uow, name, overlap, certificate_sha256=bound)
            )
        except TokenRefused as refused:
            raise Failure(str(refused)) from None
    _show(issued)


@api_token.command(short_help="End a token at once.")
@click.argument("name", metavar="NAME")
@instance_option
def revoke(name: str, directory: Path) -> None:
    """End all tokens called NAME at once."""
    with opened(directory, writing=True) as instance:
        try:
            ended = instance.transactions.run_now(lambda uow: _desk(instance).revoke(uow, name), hubs=NO_HUBS)
        except TokenRefused as refused:
            raise Failure(str(refused)) from None
        users = {one.user_eui for one in ended if one.user_eui is not None and Scope.WEBHOOKS in one.scopes}
        with instance.engine.connect() as connection:
            left = [hook for user in sorted(users) for hook in webhooks.of_user(connection, user)]
    click.echo(f"{len(ended)} revoked")
    for hook in left:
        # Which token made it is not kept.
        click.echo(f"webhook {hook.webhook_id} of {hook.user_eui} goes on, to {hook.url}: `sr-engine webhook remove`")


def _show(issued: Issued) -> None:
    click.echo(issued.secret)
