"""Accounts of the console: who may sign in, and what each change of them leaves in the audit trail."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.configuration import UserDirectory
from sr_engine.configuration.console import ConsoleRole
from sr_engine.operations.passwords import (
    Passwords,
    digest_of_code,
    draw_password,
    draw_recovery_codes,
    draw_totp_secret,
)
from sr_engine.store import accounts, console_sessions
from sr_engine.store.accounts import Account
from sr_engine.store.audit import Entry, record
from sr_engine.store.units_of_work import UnitOfWork

OPERATOR = "operator"


class AccountRefused(Exception):
    """An account cannot be made or changed so, and why."""


@dataclass(frozen=True, slots=True)
class NewSecondFactor:
    """What whoever sets it up has to keep; it is shown once."""

    secret: str
    recovery_codes: list[str]


def actor_of(login: str) -> str:
    """How the audit trail calls an account."""
    return f"account:{login}"


def add(
    unit_of_work: UnitOfWork,
    users: UserDirectory,
    passwords: Passwords,
    randbelow: Callable[[int], int],
    *,
    login: str,
    organisation: str | None,
    user_eui: str | None = None,
    roles: Collection[ConsoleRole] = (),
    oidc_subject: str | None = None,
) -> str | None:
    """Add an account; of no organisation, it is an operator's. Return its first password.

    With `oidc_subject` it signs in at the OpenID provider and has none. Raises AccountRefused.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9._@+-]{1,46}", login) is None:
        raise AccountRefused(
            "a login is 2 to 47 small letters, digits and . _ @ + -, and begins with one of the former"
        )
    if accounts.by_login(unit_of_work.connection, login) is not None:
        raise AccountRefused(f"there is an account {login} already")
    if oidc_subject is not None and accounts.by_subject(unit_of_work.connection, oidc_subject) is not None:
        raise AccountRefused("another account has this OpenID subject")
    if organisation is None:
        wanted = {ConsoleRole.OPERATOR}
        if set(roles) - wanted or user_eui is not None:
            raise AccountRefused("an operator has the role operator alone, and acts for no User")
    else:
        wanted = {ConsoleRole.VIEW, *roles}
        _check_organisation(users, organisation, user_eui)
        if ConsoleRole.OPERATOR in wanted:
            raise AccountRefused("the role operator is for accounts of no organisation")
    password = None if oidc_subject is not None else draw_password(randbelow)
    accounts.add(
        unit_of_work.connection,
        login=login,
        organisation=organisation,
        user_eui=None if user_eui is None else user_eui.upper(),
        roles=wanted,
        password_hash=None if password is None else passwords.hash(password),
        oidc_subject=oidc_subject,
        now=unit_of_work.now,
    )
    whose = "operator" if organisation is None else organisation
    audit(unit_of_work, OPERATOR, "account added", f"{login} of {whose}: {', '.join(sorted(wanted))}")
    return password


def _check_organisation(users: UserDirectory, organisation: str, user_eui: str | None) -> None:
    if users.organisation(organisation) is None:
        known = ", ".join(one.id for one in users.organisations())
        raise AccountRefused(f"there is no organisation {organisation} in users.toml; there are {known}")
    if user_eui is not None:
        user = users.by_eui(user_eui)
        if user is None or user.organisation_id != organisation:
            raise AccountRefused(f"{organisation} has no User {user_eui}")


def existing(connection: Connection, login: str) -> Account:
    """The account of a login; raises AccountRefused if there is none."""
    account = accounts.by_login(connection, login)
    if account is None:
        raise AccountRefused(f"there is no account {login}; `sr-engine account list` shows those there are")
    return account


def reset_password(unit_of_work: UnitOfWork, passwords: Passwords, randbelow: Callable[[int], int], login: str) -> str:
    """Give an account a new first password and end its sessions; raises AccountRefused."""
    account = existing(unit_of_work.connection, login)
    if account.oidc_subject is not None:
        raise AccountRefused(f"{login} signs in at the OpenID provider and has no password here")
    password = draw_password(randbelow)
    accounts.change(
        unit_of_work.connection, account.account_id, password_hash=passwords.hash(password), must_change=True
    )
    _shut_out(unit_of_work, account)
    audit(unit_of_work, OPERATOR, "account password", f"{login}: a new first password")
    return password


