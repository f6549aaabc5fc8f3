"""What is to be sent and was, and what Suppliers are still to be told."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from sr_engine.store.tables.columns import BY_KEY, EUI, ORGANISATION, UtcDateTime, metadata, row_number

outbox = Table(
    "outbox",
    metadata,
    row_number("outbox_id"),
    Column("message_id", String(32), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    # `user:<EUI>` or `csp:<region>`; where that is comes from configuration at the time of sending.
    Column("destination", String(64), nullable=False),
    # Messages about one hub are delivered in order; an alert without a hub is delivered before all later ones.
    Column("hub_id", EUI),
    Column("event", String(40), nullable=False),
    # All of it; or, with a form, what stands in the gaps of that.
    Column("body", LargeBinary, nullable=False),
    Column("form_id", BigInteger),
    # Of the body, in hexadecimal: by it receivers tell what they have already. Empty with a form: see `store.forms`.
    Column("sha256", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("state", String(12), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("delivered_at", UtcDateTime),
    Column("last_error", Text),
    # Of an alert that tells one thing of one hub: to which Supplier, and what happened once, as in `alerted_hubs`.
    Column("organisation", ORGANISATION),
    Column("occurrence", String(64)),
    # All that was ever sent to a receiver, in order.
    Index("ix_outbox_destination", "destination", "outbox_id"),
    # What is waiting, by when it is due; what is delivered is not in it.
    Index(
        "ix_outbox_due",
        "destination",
        "next_try_at",
        "outbox_id",
        sqlite_where=text("state = 'Pending'"),
        postgresql_where=text("state = 'Pending'"),
    ),
    # What everything later to its receiver waits for.
    Index(
        "ix_outbox_alone",
        "destination",
        "outbox_id",
        sqlite_where=text("state = 'Pending' AND hub_id IS NULL AND kind = 'alert'"),
        postgresql_where=text("state = 'Pending' AND hub_id IS NULL AND kind = 'alert'"),
    ),
    # What was sent about a hub. Nothing is told twice.
    Index("ix_outbox_told", "hub_id", "event", "organisation", "occurrence", unique=True),
    # What was given up and may be sent again.
    Index(
        "ix_outbox_parked",
        "destination",
        "outbox_id",
        sqlite_where=text("state = 'Parked'"),
        postgresql_where=text("state = 'Parked'"),
    ),
)

# What many messages share but for a few texts; gone with the last of them.
outbox_forms = Table(
    "outbox_forms",
    metadata,
    row_number("form_id"),
    # The parts between which the texts stand, with a zero byte in the place of each: XML has none.
    Column("form", LargeBinary, nullable=False),
    # How many messages there are of it.
    Column("uses", Integer, nullable=False),
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

# What Suppliers are still to be told: events of committed transactions, in their order, until their alerts are written.
tidings = Table(
    "tidings",
    metadata,
    row_number("tidings_id"),
    Column("event", String(40), nullable=False),
    Column("organisation", ORGANISATION, nullable=False),
    Column("release_id", ForeignKey("releases.release_id"), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("hub_count", Integer, nullable=False),
    # JSON of each: hub id, occurrence, device id or null, whether it is told as gas Supplier, RequestID or null,
    # versions or null. Where they differ in their hubs only: an object of the occurrence and the hub ids.
    Column("hubs", Text, nullable=False),
    # Whom something is to be told, and what first.
    Index("ix_tidings_organisation", "organisation", "tidings_id"),
)

# What alerts tell that are about several hubs, or say something else than what happened: see `store.told`.
alerted_hubs = Table(
    "alerted_hubs",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("event", String(40), primary_key=True),
    Column("organisation", ORGANISATION, primary_key=True),
    # What happened once: the attempt, or the release, with a number where it may happen again.
    Column("occurrence", String(64), primary_key=True),
    # The alert in the outbox that says so; both go into the archive together.
    Column("message_id", String(32), nullable=False, index=True),
    **BY_KEY,
)
