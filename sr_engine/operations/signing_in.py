"""Signing in to the console: password, second factor, lock-out with longer and longer waits, and sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sr_engine.clock import Clock
from sr_engine.configuration.console import ConsoleRules
from sr_engine.operations.accounts import actor_of, audit
from sr_engine.operations.passwords import Passwords, digest_of_code, totp_step
from sr_engine.origins import origin_of
from sr_engine.store import accounts, console_sessions
from sr_engine.store.accounts import Account
from sr_engine.store.console_sessions import Session
from sr_engine.store.units_of_work import UnitOfWork

_SEEN_EVERY = timedelta(minutes=1)
_LOGIN_MAX = 48


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody was signed in; `wait` says for how long nothing is tried."""

    wait: timedelta | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session has begun, whose token is in nobody's hands but the receiver's."""

    token: str
    account: Account


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody with a session that is in force."""

    account: Account
    session: Session

    def is_to_be_seen(self, now: datetime) -> bool:
        """Whether it is to be recorded that somebody is still there."""
        return now - self.session.seen_at >= _SEEN_EVERY


def digest_of_token(token: str) -> str:
    """What is kept of a session's token."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SigningIn:
    """Signs people in and out."""

    rules: ConsoleRules
    passwords: Passwords
    randbelow: Callable[[int], int]
    clock: Clock
    """Real time, whatever the instance's clock shows: authenticator apps and people go by it."""

    def look(self, connection: Connection, login: str, address: str) -> Refused | Account | None:
        """What is known before a password is verified: a lock, or the account if there is one to sign in to."""
        now = self.clock.now()
        until = [
            tried.locked_until
            for subject in self._subjects(login, address)
            if (tried := accounts.tries(connection, subject)) is not None and tried.locked_until is not None
        ]
        longest = max(until, default=now) - now
        if longest > timedelta(0):
            return Refused(longest)
        account = accounts.by_login(connection, login)
        return None if account is None or account.disabled_at is not None else account

    def fails(self, unit_of_work: UnitOfWork, login: str, address: str) -> Refused:
        """A password or second factor was wrong: count it, and lock where there were too many."""
        rules, waits, now = self.rules.sign_in, [timedelta(0)], self.clock.now()
        limits = (rules.failures_of_account, rules.failures_anywhere, rules.failures_of_address)
        for subject, limit in zip(self._subjects(login, address), limits, strict=True):
            failures = accounts.count_failure(unit_of_work.connection, subject, now, forgotten=now - rules.forget)
            if failures >= limit:
                wait = rules.locks[min(failures - limit, len(rules.locks) - 1)]
                accounts.lock_tries(unit_of_work.connection, subject, now + wait)
                waits.append(wait)
                detail = f"{subject}: {failures} failures, the last from {address[:64]}, {wait.seconds} s"
                audit(unit_of_work, "processor", "sign-in locked", detail)
        accounts.forget_old_tries(unit_of_work.connection, now - rules.forget)
        return Refused(max(waits) or None)

    def begins(
        self, unit_of_work: UnitOfWork, account: Account, address: str, *, second_factor: bool, how: str
    ) -> SignedIn:
        """Begin a session, once a password or an OpenID provider has said who it is.

        It can be used for nothing but the second factor as long as that is wanted and not given.
        """
        now, limits = self.clock.now(), self.rules.session
        console_sessions.end_old(
            unit_of_work.connection, began_before=now - limits.length, seen_before=now - limits.idle
        )
        signed_in = self._begin(unit_of_work, account, second_factor=second_factor)
        if account.totp_secret is None or second_factor:
            self._is_in(unit_of_work, account, address, how)
        return signed_in

    def gives_second_factor(
        self, unit_of_work: UnitOfWork, present: Present, code: str, address: str
    ) -> SignedIn | Refused:
        """Take a one-time password or a recovery code; the session goes on under a new token."""
        account = accounts.by_id(unit_of_work.connection, present.account.account_id)
        if account is None or account.totp_secret is None:
            return Refused()
        refused = self.look(unit_of_work.connection, account.login, address)
        if isinstance(refused, Refused):
            return refused
        step = totp_step(account.totp_secret, code, self.clock.now())
        if step is not None and accounts.use_step(unit_of_work.connection, account.account_id, step):
            how = "password and one-time password"
        elif step is None and accounts.use_recovery_code(
            unit_of_work.connection, account.account_id, digest_of_code(code)
        ):
            how = "password and recovery code"
        else:
            return self.fails(unit_of_work, account.login, address)
        console_sessions.end(unit_of_work.connection, present.session.token_sha256)
        signed_in = self._begin(unit_of_work, account, second_factor=True)
        self._is_in(unit_of_work, account, address, how)
        return signed_in

    def goes_on(self, unit_of_work: UnitOfWork, present: Present, *, second_factor: bool | None = None) -> SignedIn:
        """Go on with a session under a new token."""
        console_sessions.end(unit_of_work.connection, present.session.token_sha256)
        given = present.session.second_factor if second_factor is None else second_factor
        return self._begin(unit_of_work, present.account, second_factor=given)

    def present(self, connection: Connection, token: str) -> Present | None:
        """Who has the session of a token, if it is in force."""
        session, now = console_sessions.find(connection, digest_of_token(token)), self.clock.now()
        if session is None or now - session.began_at >= self.rules.session.length:
            return None
        if now - session.seen_at >= self.rules.session.idle:
            return None
        account = accounts.by_id(connection, session.account_id)
        return None if account is None or account.disabled_at is not None else Present(account, session)

    def leaves(self, unit_of_work: UnitOfWork, present: Present) -> None:
        """End a session."""
        console_sessions.end(unit_of_work.connection, present.session.token_sha256)
        audit(unit_of_work, actor_of(present.account.login), "sign-out", "")

    def _begin(self, unit_of_work: UnitOfWork, account: Account, *, second_factor: bool) -> SignedIn:
        token = f"{self.randbelow(1 << 256):064x}"
        now = self.clock.now()
        session = Session(digest_of_token(token), account.account_id, now, now, second_factor, None)
        console_sessions.begin(unit_of_work.connection, session)
        return SignedIn(token, account)

    def _is_in(self, unit_of_work: UnitOfWork, account: Account, address: str, how: str) -> None:
        here, anywhere, _ = self._subjects(account.login, address)
        # What others try elsewhere goes on to count there.
        for subject in (here, anywhere):
            accounts.forget_tries(unit_of_work.connection, subject)
        audit(unit_of_work, actor_of(account.login), "sign-in", how)

    @staticmethod
    def _subjects(login: str, address: str) -> tuple[str, str, str]:
        """By what failures are counted: an account from one address, an account, an address."""
        account, origin = f"account:{login[:_LOGIN_MAX]}", origin_of(address)
        place = hashlib.sha256(origin.encode()).hexdigest()[:16]
        return f"{account} {place}", account, f"address:{origin[:64]}"
