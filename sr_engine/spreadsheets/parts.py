"""What is looked at in each part of a workbook, element by element.

Of the sheets it is noted where cells with formulas are, which the library that reads values does not tell, and how far
they reach: that library makes room for the whole rectangle.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from sr_engine.configuration import SheetLimits
from sr_engine.spreadsheets.refusals import SheetRefused

_TOO_FULL = "the workbook is full of cells that hold nothing: clear the formats of empty rows and columns"
WAY_OUT = "copy the rows into a new workbook as values (Paste Special, Values) and save that as .xlsx or CSV"

_LETTERS = 26
_ELEMENTS_OF_A_CELL = 5
"""More than any spreadsheet writes for one: a part full of elements that hold nothing would take minutes."""


@dataclass(slots=True)
class SheetFacts:
    """What was seen of one sheet; rows and columns are counted from 0."""

    last_row: int = -1
    last_column: int = -1
    formulas: dict[int, int] = field(default_factory=dict)
    """By row, the columns that hold formulas as bits."""

    def is_formula(self, row: int, column: int) -> bool:
        """Whether what a cell shows was computed."""
        return bool(self.formulas.get(row, 0) >> column & 1)


class Handler(ABC):
    """What looks at the elements of a part; namespaces are left aside, as the library that reads does."""

    @abstractmethod
    def start(self, tag: str, attributes: list[str]) -> None:
        """Take an element's beginning; `attributes` are name, value, name, value."""


class ContentTypes(Handler):
    """What kinds of parts there are."""

    def start(self, tag: str, attributes: list[str]) -> None:  # noqa: ARG002 - one kind of element only
        kind = _named(attributes).get("ContentType", "").casefold()
        if "macroenabled" in kind or "vbaproject" in kind:
            raise SheetRefused(f"the workbook is not read, for it contains macros: {WAY_OUT}")
        if "ms-excel.sheet.binary" in kind:
            raise SheetRefused(".xlsb is not read (it may contain macros): save it as .xlsx or CSV")


class Relations(Handler):
    """What a part refers to."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}

    def start(self, tag: str, attributes: list[str]) -> None:
        if _local(tag) != "Relationship":
            return
        found = _named(attributes)
        kind, target = found.get("Type", ""), found.get("Target", "")
        # A hyperlink in a cell is a text like any other here: nobody follows it.
        if found.get("TargetMode", "").casefold() == "external" and not kind.endswith("/hyperlink"):
            raise SheetRefused(f"the workbook is not read, for it has a link to {target[:80]!r}: {WAY_OUT}")
        self.targets[found.get("Id", "")] = target


class WorkbookPart(Handler):
    """Which sheets there are, in their order."""

    def __init__(self) -> None:
        self.epoch_1904 = False
        self.sheets: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.targets: dict[str, str] = {}

    def start(self, tag: str, attributes: list[str]) -> None:
        name = _local(tag)
        if name == "workbookPr":
            self.epoch_1904 = _named(attributes).get("date1904", "") in {"1", "true"}
        elif name == "sheet":
            found = _named(attributes)
            self.sheets[found.get("name", "")] = found.get("id", "")
            if found.get("state", "visible") != "visible":
                self.hidden.add(found.get("name", ""))


class CellsPart(Handler):
    """Where the cells of a sheet are that hold something; there may be millions."""

    def __init__(self, limits: SheetLimits) -> None:
        self.facts = SheetFacts()
        self.sharing = 0
        """Cells whose text stands elsewhere, perhaps for many of them."""
        self._limits = limits
        self._row = self._column = -1
        self._row_text = "?"
        self._letters: dict[str, int] = {}
        self._elements = 0
        self._most_elements = limits.cells * _ELEMENTS_OF_A_CELL

    def start(self, tag: str, attributes: list[str]) -> None:
        """Take an element's beginning."""
        self._elements += 1
        if self._elements > self._most_elements:
            raise SheetRefused(_TOO_FULL)
        if tag == "c":
            self._cell(attributes)
        elif tag in {"v", "is"}:
            if self._column > self.facts.last_column or self._row > self.facts.last_row:
                self._reach()
        elif tag == "t":
            pass
        elif tag == "row":
            self._row_text = _named(attributes).get("r", str(self._row + 2))
            self._row, self._column = self._number(self._row_text), -1
        elif tag == "f":
            self._reach()
            self.facts.formulas[self._row] = self.facts.formulas.get(self._row, 0) | 1 << self._column
        elif ":" in tag:
            self.start(_local(tag), attributes)

    def _cell(self, attributes: list[str]) -> None:
        self._column += 1
        for place in range(0, len(attributes), 2):
            name = attributes[place]
            if name == "r":
                reference, digits = attributes[place + 1], self._row_text
                column = self._letters.get(reference[: -len(digits)])
                # Nearly always it is a cell of the row in which it stands, in a column that was seen before.
                if column is not None and reference.endswith(digits):
                    self._column = column
                else:
                    self._go_to(reference)
            elif name == "t" and attributes[place + 1] == "s":
                self.sharing += 1

    def _reach(self) -> None:
        facts, limits = self.facts, self._limits
        facts.last_row = max(facts.last_row, self._row)
        facts.last_column = max(facts.last_column, self._column)
        rows, columns = facts.last_row + 1, facts.last_column + 1
        if rows > limits.rows:
            raise SheetRefused(
                f"row {rows:,} is not empty; more than {limits.rows:,} rows are not read: split the file"
            )
        if columns > limits.columns:
            raise SheetRefused(
                f"there are {columns:,} columns; more than {limits.columns:,} are not read: leave some out"
            )
        if rows * columns > limits.cells:
            raise SheetRefused(
                f"{rows:,} rows of {columns:,} columns are {rows * columns:,} cells, more than {limits.cells:,}: leave "
                "out columns that are not needed, or split the file"
            )

    def _go_to(self, reference: str) -> None:
        letters = reference.rstrip("0123456789")
        column = self._letters.get(letters)
        if column is None:
            column = self._letters[letters] = _column(letters)
        self._column = column
        self._row_text = reference[len(letters) :]
        self._row = self._number(self._row_text)

    def _number(self, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 7 and int(text) > 0):
            raise SheetRefused(f"the workbook is damaged: a sheet names a row {text[:20]!r}")
        return int(text) - 1


