"""Which column of a sheet is about what: headers matched by name, and refused where that would be a guess."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_engine.configuration import SheetColumn, Spreadsheets
from sr_engine.configuration.spreadsheets import bare
from sr_engine.spreadsheets.refusals import SheetRefused

REQUIRED = (SheetColumn.HUB_ID, SheetColumn.DECISION)
"""Columns without which nothing can be done."""

_REMARK = re.compile(r"(.*?)\s*[(\[]([^()\[\]]*)[)\]]\s*", re.DOTALL)
_LETTERS = 26
_ALIKE = 0.85
_SHORTEST = 4
"""Of names that are compared by likeness: shorter ones are like anything."""


@dataclass(frozen=True, slots=True)
class Headers:
    """The header of a sheet: what stands there, and at which place (from 0) which column is."""

    titles: tuple[str, ...]
    places: Mapping[SheetColumn, int]


def names_hubs(cells: Sequence[object], spreadsheets: Spreadsheets) -> bool:
    """Whether a row looks like the header: something in it is the name of the column of hubs, and more is known."""
    found = {_column(cell, spreadsheets) for cell in cells if isinstance(cell, str)} - {None}
    return SheetColumn.HUB_ID in found and len(found) > 1


def matched(cells: Sequence[object], spreadsheets: Spreadsheets) -> Headers:
    """The columns that a header row names; further ones, of whatever name, are people's own.

    Raises SheetRefused, with all that is wrong, if a required one is missing, one stands twice, or one is doubtful.
    """
    titles = tuple("" if cell is None else str(cell).strip() for cell in cells)
    places: dict[SheetColumn, int] = {}
    problems: list[str] = []
    for place, title in enumerate(titles):
        if not isinstance(cells[place], str):
            continue  # what a formula shows, or a number, names nothing
        column = _column(title, spreadsheets)
        if column is None:
            doubt = _doubt(title, spreadsheets)
            if doubt is not None:
                problems.append(f"column {letters(place)}, {title!r}, {doubt}")
        elif column not in places:
            places[column] = place
        elif column is not SheetColumn.ADVICE:
            first = places[column]
            problems.append(
                f"columns {letters(first)}, {titles[first]!r}, and {letters(place)}, {title!r}, both name the "
                f"{spreadsheets.title(column)}: rename or remove one"
            )
    # A header that is nearly right is not missing, it is misspelt; that is said already.
    if not problems:
        for column in REQUIRED:
            if column not in places:
                names = ", ".join(spreadsheets.columns[column].names[:4])
                problems.append(f"there is no column {spreadsheets.title(column)!r} (also understood: {names}, ...)")
    if problems:
        raise SheetRefused("\n".join(problems))
    return Headers(titles, places)


def letters(place: int) -> str:
    """What spreadsheets call the column at a place counted from 0."""
    name = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, _LETTERS)
        name = chr(ord("A") + rest) + name
    return name


def _column(cell: object, spreadsheets: Spreadsheets) -> SheetColumn | None:
    title = str(cell)
    found = spreadsheets.headers.get(bare(title))
    if found is None:
        remark = _REMARK.fullmatch(title)
        if remark is not None and bare(remark[2]) in spreadsheets.header_remarks:
            return spreadsheets.headers.get(bare(remark[1]))
    return found


def _doubt(title: str, spreadsheets: Spreadsheets) -> str | None:
    """Why a header that is not known may still be meant as one that is."""
    remark = _REMARK.fullmatch(title)
    if remark is not None:
        column = spreadsheets.headers.get(bare(remark[1]))
        if column is not None and column is not SheetColumn.ADVICE:
            return (
                f"is doubtful, since ({remark[2]}) may change what it says: leave that out if the column is the "
                f"{spreadsheets.title(column)}{_in_zone(column, spreadsheets)}, rename it otherwise"
            )
    name = bare(title)
    if len(name) < _SHORTEST:
        return None
    near = difflib.get_close_matches(name, spreadsheets.headers, n=1, cutoff=_ALIKE)
    if not near or spreadsheets.headers[near[0]] is SheetColumn.ADVICE:
        return None
    meant = spreadsheets.title(spreadsheets.headers[near[0]])
    return f"is doubtful: write {meant!r} if that is meant, or another name"


def _in_zone(column: SheetColumn, spreadsheets: Spreadsheets) -> str:
    if column in {SheetColumn.WINDOW_START, SheetColumn.WINDOW_END, SheetColumn.UNTIL}:
        return f" in {spreadsheets.time_zone_name}"
    return ""
