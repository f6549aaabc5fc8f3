"""What the operator decides for the interface for CRM systems (`api.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, Key, Place, Table
from sr_engine.configuration.transport import Network, network


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """How much one token, and all of them together, may ask for."""

    requests_per_minute: int
    burst: int
    max_body_bytes: int
    bulk_max_devices: int
    page_devices: int
    page_max_devices: int
    reads_at_once: int
    waiting_at_once: int
    waiting_of_one: int


@dataclass(frozen=True, slots=True)
class ApiChanges:
    """How changes are waited for."""

    longest_wait: timedelta
    look: timedelta
    stream: timedelta


@dataclass(frozen=True, slots=True)
class ApiTokens:
    """How tokens are kept."""

    overlap: timedelta
    must_be_bound: bool = False
    """Only tokens are good that are bound to a certificate."""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How changes are sent to those who want them sent."""

    most_of_a_supplier: int
    addresses: tuple[str, ...]
    """With one of which an address has to begin."""
    changes_together: int
    replay_window: timedelta
    timeout: timedelta
    back_off: tuple[timedelta, ...]
    max_tries: int
    poll: timedelta
    networks: tuple[Network, ...] = ()
    """That are not public, and may be sent to."""
    never: tuple[Network, ...] = ()
    """That are public, and are not sent to."""


@dataclass(frozen=True, slots=True)
class Api:
    """All of `api.toml`."""

    limits: ApiLimits
    changes: ApiChanges
    tokens: ApiTokens
    webhooks: Webhooks


def _check_limits(limits: ApiLimits, place: Place) -> None:
    if limits.page_devices > limits.page_max_devices:
        place.inside("page_devices").report("is more than page_max_devices")


_LIMITS = Table(
    ApiLimits,
    Key("requests_per_minute", values.whole_number(1, 1_000_000)),
    Key("burst", values.whole_number(1, 1_000_000)),
    Key("max_body_bytes", values.whole_number(1024)),
    Key("bulk_max_devices", values.whole_number(1, 50_000)),
    Key("page_devices", values.whole_number(1, 10_000)),
    Key("page_max_devices", values.whole_number(1, 10_000)),
    Key("reads_at_once", values.whole_number(1, 1000)),
    Key("waiting_at_once", values.whole_number(1, 10_000)),
    Key("waiting_of_one", values.whole_number(1, 10_000)),
    check=_check_limits,
)

API = Table(
    Api,
    Key("limits", _LIMITS),
    Key(
        "changes",
        Table(
            ApiChanges,
            Key("longest_wait_seconds", values.seconds(1, 600), field="longest_wait"),
            Key("look_milliseconds", values.milliseconds(50, 10_000), field="look"),
            Key("stream_seconds", values.seconds(1, 86_400), field="stream"),
        ),
    ),
    Key(
        "tokens",
        Table(
            ApiTokens,
            Key("overlap_hours", values.hours(0, 8760), field="overlap"),
            Key("must_be_bound", values.boolean(), optional=True),
        ),
    ),
    Key(
        "webhooks",
        Table(
            Webhooks,
            Key("most_of_a_supplier", values.whole_number(1, 1000)),
            Key("addresses", Array(values.pattern("the beginning of an http or https URL", "https?://[!-~]*"))),
            Key("changes_together", values.whole_number(1, 1000)),
            Key("replay_window_seconds", values.seconds(10, 86_400), field="replay_window"),
            Key("timeout_seconds", values.seconds(1, 600), field="timeout"),
            Key("back_off_seconds", Array(values.seconds(1, 604_800), may_be_empty=False), field="back_off"),
            Key("max_tries", values.whole_number(1, 10_000)),
            Key("poll_seconds", values.seconds(1, 600), field="poll"),
            Key("networks", Array(network()), optional=True),
            Key("never", Array(network()), optional=True),
        ),
    ),
)
"""What `api.toml` holds."""
