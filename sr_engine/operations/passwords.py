"""Passwords, one-time passwords and recovery codes: how they are made and checked; nothing here reaches a database."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from threading import BoundedSemaphore

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from sr_engine.configuration.console import SignIn

RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without what is easily taken for something else."""
_STEP_SECONDS = 30
_STEPS_AROUND = 1
"""The clock of a telephone may be half a minute wrong."""
_LONGEST = 1024
"""Characters; nobody has to hash a novel."""
_NOBODYS = f"$argon2id$v=19$m={{memory}},t={{passes}},p={{lanes}}${'A' * 22}${'A' * 43}"
"""What no password is known to be hashed to, nothing but zeros: to be held against, it takes as long as any other, and
to be written down no time, which a process would take at every start."""


class PasswordTooWeak(Exception):
    """A password cannot be used, and why."""


class Passwords:
    """Hashes and verifies passwords by argon2id, a few at once."""

    def __init__(self, rules: SignIn) -> None:
        self._rules = rules
        self._hasher = PasswordHasher(
            time_cost=rules.argon2_passes, memory_cost=rules.argon2_memory_kib, parallelism=rules.argon2_lanes
        )
        self._places = BoundedSemaphore(rules.hashes_at_once)
        self._nobodys = _NOBODYS.format(
            memory=rules.argon2_memory_kib, passes=rules.argon2_passes, lanes=rules.argon2_lanes
        )

    def hash(self, password: str) -> str:
        """The encoded hash of a password, with a salt of its own."""
        with self._places:
            return self._hasher.hash(password)

    def verify(self, hashed: str | None, password: str) -> bool:
        """Whether a password is the one that was hashed; with None it is not, which takes as long to find out."""
        if len(password) > _LONGEST:
            return False
        with self._places:
            try:
                self._hasher.verify(hashed or self._nobodys, password)
            except (VerificationError, InvalidHashError):
                return False
        return hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was computed with other numbers than are wanted now."""
        return self._hasher.check_needs_rehash(hashed)

    def check(self, password: str, login: str) -> None:
        """Raises PasswordTooWeak, saying what is wanted, for one that is too short, too long or easily guessed."""
        least = self._rules.password_min_length
        if not least <= len(password) <= _LONGEST:
            raise PasswordTooWeak(f"a password has at least {least} characters; a few words in a row are good")
        if login.lower() in password.lower():
            raise PasswordTooWeak("a password must not contain the name of the account")
        if len(set(password.lower())) < 5:
            raise PasswordTooWeak("a password of so few different characters is easily guessed")


def draw_password(randbelow: Callable[[int], int]) -> str:
    """A password to begin with: 20 characters in groups, nearly 100 bits."""
    return _grouped(_drawn(randbelow, 20), 5)


def draw_recovery_codes(randbelow: Callable[[int], int]) -> list[str]:
    """Codes for those who have lost their second factor."""
    return [_grouped(_drawn(randbelow, 10), 5) for _ in range(RECOVERY_CODES)]


def digest_of_code(code: str) -> str:
    """What is kept of a recovery code, however it is typed: SHA-256, for it is drawn and cannot be guessed."""
    return hashlib.sha256(re.sub(r"[\s-]", "", code).lower().encode()).hexdigest()


def draw_totp_secret(randbelow: Callable[[int], int]) -> str:
    """A secret of 160 bits in base 32, as authenticator apps take it."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    return "".join(letters[randbelow(32)] for _ in range(32))


def totp_uri(secret: str, login: str, issuer: str) -> str:
    """What the picture for an authenticator app says."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name=issuer)


def totp_step(secret: str, code: str, now: datetime) -> int | None:
    """The step of time that a one-time password is of, if it is right now or half a minute before or after."""
    typed = re.sub(r"\s", "", code)
    if re.fullmatch("[0-9]{6}", typed) is None:
        return None
    totp, current = pyotp.TOTP(secret), int(now.timestamp()) // _STEP_SECONDS
    for step in range(current - _STEPS_AROUND, current + _STEPS_AROUND + 1):
        if pyotp.utils.strings_equal(totp.at(step * _STEP_SECONDS), typed):
            return step
    return None


def _drawn(randbelow: Callable[[int], int], count: int) -> str:
    return "".join(_ALPHABET[randbelow(len(_ALPHABET))] for _ in range(count))


def _grouped(text: str, size: int) -> str:
    return "-".join(text[start : start + size] for start in range(0, len(text), size))
