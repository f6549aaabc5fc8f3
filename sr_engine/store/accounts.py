"""Accounts of the console, and failed attempts to sign in to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, or_, select
from sqlalchemy.dialects.postgresql import insert

from sr_engine.store.tables import UtcDateTime, console_accounts, console_recovery_codes, console_tries

_ACCOUNT = console_accounts.c
_TRIES = console_tries.c
_FIRST = insert(console_tries).values(
    subject=bindparam("subject"), failures=1, last_at=bindparam("at", type_=UtcDateTime), locked_until=None
)
_FAILED = _FIRST.on_conflict_do_update(
    index_elements=["subject"],
    set_={
        "failures": case((_TRIES.last_at < bindparam("forgotten", type_=UtcDateTime), 1), else_=_TRIES.failures + 1),
        "last_at": _FIRST.excluded.last_at,
        "locked_until": _FIRST.excluded.locked_until,
    },
).returning(_TRIES.failures)


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in; `organisation` is None for an operator."""

    account_id: int
    login: str
    organisation: str | None
    user_eui: str | None
    roles: frozenset[str]
    password_hash: str | None
    must_change: bool
    totp_secret: str | None
    totp_step: int | None
    oidc_subject: str | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tries:
    """Failures in a row of an account or an address."""

    subject: str
    failures: int
    last_at: datetime
    locked_until: datetime | None


def add(
    connection: Connection,
    *,
    login: str,
    organisation: str | None,
    user_eui: str | None,
    roles: Collection[str],
    password_hash: str | None,
    oidc_subject: str | None,
    now: datetime,
) -> None:
    """Add an account, whose password has to be changed when it is first used."""
    connection.execute(
        console_accounts.insert().values(
            login=login,
            organisation=organisation,
            user_eui=user_eui,
            roles=",".join(sorted(roles)),
            password_hash=password_hash,
            must_change=password_hash is not None,
            oidc_subject=oidc_subject,
            created_at=now,
        )
    )


def by_login(connection: Connection, login: str) -> Account | None:
    """The account of a login, as it is written."""
    return _one(connection.execute(select(console_accounts).where(_ACCOUNT.login == login)).one_or_none())


def by_id(connection: Connection, account_id: int) -> Account | None:
    """An account by its row number."""
    return _one(connection.execute(select(console_accounts).where(_ACCOUNT.account_id == account_id)).one_or_none())


def by_subject(connection: Connection, subject: str) -> Account | None:
    """The account that an OpenID provider calls so."""
    return _one(connection.execute(select(console_accounts).where(_ACCOUNT.oidc_subject == subject)).one_or_none())


def every(connection: Connection) -> list[Account]:
    """All accounts, by organisation and login; operators first."""
    found = connection.execute(select(console_accounts)).all()
    return sorted(map(_account_of, found), key=lambda one: (one.organisation or "", one.login))


def change(connection: Connection, account_id: int, **values: object) -> None:
    """Change columns of an account."""
    connection.execute(console_accounts.update().where(_ACCOUNT.account_id == account_id).values(**values))


def use_step(connection: Connection, account_id: int, step: int) -> bool:
    """Take a step of time of the second factor; False if it or a later one was taken before."""
    taken = connection.execute(
        console_accounts.update()
        .where(_ACCOUNT.account_id == account_id, (_ACCOUNT.totp_step.is_(None)) | (_ACCOUNT.totp_step < step))
        .values(totp_step=step)
    )
    return taken.rowcount == 1


def put_recovery_codes(connection: Connection, account_id: int, digests: Collection[str]) -> None:
    """Let these codes, and no others, stand in for the second factor, once each."""
    codes = console_recovery_codes
    connection.execute(codes.delete().where(codes.c.account_id == account_id))
    if digests:
        connection.execute(codes.insert(), [{"account_id": account_id, "code_sha256": one} for one in digests])


def use_recovery_code(connection: Connection, account_id: int, digest: str) -> bool:
    """Take a recovery code; False if there is no such one, or it was taken before."""
    codes = console_recovery_codes
    used = connection.execute(codes.delete().where(codes.c.account_id == account_id, codes.c.code_sha256 == digest))
    return used.rowcount == 1


def tries(connection: Connection, subject: str) -> Tries | None:
    """The failures of `account:<login>` or `address:<address>`, if there are any."""
    row = connection.execute(select(console_tries).where(_TRIES.subject == subject)).one_or_none()
    return None if row is None else Tries(*row)


def count_failure(connection: Connection, subject: str, now: datetime, *, forgotten: datetime) -> int:
    """One more failure; how many in a row that makes, those not counted that were before `forgotten`.

    Each is counted, however many transactions do so at a time: the row is the transaction's until it ends.
    """
    return int(connection.scalar(_FAILED, {"subject": subject, "at": now, "forgotten": forgotten}) or 0)


def lock_tries(connection: Connection, subject: str, until: datetime) -> None:
    """Nothing is to be tried with an account or from an address until then."""
    connection.execute(console_tries.update().where(_TRIES.subject == subject).values(locked_until=until))


def forget_tries(connection: Connection, subject: str) -> bool:
    """Forget the failures of an account or address; False if there were none."""
    return connection.execute(console_tries.delete().where(_TRIES.subject == subject)).rowcount > 0


def tries_of(connection: Connection, account: str) -> list[Tries]:
    """The failures of `account:<login>`, from each address and from all together."""
    return [Tries(*row) for row in connection.execute(select(console_tries).where(_of_account(account)))]


def forget_tries_of(connection: Connection, account: str) -> bool:
    """Forget the failures of `account:<login>` from anywhere; False if there were none."""
    return connection.execute(console_tries.delete().where(_of_account(account))).rowcount > 0


def _of_account(account: str) -> ColumnElement[bool]:
    return or_(_TRIES.subject == account, _TRIES.subject.startswith(f"{account} ", autoescape=True))


def forget_old_tries(connection: Connection, before: datetime) -> None:
    """Forget failures that were the last of their account or address before a time."""
    connection.execute(console_tries.delete().where(_TRIES.last_at < before))


def _one(row: Row[Any] | None) -> Account | None:
    return None if row is None else _account_of(row)


def _account_of(row: Row[Any]) -> Account:
    return Account(
        row.account_id,
        row.login,
        row.organisation,
        row.user_eui,
        frozenset(row.roles.split(",")),
        row.password_hash,
        row.must_change,
        row.totp_secret,
        row.totp_step,
        row.oidc_subject,
        row.created_at,
        row.disabled_at,
    )
