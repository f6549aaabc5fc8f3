"""An alert about one hub says itself what it tells; a program that does not know that would tell it again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
works_from = "0002"


def upgrade() -> None:
    """Bring a database forward from the revision before; what was told until then stays where it is."""
    op.add_column("outbox", sa.Column("organisation", sa.String(length=64), nullable=True))
    op.add_column("outbox", sa.Column("occurrence", sa.String(length=64), nullable=True))
    op.create_index("ix_outbox_told", "outbox", ["hub_id", "event", "organisation", "occurrence"], unique=True)
    alone = sa.text("state = 'Pending' AND hub_id IS NULL AND kind = 'alert'")
    op.create_index(
        "ix_outbox_alone", "outbox", ["destination", "outbox_id"], sqlite_where=alone, postgresql_where=alone
    )
