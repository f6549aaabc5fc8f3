"""What was received and answered, what is held, and how much each User has sent."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from sr_engine.store.tables.columns import BY_KEY, EUI, UtcDateTime, metadata, row_number

exchanges = Table(
    "exchanges",
    metadata,
    row_number("exchange_id"),
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
    row_number("held_id"),
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
