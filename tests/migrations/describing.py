"""What a schema is, part by part, in words that can be compared; the order of columns in a table is no part of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection, inspect, text

from sr_engine.store.schema import VERSION_TABLE

_POSTGRESQL_PARTS = {
    "columns": """
        SELECT c.relname || '.' || a.attname,
               format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
               || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0
              AND NOT a.attisdropped""",
    "indexes": "SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
    "constraints": """
        SELECT 'constraint ' || conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'""",
    "storage": """
        SELECT 'table ' || relname, coalesce(array_to_string(reloptions, ','), '') FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'""",
    "sequences": "SELECT 'sequence ' || sequencename, data_type::text FROM pg_sequences",
}


def describe(connection: Connection) -> dict[str, str]:
    """By name of the part, everything that one database could have and another not."""
    found = _postgresql(connection) if connection.dialect.name == "postgresql" else _sqlite(connection)
    return {part: what for part, what in found.items() if VERSION_TABLE not in part}


def differences(of_tables: Mapping[str, str], of_revisions: Mapping[str, str]) -> list[str]:
    """One line for every part that is not the same in both."""
    found = []
    for part in sorted(of_tables.keys() | of_revisions.keys()):
        one, other = of_tables.get(part, "absent"), of_revisions.get(part, "absent")
        if one != other:
            found.append(f"{part}: by store/tables/ {one!r}, by the revisions {other!r}")
    return found


def _postgresql(connection: Connection) -> dict[str, str]:
    return {name: what for query in _POSTGRESQL_PARTS.values() for name, what in connection.execute(text(query))}


def _sqlite(connection: Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    for table in inspect(connection).get_table_names():
        wanted = "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = :table"
        without_row_numbers = connection.scalar(text(wanted), {"table": table})
        found[f"table {table}"] = "WITHOUT ROWID" if without_row_numbers else ""
        for _, name, kind, not_null, default, key in connection.execute(text(f"PRAGMA table_info({table})")):
            found[f"{table}.{name}"] = f"{kind} NOT NULL {not_null} DEFAULT {default} KEY {key}"
        for row in connection.execute(text(f"PRAGMA foreign_key_list({table})")):
            found[f"foreign key {table}.{row[3]}"] = f"{row[2]}.{row[4]}"
        for _, name, unique, origin, _ in connection.execute(text(f"PRAGMA index_list({table})")).all():
            if origin == "c":
                sql = connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": name})
                found[f"index {name}"] = re.sub(r"\s+", " ", str(sql))
            else:
                columns = [row[2] for row in connection.execute(text(f"PRAGMA index_info({name})"))]
                found[f"constraint {table} {origin} {', '.join(columns)}"] = f"UNIQUE {unique}"
    return found
