"""Tokens of the interface for CRM systems: made, rotated, revoked, and noted when they are used."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sr_engine.store import api_tokens, audit
from sr_engine.store.api_tokens import Scope, Token
from sr_engine.store.schema import is_mixed
from sr_engine.store.units_of_work import UnitOfWork

OPERATOR = "operator"
SECRET_BITS = 256
PREFIX = "sre_"
"""With which every secret begins, so that one that got lost in a file can be found there."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")


class TokenRefused(Exception):
    """It cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token and its secret, which stands nowhere else."""

    token: Token
    secret: str


@dataclass(frozen=True, slots=True)
class TokenDesk:
    """Makes and ends tokens; each name belongs to one token, and those that take its place."""

    draw_id: Callable[[], str]
    randbelow: Callable[[int], int]
    must_be_bound: bool = False
    """Only tokens are made that are bound to a certificate."""

    def create(
        self,
        unit_of_work: UnitOfWork,
        name: str,
        user_eui: str | None,
        scopes: Collection[Scope],
        *,
        good_for: timedelta | None = None,
        certificate_sha256: str | None = None,
    ) -> Issued:
        """Make a token, bound to the certificate with this SHA-256 if there is one; raises TokenRefused."""
        connection, now = unit_of_work.connection, unit_of_work.now
        if _NAME.fullmatch(name) is None:
            raise TokenRefused("a name has up to 48 lower-case letters, digits, dots, hyphens and underscores")
        if not scopes:
            raise TokenRefused(f"name what it is for: {', '.join(Scope)}")
        if (user_eui is None) != (set(scopes) == {Scope.REGISTRATIONS}):
            raise TokenRefused("a token for registrations is for nothing else and no User's; all others are a User's")
        if any(one.is_good(now) for one in api_tokens.named(connection, name)):
            raise TokenRefused(f"there is a token {name} that is good: rotate it, or revoke it first")
        ends_at = None if good_for is None else now + good_for
        new = Token("", name, user_eui, frozenset(scopes), now, ends_at, None, None, certificate_sha256)
        return self._issue(unit_of_work, new, "api token created")

    def rotate(
        self, unit_of_work: UnitOfWork, name: str, overlap: timedelta, *, certificate_sha256: str | None = None
    ) -> Issued:
        """Make one that takes its place; those so far are good for `overlap` more. Raises TokenRefused.

        It is bound to the certificate with this SHA-256, otherwise as the one before.
        """
        good = _good(unit_of_work, name)
        until = unit_of_work.now + overlap
        for one in good:
            if one.ends_at is None or one.ends_at > until:
                api_tokens.end(unit_of_work.connection, one.token_id, until)
        bound = certificate_sha256 or good[-1].certificate_sha256
        return self._issue(unit_of_work, replace(good[-1], ends_at=None, certificate_sha256=bound), "api token rotated")

    def revoke(self, unit_of_work: UnitOfWork, name: str) -> list[Token]:
        """End all of a name at once, and return them. Raises TokenRefused if none is good."""
        good = _good(unit_of_work, name)
        for one in good:
            api_tokens.revoke(unit_of_work.connection, one.token_id, unit_of_work.now)
        _record(unit_of_work, good[-1], "api token revoked", OPERATOR)
        return good

    def _issue(self, unit_of_work: UnitOfWork, like: Token, action: str) -> Issued:
        """Add a token of a new id and secret; raises TokenRefused."""
        if self.must_be_bound and like.certificate_sha256 is None:
            raise TokenRefused("tokens have to be bound here (must_be_bound of api.toml): name a file by --certificate")
        if like.certificate_sha256 is not None and is_mixed(unit_of_work.connection):
            raise TokenRefused(
                "processes of a version before may be at work, which would take the token from anybody: first replace "
                "them all, then `sr-engine db upgrade --all-replaced`"
            )
        secret = f"{PREFIX}{self.randbelow(1 << SECRET_BITS):064x}"
        token = replace(like, token_id=self.draw_id(), created_at=unit_of_work.now, revoked_at=None, used_at=None)
        api_tokens.add(unit_of_work.connection, token, digest(secret))
        _record(unit_of_work, token, action, OPERATOR)
        return Issued(token, secret)


def digest(secret: str) -> str:
    """What is kept of a secret: of 256 random bits a plain hash is enough, nobody can try them."""
    return hashlib.sha256(secret.encode()).hexdigest()


def find(connection: Connection, secret: str, now: datetime) -> Token | None:
    """The token with this secret, if it is good."""
    token = api_tokens.by_secret(connection, digest(secret))
    return token if token is not None and token.is_good(now) else None


def is_still_good(connection: Connection, token: Token, now: datetime) -> bool:
    """Whether a token that was good is so still."""
    return any(one.token_id == token.token_id and one.is_good(now) for one in api_tokens.named(connection, token.name))


def note_use(unit_of_work: UnitOfWork, token: Token, from_address: str) -> None:
    """Record that a token is used: once an hour, or the trail would hold every look."""
    hour = unit_of_work.now.replace(minute=0, second=0, microsecond=0)
    api_tokens.use(unit_of_work.connection, token.token_id, hour)
    actor = "registration feed" if token.user_eui is None else f"user:{token.user_eui}"
    _record(unit_of_work, token, "api token used", actor, f", from {from_address}")


def is_noted(token: Token, now: datetime) -> bool:
    """Whether it is on record that this token was used within this hour."""
    return token.used_at is not None and token.used_at >= now.replace(minute=0, second=0, microsecond=0)


def _good(unit_of_work: UnitOfWork, name: str) -> list[Token]:
    good = [one for one in api_tokens.named(unit_of_work.connection, name) if one.is_good(unit_of_work.now)]
    if not good:
        raise TokenRefused(f"there is no token {name} that is good: `sr-engine api-token list` shows all")
    return good


def _record(unit_of_work: UnitOfWork, token: Token, action: str, actor: str, more: str = "") -> None:
    scopes = ", ".join(sorted(token.scopes))
    whose = "the registration feed" if token.user_eui is None else token.user_eui
    bound = "" if token.certificate_sha256 is None else f", bound to certificate {token.certificate_sha256[:16]}"
    detail = f"token:{token.name} ({token.token_id[:8]}) of {whose}: {scopes}{bound}{more}"
    audit.record(unit_of_work.connection, [audit.Entry(unit_of_work.now, actor, action, detail)])
