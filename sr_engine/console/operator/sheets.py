"""Lists of an operator's pages as sheets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from starlette.responses import Response

from sr_engine.console.files import file_response, written
from sr_engine.console.operator.office import Office, not_found
from sr_engine.console.pages import Visit
from sr_engine.spreadsheets.export import (
    CSV_MEDIA_TYPE,
    XLSX_MEDIA_TYPE,
    Cell,
    ExportColumn,
    Kind,
)
from sr_engine.store.reading import Connection

_KINDS = {"csv": CSV_MEDIA_TYPE, "xlsx": XLSX_MEDIA_TYPE}
MOMENTS = frozenset(
    {"Received", "Time", "Queued", "Cut", "Period starts", "Period ends", "Delivered", "Acknowledged", "Held", "Until"}
    | {"Valid from", "Ends", "Lists cut", "Night begins"}
)
"""Columns that hold times."""
NUMBERS = frozenset({"Tries", "Hubs", "Days left", "Attempt", "Record", "Capacity"})
"""Columns that hold numbers."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A list: what it is called, its columns, and its rows, at most so many."""

    name: str
    columns: Sequence[str]
    rows: Callable[[Connection, int], Iterable[Sequence[object]]]


async def sheet_response(visit: Visit, office: Office, sheet: Sheet) -> Response:
    """A list as the kind of sheet that is asked for; written first, so that nothing waits for its receiver."""
    kind = visit.query("kind", "xlsx")
    if kind not in _KINDS:
        raise not_found()
    columns = [ExportColumn(title, _kind(title)) for title in sheet.columns]
    most, rules = office.rules.sheets.most_rows, office.spreadsheets

    def write(connection: Connection) -> BinaryIO:
        rows = cast("Iterable[Sequence[Cell]]", sheet.rows(connection, most))
        return written(kind, sheet.name, columns, rows, rules)

    name = f"{sheet.name}-{visit.now:%Y%m%d-%H%M}.{kind}"
    return file_response(await visit.read(write), _KINDS[kind], name)


def _kind(title: str) -> Kind:
    if title in MOMENTS:
        return Kind.MOMENT
    return Kind.NUMBER if title in NUMBERS else Kind.TEXT