def change_password(unit_of_work: UnitOfWork, account: Account, hashed: str) -> None:
    """Set the password that somebody chose, and end the sessions of the account."""
    accounts.change(unit_of_work.connection, account.account_id, password_hash=hashed, must_change=False)
    _shut_out(unit_of_work, account)
    audit(unit_of_work, actor_of(account.login), "account password", "changed by its owner")


def set_disabled(unit_of_work: UnitOfWork, login: str, *, disabled: bool) -> bool:
    """Shut an account out, or let it in again; False if it is so already. Raises AccountRefused."""
    account = existing(unit_of_work.connection, login)
    if (account.disabled_at is not None) == disabled:
        return False
    accounts.change(unit_of_work.connection, account.account_id, disabled_at=unit_of_work.now if disabled else None)
    if disabled:
        console_sessions.end_all(unit_of_work.connection, account.account_id)
    audit(unit_of_work, OPERATOR, "account disabled" if disabled else "account enabled", login)
    return True


def unlock(unit_of_work: UnitOfWork, subject: str) -> bool:
    """Let an account, or an address, try to sign in again at once; False if it was not kept from it.

    `subject` is a login, or `address:` and an address.
    """
    whole = subject if subject.startswith("address:") else f"account:{subject}"
    forgotten = accounts.forget_tries_of(unit_of_work.connection, whole)
    if forgotten:
        audit(unit_of_work, OPERATOR, "account unlocked", whole)
    return forgotten


def new_second_factor(unit_of_work: UnitOfWork, randbelow: Callable[[int], int], login: str) -> NewSecondFactor:
    """Give an account a second factor in place of any it had, and end its sessions; raises AccountRefused."""
    account = existing(unit_of_work.connection, login)
    made = NewSecondFactor(draw_totp_secret(randbelow), draw_recovery_codes(randbelow))
    _shut_out(unit_of_work, account)
    set_second_factor(unit_of_work, account, made, actor=OPERATOR)
    return made


def set_second_factor(unit_of_work: UnitOfWork, account: Account, made: NewSecondFactor, *, actor: str) -> None:
    """Have an account sign in with a second factor from now on."""
    accounts.change(unit_of_work.connection, account.account_id, totp_secret=made.secret, totp_step=None)
    digests = [digest_of_code(code) for code in made.recovery_codes]
    accounts.put_recovery_codes(unit_of_work.connection, account.account_id, digests)
    audit(unit_of_work, actor, "account second factor", f"{account.login}: set up")


def remove_second_factor(unit_of_work: UnitOfWork, login: str) -> bool:
    """Take an account's second factor away and end its sessions; False if it has none. Raises AccountRefused."""
    account = existing(unit_of_work.connection, login)
    if account.totp_secret is None:
        return False
    accounts.change(unit_of_work.connection, account.account_id, totp_secret=None, totp_step=None)
    accounts.put_recovery_codes(unit_of_work.connection, account.account_id, ())
    _shut_out(unit_of_work, account)
    audit(unit_of_work, OPERATOR, "account second factor", f"{login}: taken away")
    return True


def _shut_out(unit_of_work: UnitOfWork, account: Account) -> None:
    console_sessions.end_all(unit_of_work.connection, account.account_id)


def locked_until(connection: Connection, login: str, now: datetime) -> datetime | None:
    """Until when an account is kept from signing in, from some address or from all, if it is."""
    tried = accounts.tries_of(connection, f"account:{login}")
    return max(
        (one.locked_until for one in tried if one.locked_until is not None and one.locked_until > now), default=None
    )


def audit(unit_of_work: UnitOfWork, actor: str, action: str, detail: str) -> None:
    """Leave a record."""
    record(unit_of_work.connection, [Entry(unit_of_work.now, actor, action, detail)])
