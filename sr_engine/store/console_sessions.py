"""Sessions of the console, known by the SHA-256 of the token in a cookie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from sr_engine.store.tables import console_sessions

_SESSION = console_sessions.c


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has given a password; `second_factor`: and what a second factor wants."""

    token_sha256: str
    account_id: int
    began_at: datetime
    seen_at: datetime
    second_factor: bool
    pending_secret: str | None


def find(connection: Connection, token_sha256: str) -> Session | None:
    """The session of a token."""
    row = connection.execute(select(console_sessions).where(_SESSION.token_sha256 == token_sha256)).one_or_none()
    return None if row is None else Session(*row)


def begin(connection: Connection, session: Session) -> None:
    """Record a session."""
    connection.execute(
        console_sessions.insert().values(
            token_sha256=session.token_sha256,
            account_id=session.account_id,
            began_at=session.began_at,
            seen_at=session.seen_at,
            second_factor=session.second_factor,
            pending_secret=session.pending_secret,
        )
    )


def seen(connection: Connection, token_sha256: str, now: datetime) -> None:
    """Record that somebody is still there."""
    connection.execute(console_sessions.update().where(_SESSION.token_sha256 == token_sha256).values(seen_at=now))


def set_pending_secret(connection: Connection, token_sha256: str, secret: str | None) -> None:
    """Keep a second factor that is being set up."""
    connection.execute(
        console_sessions.update().where(_SESSION.token_sha256 == token_sha256).values(pending_secret=secret)
    )


def end(connection: Connection, token_sha256: str) -> None:
    """End a session."""
    connection.execute(console_sessions.delete().where(_SESSION.token_sha256 == token_sha256))


def end_all(connection: Connection, account_id: int) -> None:
    """End all sessions of an account."""
    connection.execute(console_sessions.delete().where(_SESSION.account_id == account_id))


def end_old(connection: Connection, *, began_before: datetime, seen_before: datetime) -> None:
    """End sessions that are over."""
    connection.execute(
        console_sessions.delete().where(or_(_SESSION.began_at < began_before, _SESSION.seen_at < seen_before))
    )
