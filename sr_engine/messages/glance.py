"""What an alert of ours is about, at a glance: for receivers that take millions and act on few."""

from __future__ import annotations

_BEFORE = b"<sr:DCCAlert><sr:"


def alert_element(data: bytes) -> str | None:
    """Local name of the body of a DCC Alert as this processor writes it, without parsing or verifying anything.

    None for any other message. What is acted on has to be verified and decoded first.
    """
    _, found, rest = data.partition(_BEFORE)
    return rest[: rest.index(b">")].decode("ascii") if found else None
