"""Writes the next revision of the schema, from what `store/tables/` has and the newest revision has not.

What it writes is a beginning: it is made from SQLite's point of view and has to be read, `works_from` above all.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Literal

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.autogenerate.api import AutogenContext
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from sr_engine.store import migrating
from sr_engine.store.database import open_engine
from sr_engine.store.schema import REVISIONS, VERSION_TABLE, known_revisions
from sr_engine.store.tables import UtcDateTime, metadata

_MODULE = '''"""{sentence}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}
works_from = "{works_from}"


def upgrade() -> None:
    """Bring a database forward from the revision before."""
{body}
'''


def context_of(connection: Connection) -> MigrationContext:
    """What compares a database with `store/tables/`."""
    return MigrationContext.configure(
        connection,
        opts={
            "target_metadata": metadata,
            "compare_type": True,
            "render_item": _render_item,
            "include_object": lambda _object, name, kind, *_: (kind, name) != ("table", VERSION_TABLE),
        },
    )


def _render_item(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Revisions rest on nothing of ours that may change."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def write(sentence: str, folder: Path = REVISIONS) -> Path:
    """Write the module and return where it is."""
    known = known_revisions(folder)
    before = known[-1] if known else None
    revision = f"{int(before or 0) + 1:04}"
    with tempfile.TemporaryDirectory() as scratch:
        engine = open_engine(f"sqlite:///{scratch}/schema.db", durable=False)
        if before is not None:
            migrating.upgrade(engine, folder=folder)
        with engine.connect() as connection:
            operations = produce_migrations(context_of(connection), metadata).upgrade_ops
        engine.dispose()
    assert operations is not None
    body = render_python_code(operations, render_item=_render_item)
    body = "\n".join(line.rstrip() for line in body.splitlines() if not line.lstrip().startswith("#"))
    name = re.sub(r"\W+", "_", sentence.lower()).strip("_")
    path = folder / f"r{revision}_{name}.py"
    text = _MODULE.format(
        sentence=sentence,
        revision=revision,
        before="None" if before is None else f'"{before}"',
        works_from=before or revision,
        body=body,
    )
    path.write_text(text, encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write(" ".join(sys.argv[1:])))
