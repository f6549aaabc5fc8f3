"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
works_from = "0001"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
    op.create_table(
        "alerted_hubs",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("occurrence", sa.String(length=64), nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("hub_id", "event", "organisation", "occurrence", name=op.f("pk_alerted_hubs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "anomaly_counts",
        sa.Column("user_eui", sa.String(length=23), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("devices", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_eui", "hour", name=op.f("pk_anomaly_counts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "anomaly_thresholds",
        sa.Column("user_eui", sa.String(length=23), nullable=False),
        sa.Column("set_by", sa.String(length=8), nullable=False),
        sa.Column("requests_per_hour", sa.BigInteger(), nullable=True),
        sa.Column("devices_per_hour", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user_eui", "set_by", name=op.f("pk_anomaly_thresholds")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("chain_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=48), nullable=False),
        sa.Column("message_key", sa.String(length=70), nullable=True),
        sa.Column("release_id", sa.String(length=32), nullable=True),
        sa.Column("from_state", sa.String(length=40), nullable=True),
        sa.Column("to_state", sa.String(length=40), nullable=True),
        sa.Column("attempt_number", sa.Integer(), nullable=True),
        sa.Column("hub_count", sa.Integer(), nullable=False),
        sa.Column("hubs", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
    )
    op.create_table(
        "audit_chains",
        sa.Column("chain_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("writer", sa.String(length=64), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", name=op.f("pk_audit_chains")),
        sa.UniqueConstraint("writer", name=op.f("uq_audit_chains_writer")),
    )
    op.create_table(
        "changed_hubs",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.PrimaryKeyConstraint("hub_id", name=op.f("pk_changed_hubs")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "cpl_entries",
        sa.Column("version", sa.String(length=8), nullable=False),
        sa.Column("device_type", sa.String(length=8), nullable=False),
        sa.Column("manufacturer", sa.String(length=30), nullable=False),
        sa.Column("model", sa.String(length=30), nullable=False),
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("gbcs_version", sa.String(length=20), nullable=True),
        sa.Column("from_versions", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("version", "device_type", "manufacturer", "model", name=op.f("pk_cpl_entries")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "devices",
        sa.Column("device_id", sa.String(length=23), nullable=False),
        sa.Column("device_type", sa.String(length=8), nullable=False),
        sa.Column("hub_id", sa.String(length=23), nullable=True),
        sa.Column("device_status", sa.String(length=32), nullable=True),
        sa.Column("manufacturer", sa.String(length=30), nullable=False),
        sa.Column("model", sa.String(length=30), nullable=False),
        sa.Column("smets_chts_version", sa.String(length=20), nullable=True),
        sa.Column("firmware_version", sa.String(length=8), nullable=True),
        sa.Column("firmware_version_status", sa.String(length=16), nullable=True),
        sa.Column("cpl_status", sa.String(length=16), nullable=True),
        sa.Column("date_commissioned", sa.Date(), nullable=True),
        sa.Column("import_mpxn", sa.String(length=13), nullable=True),
        sa.Column("secondary_import_mpan", sa.String(length=13), nullable=True),
        sa.Column("export_mpan", sa.String(length=13), nullable=True),
        sa.Column("esme_variant", sa.String(length=4), nullable=True),
        sa.Column("uprn", sa.BigInteger(), nullable=True),
        sa.Column("postcode", sa.String(length=8), nullable=True),
        sa.Column("address_identifier", sa.String(length=30), nullable=True),
        sa.Column("csp_region", sa.String(length=16), nullable=True),
        sa.Column("gbcs_version", sa.String(length=20), nullable=True),
        sa.Column("han_variant", sa.String(length=40), nullable=True),
        sa.Column("s1sp", sa.String(length=40), nullable=True),
        sa.Column("connectivity", sa.String(length=16), nullable=True),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_devices")),
        postgresql_with={"fillfactor": 66},
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_devices_export_mpan",
        "devices",
        ["export_mpan"],
        unique=False,
        sqlite_where=sa.text("export_mpan IS NOT NULL"),
        postgresql_where=sa.text("export_mpan IS NOT NULL"),
    )
    op.create_index(
        "ix_devices_hubs_of_model",
        "devices",
        ["manufacturer", "model", "csp_region", "device_id"],
        unique=False,
        sqlite_where=sa.text("device_type = 'CHF'"),
        postgresql_where=sa.text("device_type = 'CHF'"),
    )
    op.create_index(op.f("ix_devices_import_mpxn"), "devices", ["import_mpxn"], unique=False)
    op.create_index("ix_devices_manufacturer_model", "devices", ["manufacturer", "model"], unique=False)
    op.create_index(
        "ix_devices_of_hub", "devices", ["hub_id", "device_type", "import_mpxn", "device_status"], unique=False
    )
    op.create_index(
        "ix_devices_postcode_address_identifier",
        "devices",
        ["postcode", "address_identifier"],
        unique=False,
        sqlite_where=sa.text("postcode IS NOT NULL"),
        postgresql_where=sa.text("postcode IS NOT NULL"),
    )
    op.create_index(
        "ix_devices_secondary_import_mpan",
        "devices",
        ["secondary_import_mpan"],
        unique=False,
        sqlite_where=sa.text("secondary_import_mpan IS NOT NULL"),
        postgresql_where=sa.text("secondary_import_mpan IS NOT NULL"),
    )
    op.create_index(
        "ix_devices_uprn",
        "devices",
        ["uprn"],
        unique=False,
        sqlite_where=sa.text("uprn IS NOT NULL"),
        postgresql_where=sa.text("uprn IS NOT NULL"),
    )
    op.create_table(
        "due_hubs",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hub_id", name=op.f("pk_due_hubs")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_due_hubs_due_at"), "due_hubs", ["due_at"], unique=False)
    op.create_table(
        "due_registrations",
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("mpxn", sa.String(length=13), nullable=False),
        sa.Column("role", sa.String(length=3), nullable=False),
        sa.PrimaryKeyConstraint("due_at", "mpxn", "role", name=op.f("pk_due_registrations")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "exchanges",
        sa.Column(
            "exchange_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("interface", sa.String(length=8), nullable=False),
        sa.Column("message_key", sa.String(length=70), nullable=False),
        sa.Column("command_variant", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sender_eui", sa.String(length=23), nullable=False),
        sa.Column("service_reference_variant", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("received", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("exchange_id", name=op.f("pk_exchanges")),
        sa.UniqueConstraint(
            "interface",
            "message_key",
            "command_variant",
            name=op.f("uq_exchanges_interface_message_key_command_variant"),
        ),
    )
    op.create_table(
        "exclusions",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("limited_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("overridden_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("hub_id", "organisation", name=op.f("pk_exclusions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "firmware_images",
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("image", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_firmware_images")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=True),
        sa.Column("acquired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_leases_holder"), "leases", ["holder"], unique=False)
    op.create_table(
        "list_runs",
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("plan", sa.Text(), nullable=True),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("chosen", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("lists", sa.Integer(), nullable=False),
        sa.Column("hubs", sa.Integer(), nullable=False),
        sa.Column("after_release", sa.String(length=32), nullable=True),
        sa.Column("after_hub", sa.String(length=23), nullable=True),
        sa.Column("filling", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("region", "period_start", name=op.f("pk_list_runs")),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "outbox_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("hub_id", sa.String(length=23), nullable=True),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_message_id")),
    )
    op.create_index("ix_outbox_destination", "outbox", ["destination", "outbox_id"], unique=False)
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["destination", "next_try_at", "outbox_id"],
        unique=False,
        sqlite_where=sa.text("state = 'Pending'"),
        postgresql_where=sa.text("state = 'Pending'"),
    )
    op.create_index(
        "ix_outbox_of_hub",
        "outbox",
        ["destination", "hub_id", "outbox_id"],
        unique=False,
        sqlite_where=sa.text("state = 'Pending'"),
        postgresql_where=sa.text("state = 'Pending'"),
    )
    op.create_index(
        "ix_outbox_parked",
        "outbox",
        ["destination", "outbox_id"],
        unique=False,
        sqlite_where=sa.text("state = 'Parked'"),
        postgresql_where=sa.text("state = 'Parked'"),
    )
    op.create_table(
        "owed_hubs",
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("parts", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("region", "organisation", name=op.f("pk_owed_hubs")),
    )
    op.create_table(
        "read_versions",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("version", sa.String(length=8), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hub_id", name=op.f("pk_read_versions")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "registrations",
        sa.Column("mpxn", sa.String(length=13), nullable=False),
        sa.Column("role", sa.String(length=3), nullable=False),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("mpxn", "role", "effective_from", name=op.f("pk_registrations")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_registrations_effective_from", "registrations", ["effective_from"], unique=False)
    op.create_table(
        "releases",
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("manufacturer", sa.String(length=30), nullable=False),
        sa.Column("model", sa.String(length=30), nullable=False),
        sa.Column("version", sa.String(length=8), nullable=False),
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("cpl_status", sa.String(length=16), nullable=False),
        sa.Column("management", sa.String(length=20), nullable=False),
        sa.Column("obligation", sa.String(length=12), nullable=False),
        sa.Column("comply_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("compulsory_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("release_id", name=op.f("pk_releases")),
        sa.UniqueConstraint("manufacturer", "model", "version", name=op.f("uq_releases_manufacturer_model_version")),
    )
    op.create_table(
        "schema_support",
        sa.Column("works_from", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("works_from", name=op.f("pk_schema_support")),
    )
    op.create_table(
        "settled_registrations",
        sa.Column("mpxn", sa.String(length=13), nullable=False),
        sa.Column("role", sa.String(length=3), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=True),
        sa.Column("effective_from", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("mpxn", "role", name=op.f("pk_settled_registrations")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sla_breaches",
        sa.Column(
            "breach_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("measure", sa.String(length=16), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("judged_up_to", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("breach_id", name=op.f("pk_sla_breaches")),
    )
    op.create_index(
        "ix_sla_breaches_region_measure", "sla_breaches", ["region", "measure", "judged_up_to"], unique=False
    )
    op.create_table(
        "trigger_runs",
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("region", "trigger", "period_start", name=op.f("pk_trigger_runs")),
    )
    op.create_table(
        "arrivals",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts_before", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_arrivals_release_id")),
        sa.PrimaryKeyConstraint("hub_id", "release_id", "organisation", name=op.f("pk_arrivals")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attempts",
        sa.Column(
            "attempt_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pilot", sa.Boolean(), nullable=False),
        sa.Column("compulsory", sa.Boolean(), nullable=False),
        sa.Column("list_id", sa.String(length=32), nullable=True),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("compelled_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_attempts_release_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("hub_id", "release_id", "number", name=op.f("uq_attempts_hub_id_release_id_number")),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_attempts_compelled",
        "attempts",
        ["region", "compelled_until"],
        unique=False,
        sqlite_where=sa.text("is_open = 1 AND compelled_until IS NOT NULL"),
        postgresql_where=sa.text("is_open AND compelled_until IS NOT NULL"),
    )
    op.create_index(
        "ix_attempts_outcomes",
        "attempts",
        ["release_id", "region", "outcome", "outcome_at"],
        unique=False,
        sqlite_where=sa.text("outcome IS NOT NULL"),
        postgresql_where=sa.text("outcome IS NOT NULL"),
    )
    op.create_index(
        "ix_attempts_pilot",
        "attempts",
        ["release_id", "region"],
        unique=False,
        sqlite_where=sa.text("pilot = 1"),
        postgresql_where=sa.text("pilot"),
    )
    op.create_index(
        "ix_attempts_one_open",
        "attempts",
        ["hub_id"],
        unique=True,
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index(
        "ix_attempts_open",
        "attempts",
        ["region", "window_end"],
        unique=False,
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index(
        "ix_attempts_reported",
        "attempts",
        ["region", "reported_at"],
        unique=False,
        sqlite_where=sa.text("reported_at IS NOT NULL"),
        postgresql_where=sa.text("reported_at IS NOT NULL"),
    )
    op.create_index(
        "ix_attempts_under_way",
        "attempts",
        ["release_id", "region"],
        unique=False,
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "audit_checkpoints",
        sa.Column("chain_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("last_audit_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("pruned_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["chain_id"], ["audit_chains.chain_id"], name=op.f("fk_audit_checkpoints_chain_id")),
        sa.PrimaryKeyConstraint("chain_id", "number", name=op.f("pk_audit_checkpoints")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "audit_links",
        sa.Column("chain_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("last_audit_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.ForeignKeyConstraint(["chain_id"], ["audit_chains.chain_id"], name=op.f("fk_audit_links_chain_id")),
        sa.PrimaryKeyConstraint("chain_id", "number", name=op.f("pk_audit_links")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "departures",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("own_approval", sa.String(length=16), nullable=False),
        sa.Column("other_approval", sa.String(length=16), nullable=False),
        sa.Column("schedule_id", sa.BigInteger(), nullable=True),
        sa.Column("attempt_id", sa.BigInteger(), nullable=True),
        sa.Column("list_id", sa.String(length=32), nullable=True),
        sa.Column("attempt_shown", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=True),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=True),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_departures_release_id")),
        sa.PrimaryKeyConstraint("hub_id", "release_id", "organisation", name=op.f("pk_departures")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "firmware_image_messages",
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("csp_eui", sa.String(length=23), nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["firmware_images.image_id"], name=op.f("fk_firmware_image_messages_image_id")
        ),
        sa.PrimaryKeyConstraint("image_id", "region", "csp_eui", name=op.f("pk_firmware_image_messages")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "firmware_requests",
        sa.Column(
            "firmware_request_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("request_id", sa.String(length=70), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("user_eui", sa.String(length=23), nullable=False),
        sa.Column("version", sa.String(length=8), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("image_hash", sa.String(length=64), nullable=False),
        sa.Column("device_count", sa.Integer(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["firmware_images.image_id"], name=op.f("fk_firmware_requests_image_id")),
        sa.PrimaryKeyConstraint("firmware_request_id", name=op.f("pk_firmware_requests")),
    )
    op.create_table(
        "held_requests",
        sa.Column("held_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("exchange_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sender_eui", sa.String(length=23), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer_left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("preceding_key", sa.String(length=70), nullable=True),
        sa.Column("root_key", sa.String(length=70), nullable=True),
        sa.Column("event_ref", sa.String(length=20), nullable=True),
        sa.Column("breached", sa.String(length=8), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("body_digest", sa.String(length=64), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("code", sa.String(length=16), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["exchange_id"], ["exchanges.exchange_id"], name=op.f("fk_held_requests_exchange_id")),
        sa.PrimaryKeyConstraint("held_id", name=op.f("pk_held_requests")),
        sa.UniqueConstraint("event_ref", name=op.f("uq_held_requests_event_ref")),
        sa.UniqueConstraint("exchange_id", name=op.f("uq_held_requests_exchange_id")),
    )
    op.create_index(
        "ix_held_requests_preceding",
        "held_requests",
        ["preceding_key"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_held_requests_ready",
        "held_requests",
        ["ready_at", "held_id"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_held_requests_root",
        "held_requests",
        ["root_key"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "ix_held_requests_sender",
        "held_requests",
        ["sender_eui", "body_digest"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "pilot_shares",
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("hubs", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_pilot_shares_release_id")),
        sa.PrimaryKeyConstraint("release_id", "region", "organisation", name=op.f("pk_pilot_shares")),
    )
    op.create_table(
        "release_han_models",
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("manufacturer", sa.String(length=30), nullable=False),
        sa.Column("model", sa.String(length=30), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_release_han_models_release_id")),
        sa.PrimaryKeyConstraint("release_id", "manufacturer", "model", name=op.f("pk_release_han_models")),
    )
    op.create_table(
        "release_paths",
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("from_version", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_release_paths_release_id")),
        sa.PrimaryKeyConstraint("release_id", "from_version", name=op.f("pk_release_paths")),
    )
    op.create_table(
        "release_regions",
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("general_open", sa.Boolean(), nullable=False),
        sa.Column("pilot_limit", sa.Integer(), nullable=True),
        sa.Column("pilot_closes", sa.DateTime(timezone=True), nullable=True),
        sa.Column("soak_seconds", sa.Integer(), nullable=False),
        sa.Column("automatic_gate", sa.Boolean(), nullable=False),
        sa.Column("failure_percent", sa.Integer(), nullable=False),
        sa.Column("minimum_sample", sa.Integer(), nullable=False),
        sa.Column("halted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("halt_reason", sa.Text(), nullable=True),
        sa.Column("resumed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_up_to", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_release_regions_release_id")),
        sa.PrimaryKeyConstraint("release_id", "region", name=op.f("pk_release_regions")),
    )
    op.create_table(
        "release_terms",
        sa.Column("terms_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("management", sa.String(length=20), nullable=False),
        sa.Column("obligation", sa.String(length=12), nullable=False),
        sa.Column("comply_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consultation_reference", sa.Text(), nullable=False),
        sa.Column("consultation_date", sa.Date(), nullable=False),
        sa.Column("announced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("told_up_to", sa.String(length=23), nullable=True),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_release_terms_release_id")),
        sa.PrimaryKeyConstraint("terms_id", name=op.f("pk_release_terms")),
    )
    op.create_index("ix_release_terms_release_id", "release_terms", ["release_id"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("schedule_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("request_id", sa.String(length=70), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("phase", sa.String(length=8), nullable=False),
        sa.Column("accept_han_impact", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_schedules_release_id")),
        sa.PrimaryKeyConstraint("schedule_id", name=op.f("pk_schedules")),
    )
    op.create_table(
        "tidings",
        sa.Column(
            "tidings_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hub_count", sa.Integer(), nullable=False),
        sa.Column("hubs", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_tidings_release_id")),
        sa.PrimaryKeyConstraint("tidings_id", name=op.f("pk_tidings")),
    )
    op.create_index("ix_tidings_organisation", "tidings", ["organisation", "tidings_id"], unique=False)
    op.create_table(
        "upgrade_lists",
        sa.Column("list_id", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("windows_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("hub_count", sa.Integer(), nullable=False),
        sa.Column("cut_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("chased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("replaces", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_upgrade_lists_release_id")),
        sa.ForeignKeyConstraint(["replaces"], ["upgrade_lists.list_id"], name=op.f("fk_upgrade_lists_replaces")),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_upgrade_lists")),
    )
    op.create_index("ix_upgrade_lists_acknowledged_at", "upgrade_lists", ["acknowledged_at"], unique=False)
    op.create_index("ix_upgrade_lists_message_id", "upgrade_lists", ["message_id"], unique=False)
    op.create_index(op.f("ix_upgrade_lists_replaces"), "upgrade_lists", ["replaces"], unique=False)
    op.create_index("ix_upgrade_lists_windows_end", "upgrade_lists", ["region", "windows_end"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("approval", sa.String(length=16), nullable=False),
        sa.Column("defer_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("schedule_id", sa.BigInteger(), nullable=True),
        sa.Column("accept_han_impact", sa.Boolean(), nullable=False),
        sa.Column("request_id", sa.String(length=70), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["release_id"], ["releases.release_id"], name=op.f("fk_decisions_release_id")),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.schedule_id"], name=op.f("fk_decisions_schedule_id")),
        sa.PrimaryKeyConstraint("hub_id", "release_id", "organisation", name=op.f("pk_decisions")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_decisions_defer_until",
        "decisions",
        ["defer_until"],
        unique=False,
        sqlite_where=sa.text("defer_until IS NOT NULL"),
        postgresql_where=sa.text("defer_until IS NOT NULL"),
    )
    op.create_table(
        "firmware_alerted",
        sa.Column("firmware_request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("device_id", sa.String(length=23), nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["firmware_request_id"],
            ["firmware_requests.firmware_request_id"],
            name=op.f("fk_firmware_alerted_firmware_request_id"),
        ),
        sa.PrimaryKeyConstraint("firmware_request_id", "device_id", "event", name=op.f("pk_firmware_alerted")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "firmware_lists",
        sa.Column("list_id", sa.String(length=32), nullable=False),
        sa.Column("firmware_request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("device_count", sa.Integer(), nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("chased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("image_message_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["firmware_request_id"],
            ["firmware_requests.firmware_request_id"],
            name=op.f("fk_firmware_lists_firmware_request_id"),
        ),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_firmware_lists")),
        sa.UniqueConstraint("message_id", name=op.f("uq_firmware_lists_message_id")),
    )
    op.create_index(
        "ix_firmware_lists_unacknowledged",
        "firmware_lists",
        ["region", "listed_at"],
        unique=False,
        sqlite_where=sa.text("acknowledged_at IS NULL"),
        postgresql_where=sa.text("acknowledged_at IS NULL"),
    )
    op.create_table(
        "firmware_tidings",
        sa.Column(
            "tidings_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("firmware_request_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("devices", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["firmware_request_id"],
            ["firmware_requests.firmware_request_id"],
            name=op.f("fk_firmware_tidings_firmware_request_id"),
        ),
        sa.PrimaryKeyConstraint("tidings_id", name=op.f("pk_firmware_tidings")),
    )
    op.create_table(
        "list_withdrawals",
        sa.Column("message_key", sa.String(length=70), nullable=False),
        sa.Column("list_id", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("replacing", sa.Boolean(), nullable=False),
        sa.Column("hub_ids", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["list_id"], ["upgrade_lists.list_id"], name=op.f("fk_list_withdrawals_list_id")),
        sa.PrimaryKeyConstraint("message_key", name=op.f("pk_list_withdrawals")),
    )
    op.create_index(op.f("ix_list_withdrawals_list_id"), "list_withdrawals", ["list_id"], unique=False)
    op.create_table(
        "off_lists",
        sa.Column("list_id", sa.String(length=32), nullable=False),
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("attempt_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.attempt_id"], name=op.f("fk_off_lists_attempt_id")),
        sa.ForeignKeyConstraint(["list_id"], ["upgrade_lists.list_id"], name=op.f("fk_off_lists_list_id")),
        sa.PrimaryKeyConstraint("list_id", "hub_id", name=op.f("pk_off_lists")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "schedule_hubs",
        sa.Column("schedule_id", sa.BigInteger(), nullable=False),
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("in_force", sa.Boolean(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.schedule_id"], name=op.f("fk_schedule_hubs_schedule_id")),
        sa.PrimaryKeyConstraint("schedule_id", "hub_id", name=op.f("pk_schedule_hubs")),
        postgresql_with={"fillfactor": 50},
        sqlite_with_rowid=False,
    )
    op.create_index("ix_schedule_hubs_hub_id", "schedule_hubs", ["hub_id"], unique=False)
    op.create_table(
        "firmware_deliveries",
        sa.Column("list_id", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=23), nullable=False),
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("state_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["list_id"], ["firmware_lists.list_id"], name=op.f("fk_firmware_deliveries_list_id")),
        sa.PrimaryKeyConstraint("list_id", "device_id", name=op.f("pk_firmware_deliveries")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_firmware_deliveries_one_open",
        "firmware_deliveries",
        ["device_id"],
        unique=True,
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index(
        "ix_firmware_deliveries_open",
        "firmware_deliveries",
        ["region", "listed_at"],
        unique=False,
        sqlite_where=sa.text("is_open = 1"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "scheduled_hubs",
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("release_id", sa.String(length=32), nullable=False),
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("pilot", sa.Boolean(), nullable=False),
        sa.Column("compulsory", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.PrimaryKeyConstraint(
            "region",
            "release_id",
            "organisation",
            "window_end",
            "window_start",
            "pilot",
            "compulsory",
            "number",
            "hub_id",
            name=op.f("pk_scheduled_hubs"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "listed_hubs",
        sa.Column("list_id", sa.String(length=32), nullable=False),
        sa.Column("hub_ids", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["upgrade_lists.list_id"], name=op.f("fk_listed_hubs_list_id")),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_listed_hubs")),
    )
