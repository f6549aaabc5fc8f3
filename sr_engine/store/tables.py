"""The tables, as SQLAlchemy Core sees them; every time is stored in UTC.

Device ids and MPxNs are text, in canonical form. Identifiers that leave the product (schedule and list ids, message
ids) are random; those that never leave it are plain row numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC; a naive one is a programming error and refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        return _text_of_time if dialect.name == "sqlite" else _utc_or_none

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        # In one step, for rows have many times; the driver of PostgreSQL gives them in the zone of the session, UTC.
        return _time_of_text if dialect.name == "sqlite" else None


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"a time without zone cannot be stored: {value!r}")
    return value.astimezone(UTC)


def _utc_or_none(value: datetime | None) -> datetime | None:
    return None if value is None else _utc(value)


def _text_of_time(value: datetime | None) -> str | None:
    # What is remembered is in UTC: two instants of an hour that comes twice are equal to Python in another zone.
    return None if value is None else _text_of_utc(value if value.tzinfo is UTC else _utc(value))


@lru_cache(maxsize=64)
def _text_of_utc(value: datetime) -> str:
    # The same times come again and again: what happens together happens at one moment.
    return value.replace(tzinfo=None).isoformat(" ", "microseconds")


def _time_of_text(stored: str | None) -> datetime | None:
    return None if stored is None else datetime.fromisoformat(stored + "+00:00")


def _row_number(name: str) -> Column[Any]:
    # SQLite gives out row numbers only to a column that is exactly INTEGER PRIMARY KEY.
    return Column(name, BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True)


BY_KEY: dict[str, Any] = {"sqlite_with_rowid": False}
"""For tables that are always reached by their key: SQLite keeps the rows in it, so that finding one is one search."""

EUI = String(23)
ORGANISATION = String(64)

devices = Table(
    "devices",
    metadata,
    Column("device_id", EUI, primary_key=True),
    Column("device_type", String(8), nullable=False),
    # The CHF a device stands behind; a CHF stands behind itself.
    Column("hub_id", EUI),
    Column("device_status", String(32)),
    Column("manufacturer", String(30), nullable=False),
    Column("model", String(30), nullable=False),
    Column("smets_chts_version", String(20)),
    Column("firmware_version", String(8)),
    Column("firmware_version_status", String(16)),
    Column("cpl_status", String(16)),
    Column("date_commissioned", Date),
    Column("import_mpxn", String(13), index=True),
    Column("secondary_import_mpan", String(13)),
    Column("export_mpan", String(13)),
    Column("esme_variant", String(4)),
    Column("uprn", BigInteger),
    Column("postcode", String(8)),
    Column("address_identifier", String(30)),
    Column("csp_region", String(16)),
    Column("gbcs_version", String(20)),
    Column("han_variant", String(40)),
    Column("s1sp", String(40)),
    Column("connectivity", String(16)),
    # Holds all that finding the Suppliers of a hub needs to know of its meters.
    Index("ix_devices_of_hub", "hub_id", "device_type", "import_mpxn", "device_status"),
    # What few devices have.
    *(
        Index(
            f"ix_devices_{'_'.join(columns)}",
            *columns,
            sqlite_where=text(f"{columns[0]} IS NOT NULL"),
            postgresql_where=text(f"{columns[0]} IS NOT NULL"),
        )
        for columns in (("secondary_import_mpan",), ("export_mpan",), ("uprn",), ("postcode", "address_identifier"))
    ),
    Index("ix_devices_manufacturer_model", "manufacturer", "model"),
    # The hubs of a model in a region, one after the other. Not what firmware they run: see below.
    Index(
        "ix_devices_hubs_of_model",
        "manufacturer",
        "model",
        "csp_region",
        "device_id",
        sqlite_where=text("device_type = 'CHF'"),
        postgresql_where=text("device_type = 'CHF'"),
    ),
    **BY_KEY,
    # An upgrade changes two rows of a home, and no index: PostgreSQL writes them beside the old ones if there is room.
    postgresql_with={"fillfactor": 66},
)

registrations = Table(
    "registrations",
    metadata,
    Column("mpxn", String(13), primary_key=True),
    Column("role", String(3), primary_key=True),
    Column("effective_from", UtcDateTime, primary_key=True),
    # No organisation: from then on nobody in that role.
    Column("organisation", ORGANISATION),
    # What has changed lately or will.
    Index("ix_registrations_effective_from", "effective_from"),
    **BY_KEY,
)

releases = Table(
    "releases",
    metadata,
    Column("release_id", String(32), primary_key=True),
    Column("manufacturer", String(30), nullable=False),
    Column("model", String(30), nullable=False),
    Column("version", String(8), nullable=False),
    Column("image_hash", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("cpl_status", String(16), nullable=False),
    # The terms in force; terms announced and not in force yet are in release_terms.
    Column("management", String(20), nullable=False),
    Column("obligation", String(12), nullable=False),
    Column("comply_by", UtcDateTime),
    # From when the processor plans the remaining hubs by itself.
    Column("compulsory_from", UtcDateTime),
    Column("opened_at", UtcDateTime, nullable=False),
    UniqueConstraint("manufacturer", "model", "version"),
)

release_regions = Table(
    "release_regions",
    metadata,
    Column("release_id", ForeignKey("releases.release_id"), primary_key=True),
    Column("region", String(16), primary_key=True),
    # Until this gate opens only pilot hubs are listed.
    Column("general_open", Boolean, nullable=False),
    # The most pilot hubs; none: no limit.
    Column("pilot_limit", Integer),
    Column("pilot_closes", UtcDateTime),
    Column("soak_seconds", Integer, nullable=False),
    # Whether the gate opens by itself after the soak.
    Column("automatic_gate", Boolean, nullable=False),
    Column("failure_percent", Integer, nullable=False),
    Column("minimum_sample", Integer, nullable=False),
    # While it is halted, since when and why; outcomes before the last resumption are not judged again.
    Column("halted_at", UtcDateTime),
    Column("halt_reason", Text),
    Column("resumed_at", UtcDateTime),
    # The attempt up to which Suppliers have been told of the last halt or resumption; none: nobody is left to tell.
    Column("told_up_to", BigInteger),
)

# Each Supplier's share of a region's pilot limit, fixed at opening.
pilot_shares = Table(
    "pilot_shares",
    metadata,
    Column("release_id", ForeignKey("releases.release_id"), primary_key=True),
    Column("region", String(16), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    Column("hubs", Integer, nullable=False),
)

# Changes of obligation or management, announced after consultation; each is applied once it takes effect.
release_terms = Table(
    "release_terms",
    metadata,
    _row_number("terms_id"),
    Column("release_id", ForeignKey("releases.release_id"), nullable=False),
    Column("management", String(20), nullable=False),
    Column("obligation", String(12), nullable=False),
    Column("comply_by", UtcDateTime),
    Column("consultation_reference", Text, nullable=False),
    Column("consultation_date", Date, nullable=False),
    Column("announced_at", UtcDateTime, nullable=False),
    Column("effective_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime),
    Column("cancelled_at", UtcDateTime),
    # While it takes effect: the hubs up to this one have had their alerts.
    Column("told_up_to", EUI),
    Index("ix_release_terms_release_id", "release_id"),
)

release_paths = Table(
    "release_paths",
    metadata,
    Column("release_id", ForeignKey("releases.release_id"), primary_key=True),
    Column("from_version", String(8), primary_key=True),
)

release_han_models = Table(
    "release_han_models",
    metadata,
    Column("release_id", ForeignKey("releases.release_id"), primary_key=True),
    Column("manufacturer", String(30), primary_key=True),
    Column("model", String(30), primary_key=True),
)

exchanges = Table(
    "exchanges",
    metadata,
    _row_number("exchange_id"),
    Column("interface", String(8), nullable=False),
    # RequestID (DUIS) or MessageID (CSP), upper case, and the Command Variant (0 for CSP messages).
    Column("message_key", String(70), nullable=False),
    Column("command_variant", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("sender_eui", EUI, nullable=False),
    Column("service_reference_variant", String(16), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("code", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("received", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    UniqueConstraint("interface", "message_key", "command_variant"),
)

# Requests that were answered I99 and are carried out later; what they say is in exchanges.
held_requests = Table(
    "held_requests",
    metadata,
    _row_number("held_id"),
    Column("exchange_id", ForeignKey("exchanges.exchange_id"), nullable=False, unique=True),
    Column("sender_eui", EUI, nullable=False),
    # Why it waits now: Sequence, FutureDated or Quarantine.
    Column("reason", String(16), nullable=False),
    Column("held_at", UtcDateTime, nullable=False),
    # Its answer is known to have left; not before that is anything done.
    Column("answer_left_at", UtcDateTime),
    # When it is taken up: at its date, when it has waited in vain, or as soon as what it waits for has happened.
    Column("ready_at", UtcDateTime, nullable=False),
    # Sequence and Quarantine: when it has waited in vain.
    Column("expires_at", UtcDateTime),
    # Sequence: the RequestID it waits for, upper case, and the one that the whole chain before it waits for.
    Column("preceding_key", String(70)),
    Column("root_key", String(70)),
    # Quarantine: the QuarantineEventRef; and the operator's word.
    Column("event_ref", String(20), unique=True),
    Column("breached", String(8)),
    Column("released_at", UtcDateTime),
    Column("deleted_at", UtcDateTime),
    # With an ExecutionDateTime: the SHA-256 of all values of the body but that, by which it can be cancelled.
    Column("body_digest", String(64)),
    Column("ended_at", UtcDateTime),
    # The final response code, or Cancelled; why; and the whole Response.
    Column("code", String(16)),
    Column("detail", Text),
    Column("response", LargeBinary),
    # Of those that wait: the next to be taken up, by sender, by what they wait for, and by what they ask for.
    *(
        Index(
            f"ix_held_requests_{name}",
            *columns,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        )
        for name, columns in {
            "ready": ("ready_at", "held_id"),
            "sender": ("sender_eui", "body_digest"),
            "preceding": ("preceding_key",),
            "root": ("root_key",),
        }.items()
    ),
)

# What each User has sent in an hour that begins then.
anomaly_counts = Table(
    "anomaly_counts",
    metadata,
    Column("user_eui", EUI, primary_key=True),
    Column("hour", UtcDateTime, primary_key=True),
    Column("requests", Integer, nullable=False),
    Column("devices", BigInteger, nullable=False),
    **BY_KEY,
)

# Thresholds set for one User, by itself or by the DCC instead of the policy's; none: no such threshold.
anomaly_thresholds = Table(
    "anomaly_thresholds",
    metadata,
    Column("user_eui", EUI, primary_key=True),
    Column("set_by", String(8), primary_key=True),
    Column("requests_per_hour", BigInteger),
    Column("devices_per_hour", BigInteger),
    **BY_KEY,
)

schedules = Table(
    "schedules",
    metadata,
    Column("schedule_id", BigInteger, primary_key=True, autoincrement=False),
    Column("organisation", ORGANISATION, nullable=False),
    Column("release_id", ForeignKey("releases.release_id"), nullable=False),
    Column("request_id", String(70), nullable=False),
    Column("window_start", UtcDateTime, nullable=False),
    Column("window_end", UtcDateTime, nullable=False),
    Column("phase", String(8), nullable=False),
    Column("accept_han_impact", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Those of a Supplier, newest first.
    Index("ix_schedules_of_organisation", "organisation", "created_at", "schedule_id"),
)

schedule_hubs = Table(
    "schedule_hubs",
    metadata,
    Column("schedule_id", ForeignKey("schedules.schedule_id"), primary_key=True),
    Column("hub_id", EUI, primary_key=True),
    # False once it was replaced, taken back or done with.
    Column("in_force", Boolean, nullable=False),
    # True once the attempt that rested on it has had its outcome.
    Column("done", Boolean, nullable=False),
    Index("ix_schedule_hubs_hub_id", "hub_id"),
    **BY_KEY,
    # Each row changes once, and no index.
    postgresql_with={"fillfactor": 50},
)

decisions = Table(
    "decisions",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("release_id", ForeignKey("releases.release_id"), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    Column("approval", String(16), nullable=False),
    Column("defer_until", UtcDateTime),
    # The schedule by which it was approved; absent where it was approved by 11.6 alone.
    Column("schedule_id", ForeignKey("schedules.schedule_id")),
    Column("accept_han_impact", Boolean, nullable=False),
    Column("request_id", String(70), nullable=False),
    Column("decided_at", UtcDateTime, nullable=False),
    Index(
        "ix_decisions_defer_until",
        "defer_until",
        sqlite_where=text("defer_until IS NOT NULL"),
        postgresql_where=text("defer_until IS NOT NULL"),
    ),
    **BY_KEY,
)

attempts = Table(
    "attempts",
    metadata,
    _row_number("attempt_id"),
    Column("hub_id", EUI, nullable=False),
    Column("release_id", ForeignKey("releases.release_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("region", String(16), nullable=False),
    # The Supplier whose schedule it rests on (the first, where both scheduled); fairness counts by it.
    Column("organisation", ORGANISATION, nullable=False),
    Column("window_start", UtcDateTime, nullable=False),
    Column("window_end", UtcDateTime, nullable=False),
    Column("pilot", Boolean, nullable=False),
    # Planned by the processor, whatever Suppliers have answered.
    Column("compulsory", Boolean, nullable=False),
    Column("list_id", String(32)),
    Column("period_start", UtcDateTime),
    Column("period_end", UtcDateTime),
    Column("state_at", UtcDateTime, nullable=False),
    Column("reason", Text),
    # When the report was taken in by which the CSP last brought it forward.
    Column("reported_at", UtcDateTime),
    # Of those planned by the processor, while one is on a list: the end of its night.
    Column("compelled_until", UtcDateTime),
    # Of those that have ended after they were listed: the state and its time once more.
    Column("outcome", String(20)),
    Column("outcome_at", UtcDateTime),
    UniqueConstraint("hub_id", "release_id", "number"),
    # No index has a column that changes when a hub is put on a list or goes its way from there: PostgreSQL then writes
    # the row beside the old one and touches no index. So what is Scheduled, or on a list, is in tables of its own.
    # Never two open upgrades on a hub.
    Index(
        "ix_attempts_one_open",
        "hub_id",
        unique=True,
        sqlite_where=text("is_open = 1"),
        postgresql_where=text("is_open"),
    ),
    # What may be overdue. It says nothing of the state, so that no step of a hub on its way touches it.
    Index(
        "ix_attempts_open",
        "region",
        "window_end",
        sqlite_where=text("is_open = 1"),
        postgresql_where=text("is_open"),
    ),
    # What is under way at a release in a region, in order of the row numbers.
    Index(
        "ix_attempts_under_way",
        "release_id",
        "region",
        sqlite_where=text("is_open = 1"),
        postgresql_where=text("is_open"),
    ),
    # The pilot of a release in a region, which is small.
    Index(
        "ix_attempts_pilot",
        "release_id",
        "region",
        sqlite_where=text("pilot = 1"),
        postgresql_where=text("pilot"),
    ),
    # Of those planned by the processor, the ones with the CSP.
    Index(
        "ix_attempts_compelled",
        "region",
        "compelled_until",
        sqlite_where=text("is_open = 1 AND compelled_until IS NOT NULL"),
        postgresql_where=text("is_open AND compelled_until IS NOT NULL"),
    ),
    # What became of those that were listed: counted to judge whether too many fail.
    Index(
        "ix_attempts_outcomes",
        "release_id",
        "region",
        "outcome",
        "outcome_at",
        sqlite_where=text("outcome IS NOT NULL"),
        postgresql_where=text("outcome IS NOT NULL"),
    ),
    # What was reported in a time: how soon Suppliers were told of it.
    Index(
        "ix_attempts_reported",
        "region",
        "reported_at",
        sqlite_where=text("reported_at IS NOT NULL"),
        postgresql_where=text("reported_at IS NOT NULL"),
    ),
    # Of a page few rows change in one night.
    postgresql_with={"fillfactor": 70},
)

# The attempts that are Scheduled, by all that decides when they are listed, and then by hub: counted and chosen in the
# order of the key. `store.scheduled` has it follow what attempts say.
scheduled_hubs = Table(
    "scheduled_hubs",
    metadata,
    Column("region", String(16), primary_key=True),
    Column("release_id", String(32), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    Column("window_end", UtcDateTime, primary_key=True),
    Column("window_start", UtcDateTime, primary_key=True),
    Column("pilot", Boolean, primary_key=True),
    Column("compulsory", Boolean, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("hub_id", EUI, primary_key=True),
    **BY_KEY,
)

# Hubs that a Supplier keeps out of pilots and voluntary waves.
exclusions = Table(
    "exclusions",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    # None: until the Supplier includes the hub again.
    Column("until", UtcDateTime),
    # Until when it is heeded though the Supplier has left the hub; none once it has come back.
    Column("limited_until", UtcDateTime),
    Column("set_at", UtcDateTime, nullable=False),
    # The operator has confirmed that a compulsory upgrade need not heed it.
    Column("overridden_at", UtcDateTime),
    # Those of a Supplier, by hub.
    Index("ix_exclusions_of_organisation", "organisation", "hub_id"),
    **BY_KEY,
)

# What a Supplier that left a hub still sees of it: its view freezes, or does so with the outcome of what was listed.
departures = Table(
    "departures",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("release_id", ForeignKey("releases.release_id"), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    # The effective date of the change of Supplier.
    Column("at", UtcDateTime, nullable=False),
    Column("own_approval", String(16), nullable=False),
    Column("other_approval", String(16), nullable=False),
    Column("schedule_id", BigInteger),
    # The attempt it saw last, and what of it; no status: that of the attempt, which was with the CSP.
    Column("attempt_id", BigInteger),
    # The list that attempt stood on: once it stands there no more, it is nothing to the Supplier that left.
    Column("list_id", String(32)),
    Column("attempt_shown", Integer),
    Column("status", String(20)),
    Column("window_start", UtcDateTime),
    Column("window_end", UtcDateTime),
    **BY_KEY,
)

# Where a Supplier's history of a hub begins: it sees no attempt up to this number.
arrivals = Table(
    "arrivals",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("release_id", ForeignKey("releases.release_id"), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("attempts_before", Integer, nullable=False),
    **BY_KEY,
)

# Lists, or some hubs of them, that the processor has asked a CSP not to carry out.
list_withdrawals = Table(
    "list_withdrawals",
    metadata,
    # The MessageID, in canonical form.
    Column("message_key", String(70), primary_key=True),
    Column("list_id", ForeignKey("upgrade_lists.list_id"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    # Whether what the CSP takes off is to stand on a new list, as far as it still may.
    Column("replacing", Boolean, nullable=False),
    # A JSON array of CHF ids; none: all that are on the list.
    Column("hub_ids", Text),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("answered_at", UtcDateTime),
)

# Hubs that a CSP has refused or taken off a list while their attempt goes on: it may report on them all the same.
off_lists = Table(
    "off_lists",
    metadata,
    Column("list_id", ForeignKey("upgrade_lists.list_id"), primary_key=True),
    Column("hub_id", EUI, primary_key=True),
    Column("attempt_id", ForeignKey("attempts.attempt_id"), nullable=False),
    **BY_KEY,
)

# Hubs whose record has changed while an upgrade was under way: looked at one by one when a night is planned.
changed_hubs = Table("changed_hubs", metadata, Column("hub_id", EUI, primary_key=True), **BY_KEY)

# Meter points whose change of Supplier has been carried out, up to a registration's effective date.
settled_registrations = Table(
    "settled_registrations",
    metadata,
    Column("mpxn", String(13), primary_key=True),
    Column("role", String(3), primary_key=True),
    Column("organisation", ORGANISATION),
    Column("effective_from", UtcDateTime, nullable=False),
    **BY_KEY,
)

# When meter points have to be looked at: from a registration's effective date on, until that has been done.
due_registrations = Table(
    "due_registrations",
    metadata,
    Column("due_at", UtcDateTime, primary_key=True),
    Column("mpxn", String(13), primary_key=True),
    Column("role", String(3), primary_key=True),
    **BY_KEY,
)

# Hubs that have to be looked at, for a meter has come, gone or changed; a row goes when that has been done.
due_hubs = Table(
    "due_hubs",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("due_at", UtcDateTime, nullable=False, index=True),
    **BY_KEY,
)

upgrade_lists = Table(
    "upgrade_lists",
    metadata,
    Column("list_id", String(32), primary_key=True),
    Column("region", String(16), nullable=False),
    Column("release_id", ForeignKey("releases.release_id"), nullable=False),
    Column("period_start", UtcDateTime, nullable=False),
    Column("period_end", UtcDateTime, nullable=False),
    # When the last of the windows that were agreed for its hubs ends.
    Column("windows_end", UtcDateTime, nullable=False),
    Column("hub_count", Integer, nullable=False),
    Column("cut_at", UtcDateTime, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    # When the CSP was last asked for the acknowledgement that has not come.
    Column("chased_at", UtcDateTime),
    Column("message_id", String(32), nullable=False),
    # The list on which its hubs stood before, if they did.
    Column("replaces", ForeignKey("upgrade_lists.list_id"), index=True),
    Index("ix_upgrade_lists_acknowledged_at", "acknowledged_at"),
    Index("ix_upgrade_lists_windows_end", "region", "windows_end"),
    Index("ix_upgrade_lists_message_id", "message_id"),
)

# The hubs that a list was cut with, in one value: a row for each of a million would take longer than to cut the lists.
# Whether one stands there still is said by its attempt.
listed_hubs = Table(
    "listed_hubs",
    metadata,
    Column("list_id", ForeignKey("upgrade_lists.list_id"), primary_key=True),
    # A JSON array of CHF ids.
    Column("hub_ids", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    _row_number("outbox_id"),
    Column("message_id", String(32), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    # `user:<EUI>` or `csp:<region>`; where that is comes from configuration at the time of sending.
    Column("destination", String(64), nullable=False),
    # Messages about one hub are delivered in order; an alert without a hub is delivered before all later ones.
    Column("hub_id", EUI),
    Column("event", String(40), nullable=False),
    Column("body", LargeBinary, nullable=False),
    # Of the body, in hexadecimal: by it receivers tell what they have already.
    Column("sha256", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("last_error", Text),
    # All that was ever sent to a receiver, in order.
    Index("ix_outbox_destination", "destination", "outbox_id"),
    # What is waiting, by when it is due and by hub; what is delivered is in neither.
    Index(
        "ix_outbox_due",
        "destination",
        "next_try_at",
        "outbox_id",
        sqlite_where=text("state = 'Pending'"),
        postgresql_where=text("state = 'Pending'"),
    ),
    Index(
        "ix_outbox_of_hub",
        "destination",
        "hub_id",
        "outbox_id",
        sqlite_where=text("state = 'Pending'"),
        postgresql_where=text("state = 'Pending'"),
    ),
    # What was given up and may be sent again.
    Index(
        "ix_outbox_parked",
        "destination",
        "outbox_id",
        sqlite_where=text("state = 'Parked'"),
        postgresql_where=text("state = 'Parked'"),
    ),
)

# Receivers that have failed so often in a row that nothing but a message now and then is sent to them; gone once
# they are back.
delivery_circuits = Table(
    "delivery_circuits",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("opened_at", UtcDateTime, nullable=False),
    # When one message may be sent to see whether it is back.
    Column("retry_at", UtcDateTime, nullable=False),
    # How many were, since it was opened.
    Column("probes", Integer, nullable=False),
    Column("last_error", Text, nullable=False),
    **BY_KEY,
)

# Firmware of meters and PPMIDs on the Certified Products List; the versions each is reachable from in lines of text.
cpl_entries = Table(
    "cpl_entries",
    metadata,
    Column("version", String(8), primary_key=True),
    Column("device_type", String(8), primary_key=True),
    Column("manufacturer", String(30), primary_key=True),
    Column("model", String(30), primary_key=True),
    # SHA-256 of the image without its OTA header.
    Column("image_hash", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("gbcs_version", String(20)),
    # Joined by semicolons; none: not known.
    Column("from_versions", Text),
    **BY_KEY,
)

# Images that accepted requests brought, each once.
firmware_images = Table(
    "firmware_images",
    metadata,
    # SHA-256 of all of it.
    Column("image_id", String(64), primary_key=True),
    Column("image", LargeBinary, nullable=False),
)

# The one message that brings an image to the CSP of a region; one that takes the region over gets its own.
firmware_image_messages = Table(
    "firmware_image_messages",
    metadata,
    Column("image_id", ForeignKey("firmware_images.image_id"), primary_key=True),
    Column("region", String(16), primary_key=True),
    Column("csp_eui", EUI, primary_key=True),
    Column("message_id", String(32), nullable=False),
    **BY_KEY,
)

# 11.1 and 11.4, as far as devices were accepted.
firmware_requests = Table(
    "firmware_requests",
    metadata,
    _row_number("firmware_request_id"),
    # As received: alerts repeat it.
    Column("request_id", String(70), nullable=False),
    Column("organisation", ORGANISATION, nullable=False),
    Column("user_eui", EUI, nullable=False),
    Column("version", String(8), nullable=False),
    Column("image_id", ForeignKey("firmware_images.image_id"), nullable=False),
    Column("image_hash", String(64), nullable=False),
    Column("device_count", Integer, nullable=False),
    Column("accepted_at", UtcDateTime, nullable=False),
)

firmware_lists = Table(
    "firmware_lists",
    metadata,
    Column("list_id", String(32), primary_key=True),
    Column("firmware_request_id", ForeignKey("firmware_requests.firmware_request_id"), nullable=False),
    Column("region", String(16), nullable=False),
    Column("device_count", Integer, nullable=False),
    Column("listed_at", UtcDateTime, nullable=False),
    Column("acknowledged_at", UtcDateTime),
    # When the CSP was last asked for the acknowledgement that has not come.
    Column("chased_at", UtcDateTime),
    Column("message_id", String(32), nullable=False, unique=True),
    # The message with the image: until that has been delivered the list is not sent.
    Column("image_message_id", String(32), nullable=False),
    # What waits for an acknowledgement.
    Index(
        "ix_firmware_lists_unacknowledged",
        "region",
        "listed_at",
        sqlite_where=text("acknowledged_at IS NULL"),
        postgresql_where=text("acknowledged_at IS NULL"),
    ),
)

# One device of a list.
firmware_deliveries = Table(
    "firmware_deliveries",
    metadata,
    Column("list_id", ForeignKey("firmware_lists.list_id"), primary_key=True),
    Column("device_id", EUI, primary_key=True),
    Column("hub_id", EUI, nullable=False),
    # Of its hub's CHF record, when it was listed.
    Column("region", String(16), nullable=False),
    Column("state", String(12), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("state_at", UtcDateTime, nullable=False),
    Column("listed_at", UtcDateTime, nullable=False),
    Column("reason", Text),
    # Never two open requests for a device.
    Index(
        "ix_firmware_deliveries_one_open",
        "device_id",
        unique=True,
        sqlite_where=text("is_open = 1"),
        postgresql_where=text("is_open"),
    ),
    # What nothing has been heard of, longest first.
    Index(
        "ix_firmware_deliveries_open",
        "region",
        "listed_at",
        sqlite_where=text("is_open = 1"),
        postgresql_where=text("is_open"),
    ),
    **BY_KEY,
)

# What the Users that asked are still to be told of their firmware requests.
firmware_tidings = Table(
    "firmware_tidings",
    metadata,
    _row_number("tidings_id"),
    Column("event", String(40), nullable=False),
    Column("firmware_request_id", ForeignKey("firmware_requests.firmware_request_id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    # JSON of each: device id, hub id, when it happened.
    Column("devices", Text, nullable=False),
)

firmware_alerted = Table(
    "firmware_alerted",
    metadata,
    Column("firmware_request_id", ForeignKey("firmware_requests.firmware_request_id"), primary_key=True),
    Column("device_id", EUI, primary_key=True),
    Column("event", String(40), primary_key=True),
    # The alert in the outbox that says so.
    Column("message_id", String(32), nullable=False),
    **BY_KEY,
)

# What Suppliers are still to be told: events of committed transactions, in their order, until their alerts are written.
tidings = Table(
    "tidings",
    metadata,
    _row_number("tidings_id"),
    Column("event", String(40), nullable=False),
    Column("organisation", ORGANISATION, nullable=False),
    Column("release_id", ForeignKey("releases.release_id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("hub_count", Integer, nullable=False),
    # JSON of each: hub id, occurrence, device id or null, whether it is told as gas Supplier, RequestID or null.
    Column("hubs", Text, nullable=False),
    # Whom something is to be told, and what first.
    Index("ix_tidings_organisation", "organisation", "tidings_id"),
)

alerted_hubs = Table(
    "alerted_hubs",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("event", String(40), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    # What happened once: the attempt, or the release, with a number where it may happen again.
    Column("occurrence", String(64), primary_key=True),
    # The alert in the outbox that says so.
    Column("message_id", String(32), nullable=False),
    **BY_KEY,
)

# Writers of the audit trail, each of which links its own transactions.
audit_chains = Table(
    "audit_chains",
    metadata,
    Column("chain_id", Integer, primary_key=True, autoincrement=False),
    Column("writer", String(64), nullable=False, unique=True),
    Column("registered_at", UtcDateTime, nullable=False),
)

# One link per committed transaction: the hash of its records and of the link before it.
audit_links = Table(
    "audit_links",
    metadata,
    Column("chain_id", ForeignKey("audit_chains.chain_id"), primary_key=True),
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("last_audit_id", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    **BY_KEY,
)

# Where verification starts once older records have been pruned; signed by the processor.
audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("chain_id", ForeignKey("audit_chains.chain_id"), primary_key=True),
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("last_audit_id", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("pruned_at", UtcDateTime, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    **BY_KEY,
)

audit = Table(
    "audit",
    metadata,
    _row_number("audit_id"),
    Column("chain_id", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    # `user:<EUI>`, `csp:<region>`, `upstream`, `operator`, or `processor`.
    Column("actor", String(64), nullable=False),
    Column("action", String(48), nullable=False),
    Column("message_key", String(70)),
    Column("release_id", String(32)),
    Column("from_state", String(40)),
    Column("to_state", String(40)),
    # Of the attempts at these hubs that the states are those of.
    Column("attempt_number", Integer),
    Column("hub_count", Integer, nullable=False),
    # Canonical ids joined by commas.
    Column("hubs", Text),
    Column("detail", Text, nullable=False),
)

# Breaches of service levels, in the portions in which they were found; each list and hub is in one of each measure.
sla_breaches = Table(
    "sla_breaches",
    metadata,
    _row_number("breach_id"),
    Column("region", String(16), nullable=False),
    Column("measure", String(16), nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    # How many lists or hubs.
    Column("number", Integer, nullable=False),
    # What was delivered, missed or reported up to then has been judged.
    Column("judged_up_to", UtcDateTime, nullable=False),
    Index("ix_sla_breaches_region_measure", "region", "measure", "judged_up_to"),
)

trigger_runs = Table(
    "trigger_runs",
    metadata,
    Column("region", String(16), primary_key=True),
    Column("trigger", String(16), primary_key=True),
    # The start of the open period it was for; for the first look of an instance, its time.
    Column("period_start", UtcDateTime, primary_key=True),
    Column("done_at", UtcDateTime, nullable=False),
)

# Which process does what: triggers, delivery to a destination, held requests. Never deleted, for tokens only rise; but
# those by which processes show that they deliver, which no two have, are once their process has ended.
leases = Table(
    "leases",
    metadata,
    Column("name", String(80), primary_key=True),
    # One higher with every claim; what a process does under an older one is not committed.
    Column("token", BigInteger, nullable=False),
    # The id that a process drew for itself; none: given back.
    Column("holder", String(32), index=True),
    Column("acquired_at", UtcDateTime, nullable=False),
    Column("renewed_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    **BY_KEY,
)

# The newest firmware version that a CSP has read from a hub, and when: what was read before says no more.
read_versions = Table(
    "read_versions",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("version", String(8), nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    **BY_KEY,
)

# What the rounding of shares in a region's lists has cost a Supplier so far (`regions.planner`), where that is not
# nothing; below 0, what it has brought it.
owed_hubs = Table(
    "owed_hubs",
    metadata,
    Column("region", String(16), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    # In parts of a hub, `planner.PARTS`.
    Column("parts", BigInteger, nullable=False),
)

# The cutting of the lists of a region for a period: planned, cut list by list, and done once it is in trigger_runs.
list_runs = Table(
    "list_runs",
    metadata,
    Column("region", String(16), primary_key=True),
    Column("period_start", UtcDateTime, primary_key=True),
    # None: what is left of the places is still to be given away.
    Column("planned_at", UtcDateTime),
    # JSON of the groups of hubs chosen, each with the last of them; in each, all that are eligible up to that one are.
    Column("plan", Text),
    # The places that are left.
    Column("places", Integer, nullable=False),
    # How many hubs were chosen, and for how many there was no place.
    Column("chosen", Integer, nullable=False),
    Column("left_out", Integer, nullable=False),
    # Lists cut so far, the hubs on them, and the last of these hubs: lists are cut by release and hub.
    Column("lists", Integer, nullable=False),
    Column("hubs", Integer, nullable=False),
    Column("after_release", String(32)),
    Column("after_hub", EUI),
    # Places that were lost when lists were cut have been given away once more.
    Column("filling", Boolean, nullable=False),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# The oldest revision of the schema whose programs still work on the present one; which that is stands in
# `alembic_version` (`store.schema`).
schema_support = Table("schema_support", metadata, Column("works_from", String(32), primary_key=True))

# Files into which what is older than the retention was written before it was removed; a file that is not here is none.
archives = Table(
    "archives",
    metadata,
    _row_number("archive_id"),
    # Its path below the archive folder.
    Column("name", String(96), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    # Of the file, in hexadecimal.
    Column("sha256", String(64), nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("removed_at", UtcDateTime, nullable=False),
)

# Of each kind of what is kept for a time, how far it has been looked through, and when last to its end.
retention_marks = Table(
    "retention_marks",
    metadata,
    Column("kind", String(16), primary_key=True),
    # All rows up to this one have been removed, or need not be looked at again.
    Column("up_to", BigInteger, nullable=False),
    Column("done_at", UtcDateTime),
)

# Who may sign in to the console; an account without an organisation is an operator's.
console_accounts = Table(
    "console_accounts",
    metadata,
    _row_number("account_id"),
    # Also the second half of `account:<login>` in the audit trail.
    Column("login", String(48), nullable=False, unique=True),
    Column("organisation", ORGANISATION),
    # The User in whose name it acts; none: the first of its organisation.
    Column("user_eui", EUI),
    # Names of roles joined by commas.
    Column("roles", String(64), nullable=False),
    # An encoded argon2id hash; none: it signs in elsewhere.
    Column("password_hash", String(256)),
    Column("must_change", Boolean, nullable=False),
    # What the second factor is computed from, and the last step of time for which one was taken.
    Column("totp_secret", String(64)),
    Column("totp_step", BigInteger),
    # How an OpenID provider calls the account.
    Column("oidc_subject", String(255), unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
)

# Each is good once, in place of a second factor.
console_recovery_codes = Table(
    "console_recovery_codes",
    metadata,
    Column("account_id", ForeignKey("console_accounts.account_id"), primary_key=True),
    Column("code_sha256", String(64), primary_key=True),
    **BY_KEY,
)

console_sessions = Table(
    "console_sessions",
    metadata,
    # Of the token in the cookie, which stands nowhere.
    Column("token_sha256", String(64), primary_key=True),
    Column("account_id", ForeignKey("console_accounts.account_id"), nullable=False, index=True),
    Column("began_at", UtcDateTime, nullable=False),
    # To the minute or so.
    Column("seen_at", UtcDateTime, nullable=False),
    Column("second_factor", Boolean, nullable=False),
    # A second factor that is being set up.
    Column("pending_secret", String(64)),
    **BY_KEY,
)

# Failed attempts to sign in, by `account:<login>` and `address:<address>`.
console_tries = Table(
    "console_tries",
    metadata,
    Column("subject", String(80), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcDateTime, nullable=False, index=True),
    Column("locked_until", UtcDateTime),
    **BY_KEY,
)

# What somebody wants done in the console: shown first, then done once, or left to another to confirm.
console_proposals = Table(
    "console_proposals",
    metadata,
    Column("proposal_id", String(32), primary_key=True),
    Column("organisation", ORGANISATION, nullable=False),
    # Logins: of who wants it, and of who confirmed it or turned it down.
    Column("author", String(48), nullable=False),
    Column("decided_by", String(48)),
    Column("made_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("decided_at", UtcDateTime),
    Column("state", String(12), nullable=False),
    Column("title", String(200), nullable=False),
    Column("hub_count", Integer, nullable=False),
    # How many requests it takes, and how many of them are answered.
    Column("acts", Integer, nullable=False),
    Column("acts_done", Integer, nullable=False),
    # JSON: what is to be done, to which hubs, by which selection they were found.
    Column("content", Text, nullable=False),
    # JSON: what it would come to, or has come to, in short; and the hubs refused, by reason.
    Column("summary", Text, nullable=False),
    Column("refused", Text, nullable=False),
    # A sheet that was uploaded, and the same with what became of each row.
    Column("file_name", String(200)),
    Column("file", LargeBinary),
    Column("report", LargeBinary),
    Index("ix_console_proposals_organisation", "organisation", "made_at"),
)
# --- What Suppliers look at as organisations: the interface for CRM systems, the console, spreadsheets ---------------

# Hubs for which a Supplier is, was or will be responsible: where to look, in order of the hubs; whether it is now, its
# registrations say. `store.candidates` adds to it and takes nothing away.
supplier_hubs = Table(
    "supplier_hubs",
    metadata,
    Column("organisation", ORGANISATION, primary_key=True),
    Column("hub_id", EUI, primary_key=True),
    **BY_KEY,
)

# Tokens of the interface for CRM systems; of the secret only its hash is kept.
api_tokens = Table(
    "api_tokens",
    metadata,
    Column("token_id", String(32), primary_key=True),
    # What people call it; a token and those that took its place have the same.
    Column("name", String(48), nullable=False),
    # In whose name it acts; none: it is the registration feed's.
    Column("user_eui", EUI),
    # Joined by commas.
    Column("scopes", String(64), nullable=False),
    # SHA-256, in hexadecimal.
    Column("secret_sha256", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    # From when on it is good no more: after it was rotated, or as it was made.
    Column("ends_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # When it was last used, to the hour.
    Column("used_at", UtcDateTime),
    # SHA-256 of the certificate over whose connections alone it is good, in hexadecimal; none: over any.
    Column("certificate_sha256", String(64)),
    Index("ix_api_tokens_name", "name"),
)

# Where Suppliers want changes sent to: each is sent all that comes after the one it was sent last.
webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", String(32), primary_key=True),
    Column("user_eui", EUI, nullable=False, index=True),
    Column("url", Text, nullable=False),
    # With which messages are signed; sealed with the key of the instance.
    Column("secret", Text, nullable=False),
    # Which changes, joined by commas; none: all.
    Column("kinds", Text),
    Column("created_at", UtcDateTime, nullable=False),
    # The record of the audit trail, and the hub of it, up to which all has been sent.
    Column("sent_audit_id", BigInteger, nullable=False),
    Column("sent_offset", Integer, nullable=False),
    Column("delivered_at", UtcDateTime),
    # Failures in a row, and when it is tried again.
    Column("tries", Integer, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("last_error", Text),
    # Since when nothing is sent any more, until somebody says so.
    Column("parked_at", UtcDateTime),
)
