"""The audit trail, and the archive of what is no longer kept here."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from sr_engine.store.tables.columns import BY_KEY, UtcDateTime, metadata, row_number

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
    row_number("audit_id"),
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

# Files into which what is older than the retention was written before it was removed; a file that is not here is none.
archives = Table(
    "archives",
    metadata,
    row_number("archive_id"),
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
