"""What Suppliers are owed where they share the places of a region's nights (`regions.planner`, Fairness)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from sr_engine.store.bulk import execute_many
from sr_engine.store.tables import owed_hubs


def owed(connection: Connection, region: str) -> dict[str, int]:
    """By Supplier, in parts of a hub; who is not there is owed nothing."""
    found = connection.execute(select(owed_hubs.c.organisation, owed_hubs.c.parts).where(owed_hubs.c.region == region))
    return {row.organisation: row.parts for row in found}


def replace_owed(connection: Connection, region: str, now_owed: Mapping[str, int]) -> None:
    """Note what is owed from now on in a region."""
    connection.execute(owed_hubs.delete().where(owed_hubs.c.region == region))
    rows = [
        {"region": region, "organisation": organisation, "parts": parts}
        for organisation, parts in sorted(now_owed.items())
        if parts
    ]
    execute_many(connection, owed_hubs.insert(), rows)
