"""What is Scheduled names its attempt by the number of the row, so that putting it on a list need not look for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
works_from = "0002"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
    op.add_column("scheduled_hubs", sa.Column("attempt_id", sa.BigInteger(), nullable=True))
