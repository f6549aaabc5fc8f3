"""The interface for CRM systems: who is let in, and where changes are sent to."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from sr_engine.store.tables.columns import EUI, UtcDateTime, metadata

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
