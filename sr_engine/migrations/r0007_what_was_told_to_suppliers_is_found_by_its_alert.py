"""What was told to Suppliers is found by its alert."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
works_from = "0002"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
    op.create_index(op.f("ix_alerted_hubs_message_id"), "alerted_hubs", ["message_id"], unique=False)
