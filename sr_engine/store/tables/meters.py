"""Firmware of meters and PPMIDs."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text, text

from sr_engine.store.tables.columns import BY_KEY, EUI, ORGANISATION, UtcDateTime, metadata, row_number

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
    row_number("firmware_request_id"),
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
    row_number("tidings_id"),
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
