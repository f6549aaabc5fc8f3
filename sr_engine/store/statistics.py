"""What PostgreSQL knows of its tables, by which it plans: long lists fill them faster than it looks at them by itself.

It does so once a minute, and until then would go through all of a table that it takes to be empty.
"""

from __future__ import annotations

from sqlalchemy import Engine, bindparam, text

from sr_engine.store.database import beside
from sr_engine.store.tables import metadata

WORTH_A_LOOK = 10_000
"""From so many changed rows on."""

_GROWN = text(
    "SELECT relname FROM pg_stat_user_tables WHERE schemaname = current_schema()"
    " AND n_mod_since_analyze >= :worth_a_look AND n_mod_since_analyze * 10 >= n_live_tup * 9 ORDER BY relname"
).bindparams(bindparam("worth_a_look", WORTH_A_LOOK))


def look_again(engine: Engine) -> list[str]:
    """Have PostgreSQL look at the tables nearly all of whose rows are new or changed since it did; return their names.

    It takes some tenths of a second, for which no transaction waits. What somebody else looks at is left to them.
    """
    with beside(engine).begin() as connection:
        grown = [name for name in connection.scalars(_GROWN) if name in metadata.tables]
        for name in grown:
            connection.exec_driver_sql(f"ANALYZE (SKIP_LOCKED) {name}")
    return grown
