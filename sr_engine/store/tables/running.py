"""What processes agree upon: who does what, which numbers are taken, which programs may work here."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, String, Table

from sr_engine.store.tables.columns import BY_KEY, UtcDateTime, metadata

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

counters = Table(
    "counters",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

# The oldest revision of the schema whose programs still work on the present one; which that is stands in
# `alembic_version` (`store.schema`).
schema_support = Table("schema_support", metadata, Column("works_from", String(32), primary_key=True))
