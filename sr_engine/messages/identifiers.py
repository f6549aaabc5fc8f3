"""Identifiers as they stand on the wire: EUI-64s and RequestIDs (FACTS RQ3, RQ4)."""

from __future__ import annotations

import re

from sr_engine.value_objects import value_object

COUNTER_MAX = 2**64 - 1
"""Counters are unsigned 64-bit (FACTS RQ3)."""

_EUI = re.compile(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}")
_COUNTER = re.compile(r"0|[1-9][0-9]{0,19}")


def canonical_eui(text: str) -> str:
    """Return an EUI-64 in the form all comparisons use: eight upper-case octets joined by hyphens.

    Raises ValueError if `text` is not an EUI-64 in wire form.
    """
    if _EUI.fullmatch(text) is None:
        raise ValueError(f"not an EUI-64 (eight hexadecimal octets joined by hyphens): {text!r}")
    return text.upper()


def split_device_ids(text: str) -> tuple[str, ...]:
    """Return the ids of a schema-valid DeviceIDList as received, each once (case does not matter), in their order."""
    first_seen: dict[str, str] = {}
    for device_id in text.split(","):
        first_seen.setdefault(device_id.upper(), device_id)
    return tuple(first_seen.values())


@value_object
class RequestId:
    """`originator:target:counter` of a Service Request.

    The EUIs are canonical; `text` is exactly what was received, which is what an answer echoes (domain.md section 3).
    """

    originator: str
    target: str
    counter: int
    text: str

    @classmethod
    def parse(cls, text: str) -> RequestId:
        """Raises ValueError if `text` is not a RequestID; white space around it is not part of it (xs:token)."""
        stripped = text.strip()
        parts = stripped.split(":")
        if len(parts) != 3 or _COUNTER.fullmatch(parts[2]) is None or int(parts[2]) > COUNTER_MAX:
            raise ValueError(f"not a RequestID (originator:target:counter): {stripped!r}")
        return cls(canonical_eui(parts[0]), canonical_eui(parts[1]), int(parts[2]), stripped)

    @classmethod
    def make(cls, originator: str, target: str, counter: int) -> RequestId:
        """Compose one from its parts, in canonical form."""
        return cls.parse(f"{originator}:{target}:{counter}")

    @property
    def key(self) -> str:
        """The form in which two RequestIDs are compared: case does not matter (FACTS RQ4)."""
        return f"{self.originator}:{self.target}:{self.counter}"
