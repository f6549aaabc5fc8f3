"""What can go wrong, by the answer it leads to: four kinds and no more."""

from __future__ import annotations


class SigningError(Exception):
    """Anything this package refuses or cannot do."""


class _Refused(SigningError):  # what is shared, not an error of its own
    """A refusal of the bytes themselves, with the place where it was found."""

    def __init__(self, reason: str, *, line: int | None = None, path: str | None = None) -> None:
        super().__init__(reason, line, path)
        self.reason = reason
        self.line = line
        self.path = path

    def __str__(self) -> str:
        places = [f"line {self.line}" if self.line is not None else "", self.path or ""]
        place = ", ".join(part for part in places if part)
        return f"{self.reason} ({place})" if place else self.reason

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.reason, self.line, self.path)


def _rebuild(kind: type[_Refused], reason: str, line: int | None, path: str | None) -> _Refused:
    return kind(reason, line=line, path=path)


class DocumentRefused(_Refused):
    """The bytes are not an acceptable XML document; the sender is told the reason, line and path (HTTP 400)."""


class ProfileRefused(_Refused):
    """The Signature is missing, misplaced or off the fixed profile; reason, line and path say where (HTTP 400)."""


class NotAuthenticated(SigningError):  # named by what it means for the message
    """The Signature has the right form and is not one to act on: digest, value, certificate, chain, role or validity.

    `reason` is for people and names no secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyUnavailable(SigningError):  # named like the others
    """A key, certificate or revocation list is missing, unreadable or not usable for this profile."""
