"""Tokens of the interface for CRM systems: whose each is, what it is for, how long it is good."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from sr_engine.store.tables import api_tokens


class Scope(StrEnum):
    """What a token is for."""

    READ = "read"
    """Hubs, releases, own answers, changes."""
    ACT = "act"
    """What Service Requests 11.5, 11.6, 11.8 and 11.9 do."""
    WEBHOOKS = "webhooks"
    """Having changes sent."""
    REGISTRATIONS = "registrations"
    """Registrations and changes of Supplier; of no Supplier."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token, as it is kept."""

    token_id: str
    name: str
    user_eui: str | None
    """In whose name it acts; None: it is the registration feed's."""
    scopes: frozenset[Scope]
    created_at: datetime
    ends_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None
    """To the hour."""
    certificate_sha256: str | None = None
    """Of the certificate over whose connections alone it is good, in hexadecimal; None: over any."""

    def is_good(self, now: datetime) -> bool:
        """Whether it lets anybody in."""
        return self.revoked_at is None and (self.ends_at is None or now < self.ends_at)


_BY_SECRET = select(api_tokens).where(api_tokens.c.secret_sha256 == bindparam("secret_sha256"))
_NAMED = select(api_tokens).where(api_tokens.c.name == bindparam("name")).order_by(api_tokens.c.created_at)
_ALL = select(api_tokens).order_by(api_tokens.c.created_at, api_tokens.c.token_id)


def add(connection: Connection, token: Token, secret_sha256: str) -> None:
    """Insert a token."""
    connection.execute(
        api_tokens.insert().values(
            token_id=token.token_id,
            name=token.name,
            user_eui=token.user_eui,
            scopes=",".join(sorted(token.scopes)),
            secret_sha256=secret_sha256,
            created_at=token.created_at,
            ends_at=token.ends_at,
            revoked_at=token.revoked_at,
            used_at=token.used_at,
            certificate_sha256=token.certificate_sha256,
        )
    )


def by_secret(connection: Connection, secret_sha256: str) -> Token | None:
    """The token whose secret has this SHA-256, good or not."""
    row = connection.execute(_BY_SECRET, {"secret_sha256": secret_sha256}).one_or_none()
    return None if row is None else _token_of(row)


def named(connection: Connection, name: str) -> list[Token]:
    """All that were ever called so, oldest first."""
    return [_token_of(row) for row in connection.execute(_NAMED, {"name": name})]


def all_tokens(connection: Connection) -> list[Token]:
    """All there ever were, oldest first."""
    return [_token_of(row) for row in connection.execute(_ALL)]


def end(connection: Connection, token_id: str, ends_at: datetime) -> None:
    """A token is good up to then."""
    connection.execute(api_tokens.update().where(api_tokens.c.token_id == token_id).values(ends_at=ends_at))


def revoke(connection: Connection, token_id: str, at: datetime) -> None:
    """A token is good no more."""
    connection.execute(api_tokens.update().where(api_tokens.c.token_id == token_id).values(revoked_at=at))


def use(connection: Connection, token_id: str, hour: datetime) -> None:
    """A token was used in an hour."""
    connection.execute(api_tokens.update().where(api_tokens.c.token_id == token_id).values(used_at=hour))


def _token_of(row: Row[Any]) -> Token:
    return Token(
        token_id=row.token_id,
        name=row.name,
        user_eui=row.user_eui,
        scopes=frozenset(Scope(one) for one in row.scopes.split(",")),
        created_at=row.created_at,
        ends_at=row.ends_at,
        revoked_at=row.revoked_at,
        used_at=row.used_at,
        certificate_sha256=row.certificate_sha256,
    )
