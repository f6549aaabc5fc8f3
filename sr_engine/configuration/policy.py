"""What the operator decides for the whole processor (`policy.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, ASet, Key, Place, Table


@dataclass(frozen=True, slots=True)
class CertificateRoles:
    """Remote-party roles accepted per direction, two upper-case hexadecimal digits as in a certificate's OU
    (FACTS SG10)."""

    requests: frozenset[str]
    responses: frozenset[str]
    csp: frozenset[str]


@dataclass(frozen=True, slots=True)
class SchemaVersions:
    """schemaVersions taken, compared as numbers (FACTS RQ29)."""

    published: frozenset[Decimal]
    """Of published Service Requests."""
    uplift: Decimal
    """Of our own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of what is taken and of what is sent."""

    max_body_bytes: int
    list_max_devices: int
    page_devices: int
    """Hubs in one page of 11.7."""
    inventory_max_devices: int
    """Devices in one answer to 8.2."""
    alert_max_devices: int
    """Ids in one alert."""
    portion_devices: int
    """Hubs of a long list that are written in one transaction."""
    kept_portions: int
    """Such portions that are still to be written before a further long list waits."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far ahead a date may lie."""

    upgrade_window: timedelta
    """The end of an upgrade window."""


@dataclass(frozen=True, slots=True)
class Overload:
    """When a request is turned away with HTTP 503 rather than kept waiting."""

    requests_in_flight: int
    worked_on_at_once: int
    operating_threshold_per_second: int
    """Above it only Users over their allocation are turned away (FACTS RQ28)."""
    allocation_per_second: int
    """Of a User that has none of its own."""
    retry_after: timedelta
    body: timedelta
    """How long a body may take to arrive."""
    unauthenticated_per_second: int = 10
    """From one address in one User's name: more is no mistake, and does not count as that User's."""
    unauthenticated_recorded_per_minute: int = 30
    """In one User's name, one by one: of more the audit trail has the number."""


class Bound(StrEnum):
    """Whose certificate a connection may show for a request that a User has signed."""

    USER = "user"
    """That of the same User."""
    ORGANISATION = "organisation"
    """That of any User of the same organisation."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Connections:
    """What one connection, and all of them, may take of a process."""

    most: int = 4_000
    of_one_address: int = 1_000
    new_of_one_address_per_second: int = 100
    handshake: timedelta = timedelta(seconds=10)
    head: timedelta = timedelta(seconds=10)
    """How long the head of a request may take to arrive."""
    head_bytes: int = 32_768
    message: timedelta = timedelta(seconds=120)
    """How long a whole request may take to arrive, whatever it is for, from its head on."""
    message_bytes: int = 67_108_864
    idle: timedelta = timedelta(seconds=5)
    """Between two requests."""
    unread: timedelta = timedelta(seconds=30)
    """How long a client may take to read a part of its answer."""
    bound_to: Bound = Bound.USER


@dataclass(frozen=True, slots=True)
class Held:
    """How long requests wait that are carried out after they were answered."""

    answer: timedelta
    """After which an answer counts as received."""
    answer_grace: timedelta
    """From when an answer has left until its Response may follow."""
    execution: timedelta
    """How far ahead ExecutionDateTime may lie."""
    preceding: timedelta
    quarantine: timedelta
    most_waiting: int
    """Requests of one User that wait at a time."""
    response_page_devices: int
    """Hubs in a Response to 11.7 that is sent."""
    response_max_devices: int
    """Refused ids in a Response that is sent."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """The DCC's thresholds for each User (FACTS RQ23)."""

    requests_per_hour: int
    devices_per_hour: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How messages are sent and sent again."""

    connect_timeout: timedelta
    total_timeout: timedelta
    concurrency_per_destination: int
    back_off: tuple[timedelta, ...]
    """The longest wait after the first failed try, after the second and so on; the last one repeats."""
    max_tries: int
    """A message that failed so often is parked."""
    circuit_failures: int
    """After so many in a row nothing is sent to a destination but probes."""
    circuit: tuple[timedelta, ...]
    """The longest wait before the first probe, before the second and so on; the last one repeats."""
    refusals_of_one: frozenset[int]
    """HTTP statuses that say something about a message and nothing about its receiver."""
    poll: timedelta
    """Between two looks into the outbox that nothing else has caused."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How strictly certificates are judged."""

    crl_grace: timedelta
    """How long a revocation list past its nextUpdate is still believed."""


@dataclass(frozen=True, slots=True)
class Triggers:
    """How often the region triggers look for work."""

    tick: timedelta


@dataclass(frozen=True, slots=True)
class Leases:
    """How long a process may do a piece of work without renewing its lease; real time, whatever the clock's rate."""

    length: timedelta
    heartbeat: timedelta
    """Between two renewals."""
    clock_difference: timedelta
    """Of two processes, or of one and the database; more is warned of."""


