"""Response codes and what they mean here (`response_codes.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, ASet, Key, Named, Table


class ResponseCodeSource(StrEnum):
    """Where the meaning of a code comes from."""

    PUBLISHED = "published"
    """Number and meaning are published."""
    UNOFFICIAL = "unofficial"
    """The number is published; the meaning is known from unofficial lists."""
    OURS = "ours"
    """The number, or what we use it for, is our decision."""


@dataclass(frozen=True, slots=True)
class ResponseCode:
    """One ResponseCode (section 4 of the domain description; FACTS section 1)."""

    code: str
    meaning: str
    when: str
    """The situation in which this processor answers with it."""
    source: ResponseCodeSource
    sr: frozenset[str]
    """ServiceReferenceVariants it can answer; empty means any."""
    reserved: bool = False
    """The number is kept for it, and this processor does not answer with it yet."""
    since: Decimal | None = None
    """The DUIS version that first has it; None if all versions taken here have it."""
    before: str | None = None
    """What requests of older versions are answered instead; set with `since`."""


@dataclass(frozen=True, slots=True)
class ResponseCodes:
    """All codes, by code."""

    response_code: Mapping[str, ResponseCode]


RESPONSE_CODES = Table(
    ResponseCodes,
    Key(
        "response_code",
        Named(
            Table(
                ResponseCode,
                Key("meaning", values.text()),
                Key("when", values.text()),
                Key("source", values.member(ResponseCodeSource)),
                Key("sr", ASet(Array(values.text()))),
                Key("reserved", values.boolean(), optional=True),
                Key("since", values.schema_version(), optional=True),
                Key("before", values.text(), optional=True),
            ),
            "code",
            values.pattern("a response code such as I0, E4 or W110501", r"[IEW](?:0|[1-9]\d{0,3}|\d{6})"),
        ),
    ),
)
"""What `response_codes.toml` holds."""
