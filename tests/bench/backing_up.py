"""Taking a backup of a large instance and making an instance of it: how long, how large.

`python -m tests.bench.backing_up [HUBS]` measures this alone.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sr_engine.backup import restoring, taking
from tests.bench.cutting import prepare
from tests.bench.measure import Row
from tests.postgres import PostgresServer, postgres_server
from tests.world import NOW

HUBS = 1_000_000


def rows(hubs: int = HUBS) -> Iterator[Row]:
    """Measure on either engine."""
    yield from _rows("SQLite", None, hubs)
    with postgres_server(durable=True) as server:
        yield from _rows("PostgreSQL", server, hubs)


def _rows(engine: str, server: PostgresServer | None, hubs: int) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder / "instance", hubs, None if server is None else server.new_database())
        what = f"{engine}, {hubs:,} hubs"
        began = time.monotonic()
        taken = taking.take(folder / "instance", folder / "backup", taken_at=NOW, with_keys=True)
        yield Row(f"backup taken, {what}", time.monotonic() - began, "s")
        yield Row(f"the same, its size, {what}", taken.size / 1e6, "MB")
        began = time.monotonic()
        url = None if server is None else server.new_database()
        made = restoring.restore(folder / "backup", folder / "restored", database_url=url)
        yield Row(f"restored and verified, {what}", time.monotonic() - began, "s")
        assert made.audit.intact


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else HUBS):
        print(f"{row.name}: {row.figure:.2f} {row.unit}", flush=True)
