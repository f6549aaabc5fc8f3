"""What stands in one cell, as a value: tolerant of how people write, and refused where a spreadsheet has changed it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TypeVar

from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.configuration.spreadsheets import bare
from sr_engine.messages.model import Firmware
from sr_engine.spreadsheets.reading import Formula
from sr_engine.spreadsheets.refusals import CellRefused

T = TypeVar("T")

_EUI = re.compile(r"[0-9A-Fa-f]{2}(?:[-: ]?[0-9A-Fa-f]{2}){7}", re.ASCII)
_SEPARATORS = re.compile(r"[-: ]")
_SCIENTIFIC = re.compile(r"[0-9]+(?:[.,][0-9]*)?[eE]\+?[0-9]+", re.ASCII)
_EUI_DIGITS = 16
_MPAN_DIGITS, _MPRN_DIGITS = 13, range(6, 11)
_NAME_MOST = 30
"""Characters of a manufacturer, a model or a version (`xsd/duis.xsd`)."""
_SHOWN = 40
_AS_TEXT = "format the column as Text and enter it again"

_REGIONS = {bare(region): region for region in CSP_REGIONS}


def refuse_formula(cell: object) -> None:
    """Raise CellRefused for a cell that was computed."""
    if isinstance(cell, Formula):
        raise CellRefused("it is a formula, which is not read: put the value itself there (Paste Special, Values)")


def hub_id(cell: object) -> str:
    """A hub's EUI-64 in canonical form, written with or without separators and in any case."""
    if isinstance(cell, bool | int | float) or not isinstance(cell, str):
        raise CellRefused(
            f"{shown(cell)} is not an id any more: the spreadsheet has taken it for a number or a date and changed it; "
            f"{_AS_TEXT}, best with hyphens as in 00-DB-12-34-56-78-90-A2"
        )
    # An apostrophe is how people have Excel keep a text.
    text = cell.strip().removeprefix("'").replace("\u2013", "-").replace("\u2011", "-")
    if _EUI.fullmatch(text) is not None:
        digits = _SEPARATORS.sub("", text).upper()
        return "-".join([digits[place : place + 2] for place in range(0, _EUI_DIGITS, 2)])
    if _SCIENTIFIC.fullmatch(text) is not None:
        raise CellRefused(
            f"{shown(text)} is not an id any more: the spreadsheet has made a number of it; {_AS_TEXT}, best with "
            "hyphens as in 00-DB-12-34-56-78-90-A2"
        )
    digits = _SEPARATORS.sub("", text)
    if len(digits) < _EUI_DIGITS and re.fullmatch(r"[0-9A-Fa-f]+", digits) is not None:
        lost = " (leading zeros were lost?)" if digits.isdecimal() else ""
        raise CellRefused(
            f"{shown(text)} has {len(digits)} of the 16 hexadecimal digits of an id{lost}: enter all of them, as Text"
        )
    raise CellRefused(f"{shown(text)} is not an EUI-64 such as 00-DB-12-34-56-78-90-A2")


def mpxn(cell: object) -> str:
    """An MPAN of 13 digits or an MPRN of 6 to 10."""
    if isinstance(cell, int) and not isinstance(cell, bool):
        digits = str(cell)
    elif isinstance(cell, str):
        digits = re.sub(r"[\s'-]", "", cell)
    else:
        raise CellRefused(f"{shown(cell)} is neither an MPAN nor an MPRN: {_AS_TEXT}")
    if _SCIENTIFIC.fullmatch(digits) is not None and not digits.isdecimal():
        raise CellRefused(f"{shown(cell)} has lost digits, the spreadsheet has made a number of it: {_AS_TEXT}")
    if not (digits.isascii() and digits.isdecimal()):
        raise CellRefused(f"{shown(cell)} is neither an MPAN of 13 digits nor an MPRN of 6 to 10")
    if len(digits) != _MPAN_DIGITS and len(digits) not in _MPRN_DIGITS:
        raise CellRefused(
            f"{shown(cell)} has {len(digits)} digits, and an MPAN has 13, an MPRN 6 to 10; if leading zeros were lost, "
            f"{_AS_TEXT}"
        )
    return digits


def region(cell: object) -> str:
    """A CSP region."""
    found = _REGIONS.get(bare(str(cell)))
    if found is None:
        raise CellRefused(f"{shown(cell)} is none of the regions {', '.join(CSP_REGIONS)}")
    return found


def word(cell: object, words: Mapping[str, T], example: str) -> T:
    """What one of some words means."""
    if isinstance(cell, bool):
        cell = "Yes" if cell else "No"
    name = bare(str(cell))
    found = words.get(name)
    if found is None:
        near = difflib.get_close_matches(name, words, n=1)
        hint = f"; is {words[near[0]]} meant?" if near else ":"
        raise CellRefused(f"{shown(cell)} is not understood{hint} Write {example}")
    return found


def firmware(cell: object, default: Firmware | None) -> Firmware:
    """A release by manufacturer, model and version in one cell; the version alone where it is that of `default`."""
    text = " ".join(str(cell).split())
    if default is not None and text in {
        default.version,
        " ".join((default.manufacturer, default.model, default.version)),
    }:
        return default
    parts = [part.strip() for part in re.split(r"[/|,;]", text)] if re.search(r"[/|,;]", text) else text.split(" ")
    if not isinstance(cell, str) or len(parts) != 3 or not all(parts):
        raise CellRefused(
            f"{shown(cell)} does not name a release: write manufacturer, model and version, as in 2B7E C1A20001 9002"
        )
    if any(len(part) > _NAME_MOST or not part.isprintable() for part in parts):
        raise CellRefused(
            f"{shown(cell)} does not name a release: one of its parts is longer than {_NAME_MOST} characters"
        )
    return Firmware(*parts)


def shown(cell: object) -> str:
    """What a cell holds, as words quote it."""
    text = str(cell) if not isinstance(cell, float) else f"{cell:g}"
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