class StringsPart(Handler):
    """How long the texts are that cells share."""

    def __init__(self, limits: SheetLimits) -> None:
        self._elements = 0
        self._most_elements = limits.cells * _ELEMENTS_OF_A_CELL
        self.lengths: list[int] = []
        self.longest = 0

    def start(self, tag: str, attributes: list[str]) -> None:  # noqa: ARG002 - they say nothing here
        self._elements += 1
        if self._elements > self._most_elements:
            raise SheetRefused(_TOO_FULL)
        if _local(tag) == "si":
            self.lengths.append(0)

    def end(self, tag: str) -> None:
        if _local(tag) == "si":
            self.longest = max(self.longest, self.lengths[-1])

    def text(self, data: str) -> None:
        if self.lengths:
            self.lengths[-1] += len(data)


class SharedTexts(Handler):
    """How many characters the cells of a sheet hold that share texts."""

    def __init__(self, lengths: list[int]) -> None:
        self.characters = 0
        self._lengths = lengths
        self._shared = self._value = False
        self._index = ""

    def start(self, tag: str, attributes: list[str]) -> None:
        name = _local(tag)
        if name == "c":
            self._shared = _named(attributes).get("t") == "s"
        elif name == "v":
            self._value, self._index = True, ""

    def end(self, tag: str) -> None:
        if _local(tag) == "v":
            index = self._index.strip()
            if self._shared and index.isascii() and index.isdecimal() and int(index) < len(self._lengths):
                self.characters += self._lengths[int(index)]
            self._value = False

    def text(self, data: str) -> None:
        if self._value:
            self._index += data


def _column(letters: str) -> int:
    if not (letters.isascii() and letters.isalpha() and len(letters) <= 3):
        raise SheetRefused(f"the workbook is damaged: a sheet names a column {letters[:20]!r}")
    number = 0
    for letter in letters.upper():
        number = number * _LETTERS + ord(letter) - ord("A") + 1
    return number - 1


def _named(attributes: list[str]) -> dict[str, str]:
    return {_local(name): value for name, value in zip(attributes[::2], attributes[1::2], strict=True)}


def _local(name: str) -> str:
    return name.rpartition(":")[2]
