"""From here on portions, forms and what alerts say themselves (0009 to 0011) are used: all processes know them."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
works_from = "0011"


def upgrade() -> None:
    """Bring a database forward from the revision before; who came before 0009 looked for waiting alerts by it."""
    op.drop_index("ix_outbox_of_hub", table_name="outbox", if_exists=True)
