"""What an examination has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How it stands with something."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not for ever, or not as it should."""
    ERROR = "error"
    """Something does not work, or is open to those whom it should not be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    verdict: Verdict
    of: str
    """Which part of the instance."""
    says: str
    to_do: str = ""
    """What puts it right; empty where nothing is to be done."""


def ok(of: str, says: str) -> Finding:
    """All is well."""
    return Finding(Verdict.OK, of, says)


def warning(of: str, says: str, to_do: str) -> Finding:
    """It works for now."""
    return Finding(Verdict.WARNING, of, says, to_do)


def error(of: str, says: str, to_do: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.ERROR, of, says, to_do)
