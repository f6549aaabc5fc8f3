"""What is said of a document that is refused."""

from __future__ import annotations

from dataclasses import dataclass

MAX_REASON = 300
"""Characters of a reason; a list of 50,000 ids is never repeated to its sender."""

MAY_HAVE_BEEN_TAKEN = "may have been taken"
"""Stands in the reason of an HTTP 503 that, other than all others, does not say that nothing was done."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is wrong, where: `path` as /sr:Request/sr:Body/..., `line` counted from 1."""

    reason: str
    line: int | None
    path: str | None


def bounded(text: str) -> str:
    """Return a reason on one line and of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"
