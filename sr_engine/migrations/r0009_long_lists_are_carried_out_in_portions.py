"""Long lists are carried out in portions; a program that does not know them would act on hubs before they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
works_from = "0002"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
    op.create_table(
        "kept_changes",
        sa.Column("kept_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("first_hub", sa.String(length=23), nullable=False),
        sa.Column("last_hub", sa.String(length=23), nullable=False),
        sa.Column("hubs", sa.Text(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kept_id", name=op.f("pk_kept_changes")),
    )
