"""Firmware releases: where they are open, in which phase, and on what terms."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from sr_engine.store.tables.columns import EUI, ORGANISATION, UtcDateTime, metadata, row_number

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
    row_number("terms_id"),
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