@dataclass(frozen=True, slots=True)
class Phases:
    """How a release goes from the pilot to everybody, unless the operator says otherwise when opening it."""

    soak: timedelta
    """From the last outcome of the pilot to the opening of the gate."""
    failure_percent: int
    """The release halts in a region where more of those with an outcome, in hundredths, have failed."""
    minimum_sample: int
    """Outcomes before the share of failures is judged."""


@dataclass(frozen=True, slots=True)
class Compulsion:
    """When upgrades happen without being asked for."""

    notice: timedelta
    """From the announcement of a change of obligation or management to its effect, at least."""
    lead: timedelta
    """How long before ComplyBy the remaining hubs are planned."""


@dataclass(frozen=True, slots=True)
class ChangeOfSupplier:
    """What a known change of Supplier keeps from happening."""

    quiet_before: timedelta
    """No period overlaps this time before the effective date."""
    quiet_after: timedelta
    """Nor this time after it."""
    exclusion_kept: timedelta
    """How long the losing Supplier's exclusion stays in force."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is over is kept in the database; then it is in the archive."""

    messages: timedelta
    """Sent messages, from when they were delivered."""
    requests: timedelta
    """What was received and answered, word for word; that it was, and its code, is kept for ever."""
    upgrades: timedelta
    """What was agreed and done at each hub for a release that is over, from the last of it at the hub.

    Also which hubs and devices were on the lists for it, and on those of meters and PPMIDs."""
    images: timedelta
    """Firmware of meters and PPMIDs, from when it was last asked for."""
    audit: timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it."""

    access_control_broker_eui: str
    """Canonical; the target of every Non-Device request (FACTS RQ13)."""
    certificate_roles: CertificateRoles
    schema_versions: SchemaVersions
    limits: Limits
    horizon: Horizon
    overload: Overload
    held: Held
    anomaly: Anomaly
    delivery: Delivery
    trust: Trust
    triggers: Triggers
    leases: Leases
    phases: Phases
    compulsion: Compulsion
    change_of_supplier: ChangeOfSupplier
    retention: Retention
    connections: Connections = Connections()
    """The same for a `policy.toml` of before there was such a table."""


def _check_overload(overload: Overload, place: Place) -> None:
    if overload.allocation_per_second > overload.operating_threshold_per_second:
        place.inside("allocation_per_second").report(
            f"must not be above operating_threshold_per_second, which is {overload.operating_threshold_per_second}"
        )


def _check_delivery(delivery: Delivery, place: Place) -> None:
    if delivery.total_timeout < delivery.connect_timeout:
        place.inside("total_timeout_seconds").report("must not be shorter than connect_timeout_seconds")
    if delivery.max_tries <= len(delivery.back_off):
        place.inside("max_tries").report(
            f"must be more than the {len(delivery.back_off)} waits of back_off_seconds, not {delivery.max_tries}; "
            "otherwise some of them never happen"
        )


def _check_leases(leases: Leases, place: Place) -> None:
    if leases.heartbeat * 3 > leases.length:
        place.inside("heartbeat_seconds").report(
            "must be at most a third of length_seconds; otherwise one late renewal loses a lease"
        )


_ROLES = ASet(
    Array(values.pattern("two upper-case hexadecimal digits in quotes such as '87'", "[0-9A-F]{2}"), may_be_empty=False)
)

_OVERLOAD = Table(
    Overload,
    Key("requests_in_flight", values.whole_number(1)),
    Key("worked_on_at_once", values.whole_number(1)),
    Key("operating_threshold_per_second", values.whole_number(1)),
    Key("allocation_per_second", values.whole_number(1)),
    Key("retry_after_seconds", values.seconds(1, 3600), field="retry_after"),
    Key("body_seconds", values.seconds(1, 600), field="body"),
    Key("unauthenticated_per_second", values.whole_number(1), optional=True),
    Key("unauthenticated_recorded_per_minute", values.whole_number(1), optional=True),
    check=_check_overload,
)

_CONNECTIONS = Table(
    Connections,
    Key("most", values.whole_number(1)),
    Key("of_one_address", values.whole_number(1)),
    Key("new_of_one_address_per_second", values.whole_number(1), optional=True),
    Key("handshake_seconds", values.seconds(1, 600), field="handshake"),
    Key("head_seconds", values.seconds(1, 600), field="head"),
    Key("head_bytes", values.whole_number(1024, 1_048_576)),
    Key("message_seconds", values.seconds(1, 3600), field="message"),
    Key("message_bytes", values.whole_number(65_536)),
    Key("idle_seconds", values.seconds(1, 3600), field="idle"),
    Key("unread_seconds", values.seconds(1, 3600), field="unread"),
    Key("bound_to", values.member(Bound)),
)

_LEASES = Table(
    Leases,
    Key("length_seconds", values.seconds_below(3600), field="length"),
    Key("heartbeat_seconds", values.seconds_below(3600), field="heartbeat"),
    Key("clock_difference_seconds", values.seconds_below(3600), field="clock_difference"),
    check=_check_leases,
)

_DELIVERY = Table(
    Delivery,
    Key("connect_timeout_seconds", values.seconds(1, 600), field="connect_timeout"),
    Key("total_timeout_seconds", values.seconds(1, 600), field="total_timeout"),
    Key("concurrency_per_destination", values.whole_number(1, 1000)),
    Key("back_off_seconds", Array(values.seconds(1, 604_800), may_be_empty=False), field="back_off"),
    Key("max_tries", values.whole_number(2)),
    Key("circuit_failures", values.whole_number(1)),
    Key("circuit_seconds", Array(values.seconds(1, 3600), may_be_empty=False), field="circuit"),
    Key("refusals_of_one", ASet(Array(values.whole_number(400, 499)))),
    Key("poll_seconds", values.seconds(1, 600), field="poll"),
    check=_check_delivery,
)

_MEASURED_DAYS = 62
"""Service levels are measured by the month: the one before the present one must be whole."""
_FOR_EVER_DAYS = 36_500

_RETENTION = Table(
    Retention,
    Key("messages_days", values.days(_MEASURED_DAYS, _FOR_EVER_DAYS), field="messages"),
    Key("requests_days", values.days(_MEASURED_DAYS, _FOR_EVER_DAYS), field="requests"),
    Key("upgrades_days", values.days(_MEASURED_DAYS, _FOR_EVER_DAYS), field="upgrades"),
    Key("images_days", values.days(_MEASURED_DAYS, _FOR_EVER_DAYS), field="images"),
    Key("audit_days", values.days(_MEASURED_DAYS, _FOR_EVER_DAYS), field="audit"),
)

POLICY = Table(
    Policy,
    Key("access_control_broker_eui", values.eui()),
    Key(
        "certificate_roles",
        Table(CertificateRoles, Key("requests", _ROLES), Key("responses", _ROLES), Key("csp", _ROLES)),
    ),
    Key(
        "schema_versions",
        Table(
            SchemaVersions,
            Key("published", ASet(Array(values.schema_version(), may_be_empty=False))),
            Key("uplift", values.schema_version()),
        ),
    ),
    Key(
        "limits",
        Table(
            Limits,
            Key("max_body_bytes", values.whole_number(1024)),
            Key("list_max_devices", values.whole_number(1, 50_000)),
            Key("page_devices", values.whole_number(1, 50_000)),
            Key("inventory_max_devices", values.whole_number(1, 17)),
            Key("alert_max_devices", values.whole_number(1, 50_000)),
            Key("portion_devices", values.whole_number(1, 50_000)),
            Key("kept_portions", values.whole_number(1, 10_000)),
        ),
    ),
    Key(
        "horizon",
        Table(
            Horizon,
            Key("upgrade_window_days", values.days(1, 3650), field="upgrade_window"),
        ),
    ),
    Key("overload", _OVERLOAD),
    Key(
        "held",
        Table(
            Held,
            Key("answer_seconds", values.seconds(1, 600), field="answer"),
            Key("answer_grace_milliseconds", values.milliseconds(0, 10_000), field="answer_grace"),
            Key("execution_days", values.days(1, 3650), field="execution"),
            Key("preceding_hours", values.hours(1, 8760), field="preceding"),
            Key("quarantine_hours", values.hours(1, 8760), field="quarantine"),
            Key("most_waiting", values.whole_number(1, 1_000_000)),
            Key("response_page_devices", values.whole_number(1, 50_000)),
            Key("response_max_devices", values.whole_number(1, 50_000)),
        ),
    ),
    Key(
        "anomaly",
        Table(
            Anomaly,
            Key("requests_per_hour", values.whole_number(1, 2**63 - 1)),
            Key("devices_per_hour", values.whole_number(1, 2**63 - 1)),
        ),
    ),
    Key(
        "delivery",
        _DELIVERY,
    ),
    Key("trust", Table(Trust, Key("crl_grace_hours", values.hours(0, 720), field="crl_grace"))),
    Key("triggers", Table(Triggers, Key("tick_seconds", values.seconds(1, 3600), field="tick"))),
    Key("leases", _LEASES),
    Key(
        "phases",
        Table(
            Phases,
            Key("soak_hours", values.hours(0, 8760), field="soak"),
            Key("failure_percent", values.whole_number(0, 100)),
            Key("minimum_sample", values.whole_number(1)),
        ),
    ),
    Key(
        "compulsion",
        Table(
            Compulsion,
            Key("notice_days", values.days(0, 3650), field="notice"),
            Key("lead_days", values.days(0, 3650), field="lead"),
        ),
    ),
    Key(
        "change_of_supplier",
        Table(
            ChangeOfSupplier,
            Key("quiet_days_before", values.days(0, 90), field="quiet_before"),
            Key("quiet_days_after", values.days(0, 90), field="quiet_after"),
            Key("exclusion_kept_days", values.days(0, 3650), field="exclusion_kept"),
        ),
    ),
    Key("retention", _RETENTION),
    Key("connections", _CONNECTIONS, optional=True),
)
"""What `policy.toml` holds."""
