"""Files that are made for one answer: they stand under no name, so that nothing is left of those nobody waits for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import BinaryIO

from starlette.responses import Response, StreamingResponse

from sr_engine.configuration import Spreadsheets
from sr_engine.console.security import HEADERS
from sr_engine.spreadsheets.export import Cell, ExportColumn, csv_chunks, write_xlsx

_CHUNK = 262_144


def written(
    kind: str, title: str, columns: Sequence[ExportColumn], rows: Iterable[Sequence[Cell]], spreadsheets: Spreadsheets
) -> BinaryIO:
    """A table as a file: `csv`, or else a workbook; memory does not grow with its rows."""
    file = tempfile.TemporaryFile(prefix="sr-engine-sheet-")  # noqa: SIM115 - whoever sends it closes it
    try:
        if kind == "csv":
            file.writelines(csv_chunks(columns, rows, spreadsheets))
        else:
            write_xlsx(file, title, columns, rows, spreadsheets)
    except BaseException:
        file.close()
        raise
    return file


def file_response(file: BinaryIO, media_type: str, name: str) -> Response:
    """A file to be kept by whoever asked for it; it is closed once it was sent, or is waited for no more."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(size)}
    return StreamingResponse(_chunks(file), headers=headers, media_type=media_type)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
