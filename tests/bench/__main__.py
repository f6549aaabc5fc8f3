"""`python -m tests.bench`: measure, print a table, write bench-report.json."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench import (
    backing_up,
    burst,
    cutting,
    delivering,
    exchange,
    firmware,
    hostile,
    intake,
    pages,
    parts,
    replaying,
    scheduling,
    sign_server,
    spreadsheets,
    stages,
    telling,
)

REPORT = Path("bench-report.json")


def main() -> None:
    """Measure and report; a target that is not met is shown, not hidden."""
    measured = (
        *(parts, stages, sign_server, exchange, burst, scheduling, delivering),
        *(firmware, cutting, intake, backing_up, replaying, pages, spreadsheets, telling, hostile),
    )
    rows = [row for part in measured for row in part.rows()]
    table = Table("what", "figure", "unit", "target", "met")
    for row in rows:
        sign = ">=" if row.at_least else "<="
        target = "" if row.target is None else f"{sign} {row.target:g}"
        table.add_row(row.name, f"{row.figure:.2f}", row.unit, target, {True: "yes", False: "NO", None: ""}[row.met])
    Console().print(table)
    REPORT.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n", encoding="utf-8")


main()
