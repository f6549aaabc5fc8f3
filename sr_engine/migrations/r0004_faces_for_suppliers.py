"""What Suppliers look at as organisations, by other faces than Service Requests: hubs, schedules, exclusions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
works_from = "0002"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
    op.create_table(
        "supplier_hubs",
        sa.Column("organisation", sa.String(length=64), nullable=False),
        sa.Column("hub_id", sa.String(length=23), nullable=False),
        sa.PrimaryKeyConstraint("organisation", "hub_id", name=op.f("pk_supplier_hubs")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_exclusions_of_organisation", "exclusions", ["organisation", "hub_id"], unique=False)
    op.create_index(
        "ix_schedules_of_organisation", "schedules", ["organisation", "created_at", "schedule_id"], unique=False
    )
