"""What an instance says of itself: its log, metrics and traces (`sr-engine.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, Key, Place, Table
from sr_engine.configuration.transport import LOOPBACK, Network, network


class LogFormat(StrEnum):
    """How lines of the log are written."""

    HUMAN = "human"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Logging:
    """The log, which goes to stderr."""

    format: LogFormat = LogFormat.HUMAN
    """For people, or a JSON object for each line."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where metrics can be fetched."""

    addresses: tuple[Network, ...] = LOOPBACK
    """From which alone they can."""
    host: str | None = None
    """Of a listener of their own; to be named with `port`."""
    port: int | None = None
    """Of a listener of their own, where it is also said how the process is; None: where requests arrive."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """Exchanges as OpenTelemetry traces."""

    enabled: bool = False
    """Needs the extra `tracing`; where spans are sent to is for OpenTelemetry's environment variables to say."""


@dataclass(frozen=True, slots=True)
class Monitoring:
    """All of it."""

    logging: Logging = Logging()
    metrics: Metrics | None = None
    """None: there are no such addresses."""
    tracing: Tracing = Tracing()


def monitoring() -> Table[Monitoring]:
    """`[monitoring]`."""
    metrics: Table[Metrics] = Table(
        Metrics,
        Key("addresses", Array(network(), may_be_empty=False), optional=True),
        Key("host", values.pattern("a host name or an address", r"[^\s/]+"), optional=True),
        Key("port", values.whole_number(0, 65_535), optional=True),
        check=_check_metrics,
    )
    return Table(
        Monitoring,
        Key("logging", Table(Logging, Key("format", values.member(LogFormat))), optional=True),
        Key("metrics", metrics, optional=True),
        Key("tracing", Table(Tracing, Key("enabled", values.boolean())), optional=True),
    )


def _check_metrics(metrics: Metrics, place: Place) -> None:
    if (metrics.host is None) != (metrics.port is None):
        missing = "port" if metrics.port is None else "host"
        place.inside(missing).report("is missing; host and port of a listener belong together")
