"""What Suppliers have decided about hubs, and what has become of it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from sr_engine.store.tables.columns import BY_KEY, EUI, ORGANISATION, UtcDateTime, metadata, row_number

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
    row_number("attempt_id"),
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
    # The row number of the attempt; none in rows of programs before revision 0007, for which it is looked up.
    Column("attempt_id", BigInteger),
    **BY_KEY,
)

# What was decided about long lists and is still to be carried out: each portion by itself, and then it is gone.
kept_changes = Table(
    "kept_changes",
    metadata,
    row_number("kept_id"),
    # Its hubs are between these; there are never many portions.
    Column("first_hub", EUI, nullable=False),
    Column("last_hub", EUI, nullable=False),
    # Their ids, joined by commas.
    Column("hubs", Text, nullable=False),
    # JSON, of `store.kept_changes`.
    Column("changes", Text, nullable=False),
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
