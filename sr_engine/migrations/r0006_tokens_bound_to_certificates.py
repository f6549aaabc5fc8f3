"""Tokens of the interface for CRM systems can be bound to certificates."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
works_from = "0002"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
    op.add_column("api_tokens", sa.Column("certificate_sha256", sa.String(length=64), nullable=True))
