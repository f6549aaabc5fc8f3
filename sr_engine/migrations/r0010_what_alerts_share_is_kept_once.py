"""What alerts share is kept once; a program that does not know that would send them without it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
works_from = "0002"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
    op.create_table(
        "outbox_forms",
        sa.Column("form_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("form", sa.LargeBinary(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("form_id", name=op.f("pk_outbox_forms")),
    )
    op.add_column("outbox", sa.Column("form_id", sa.BigInteger(), nullable=True))
