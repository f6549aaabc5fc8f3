"""Homes: what stands in them, who supplies them, and which have to be looked at."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Index, String, Table, text

from sr_engine.store.tables.columns import BY_KEY, EUI, ORGANISATION, UtcDateTime, metadata

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

# The newest firmware version that a CSP has read from a hub, and when: what was read before says no more.
read_versions = Table(
    "read_versions",
    metadata,
    Column("hub_id", EUI, primary_key=True),
    Column("version", String(8), nullable=False),
    Column("read_at", UtcDateTime, nullable=False),
    **BY_KEY,
)

# Hubs for which a Supplier is, was or will be responsible: where to look, in order of the hubs; whether it is now, its
# registrations say. `store.candidates` adds to it and takes nothing away.
supplier_hubs = Table(
    "supplier_hubs",
    metadata,
    Column("organisation", ORGANISATION, primary_key=True),
    Column("hub_id", EUI, primary_key=True),
    **BY_KEY,
)
