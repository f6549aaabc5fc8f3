"""What each row of a sheet asks for: accepted, refused with the reason, or left out, one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sr_engine.configuration import SheetColumn, SheetDecision, Spreadsheets, YesNo
from sr_engine.messages.model import Firmware, Period, Phase
from sr_engine.spreadsheets import cells
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.reading import Formula, Sheet
from sr_engine.spreadsheets.refusals import CellRefused

T = TypeVar("T")
Progress = Callable[[int], None]

PROGRESS_EVERY = 1_000
"""Rows between two reports of progress."""

DONE = "Accepted"
"""What a report writes beside a row that needs nothing more."""

_REMEMBERED = 10_000
"""Different rows, but for their hubs, whose meaning is remembered: most repeat."""
_READ = frozenset(SheetColumn) - {SheetColumn.ADVICE}
_WISHED = _READ - {SheetColumn.HUB_ID, SheetColumn.MPXN, SheetColumn.REGION, SheetColumn.RESULT}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for a hub; hubs with the same wish go into one request."""

    decision: SheetDecision
    firmware: Firmware | None = None
    """None for Exclude and Include, which are about any release."""
    window: Period | None = None
    until: datetime | None = None
    phase: Phase = Phase.GENERAL
    accept_han_impact: bool = False


@dataclass(slots=True)
class Reading:
    """A sheet that was read to its end; all by the numbers of rows."""

    accepted: dict[int, tuple[str, Wish]] = field(default_factory=dict)
    """Hub, in canonical form, and what is asked for it."""
    refused: dict[int, str] = field(default_factory=dict)
    """Why, and what to do."""
    left_out: dict[int, str] = field(default_factory=dict)
    """Rows that were done before, and why that is thought."""

    @property
    def count(self) -> int:
        """All rows that are not empty."""
        return len(self.accepted) + len(self.refused) + len(self.left_out)

    def refuse_same_hubs(self, same: Collection[Collection[str]]) -> None:
        """Refuse the rows of ids that stand for one hub: by its CHF and its GPF it stands in several rows."""
        numbers = {hub_id: number for number, (hub_id, _) in self.accepted.items()}
        for ids in same:
            rows = sorted(numbers[one] for one in ids if one in numbers)
            for number in rows if len(rows) > 1 else ():
                hub_id, _ = self.accepted.pop(number)
                others = ", ".join(str(other) for other in rows if other != number)
                why = f"{hub_id} is the hub of row {others}, by its other id (CHF and GPF): keep one row for a hub"
                self.refused[number] = why


def read_rows(
    sheet: Sheet, spreadsheets: Spreadsheets, *, firmware: Firmware | None = None, progress: Progress | None = None
) -> Reading:
    """Read every row; `firmware` is the release of rows that name none.

    Rows without anything in a column that is read are no rows. Of a hub that stands in several rows none is taken,
    since nobody can tell which one is meant. Raises SheetRefused if the file turns out to be no CSV further down.
    """
    reader = _Reader(sheet, spreadsheets, firmware)
    for number, row in sheet.rows():
        reader.row(number, row)
        if progress is not None and number % PROGRESS_EVERY == 0:
            progress(number)
    reader.refuse_twice()
    if progress is not None:
        progress(sheet.last_row)
    return reader.reading


class _Reader:
    def __init__(self, sheet: Sheet, spreadsheets: Spreadsheets, firmware: Firmware | None) -> None:
        self.reading = Reading()
        self._spreadsheets = spreadsheets
        self._firmware = firmware
        self._epoch_1904 = sheet.epoch_1904
        self._moments = Moments(spreadsheets.time_zone)
        self._places = {column: place for column, place in sheet.headers.places.items() if column in _READ}
        self._first_row: dict[str, int] = {}
        self._twice: dict[str, list[int]] = {}
        self._problems: list[str] = []
        decisions, phases = spreadsheets.decisions, spreadsheets.phases
        self._columns: dict[SheetColumn, Callable[[object], object]] = {
            SheetColumn.HUB_ID: cells.hub_id,
            SheetColumn.MPXN: cells.mpxn,
            SheetColumn.REGION: cells.region,
            SheetColumn.DECISION: lambda cell: cells.word(cell, decisions, f"one of {', '.join(SheetDecision)}"),
            SheetColumn.FIRMWARE: lambda cell: cells.firmware(cell, firmware),
            SheetColumn.WINDOW_START: self._moment,
            SheetColumn.WINDOW_END: self._moment,
            SheetColumn.UNTIL: self._moment,
            SheetColumn.PHASE: lambda cell: cells.word(cell, phases, "Pilot or General"),
            SheetColumn.ACCEPT_HAN_IMPACT: lambda cell: cells.word(cell, spreadsheets.yes_no, "Yes or No"),
        }
        self._wishes: dict[Wish, Wish] = {}
        self._wished = {column: place for column, place in self._places.items() if column in _WISHED}
        self._known: dict[object, tuple[Wish | None, tuple[str, ...]]] = {}

    def row(self, number: int, row: list[object]) -> None:
        """Take a row into the reading, under its number."""
        found = {
            column: row[place] for column, place in self._places.items() if place < len(row) and row[place] is not None
        }
        if not found or found.keys() == {SheetColumn.RESULT}:
            return
        if str(found.get(SheetColumn.RESULT, "")).strip().casefold() == DONE.casefold():
            self.reading.left_out[number] = (
                f"Left out: {self._title(SheetColumn.RESULT)} says {DONE} already. Empty it to send the row again."
            )
            return
        self._problems = []
        hub_id = self._value(found, SheetColumn.HUB_ID, str)
        if hub_id is None and SheetColumn.HUB_ID not in found:
            self._problem(SheetColumn.HUB_ID, "is empty")
        self._value(found, SheetColumn.MPXN, str)
        self._value(found, SheetColumn.REGION, str)
        problems = self._problems
        wish, more = self._known_wish(found, row)
        problems.extend(more)
        if hub_id is not None and self._first_row.setdefault(hub_id, number) != number:
            self._twice.setdefault(hub_id, [self._first_row[hub_id]]).append(number)
        if problems or hub_id is None or wish is None:
            self.reading.refused[number] = "; ".join(problems)
        else:
            self.reading.accepted[number] = (hub_id, wish)

    def _known_wish(
        self, found: Mapping[SheetColumn, object], row: list[object]
    ) -> tuple[Wish | None, tuple[str, ...]]:
        """What a row wishes, or what is wrong with it; most rows say the same as one before."""
        said = [row[place] if place < len(row) else None for place in self._wished.values()]
        # 1, 1.0 and True are one key of a dictionary, and three contents of a cell.
        key = (*said, *map(type, said))
        known = self._known.get(key)
        if known is None:
            self._problems = []
            wish = self._wish(found)
            known = (wish if wish is None else self._wishes.setdefault(wish, wish)), tuple(self._problems)
            if len(self._known) < _REMEMBERED:
                self._known[key] = known
        return known

    def refuse_twice(self) -> None:
        """Refuse all rows of a hub that stands in several, each with the numbers of the others."""
        reading = self.reading
        for hub_id, numbers in self._twice.items():
            wishes = {reading.accepted[number][1] if number in reading.accepted else None for number in numbers}
            how = "the same" if len(wishes) == 1 and None not in wishes else "something else"
            for number in numbers:
                others = [other for other in numbers if other != number]
                named = f"row{'s' if len(others) > 1 else ''} {', '.join(map(str, others[:10]))}"
                more = f" and {len(others) - 10} more" if len(others) > 10 else ""
                why = f"{hub_id} also stands in {named}{more}, which say{'' if len(others) > 1 else 's'} {how}"
                before = reading.refused.get(number)
                reading.refused[number] = f"{why}: keep one row for a hub" + (f"; {before}" if before else "")
                reading.accepted.pop(number, None)

    def _wish(self, found: Mapping[SheetColumn, object]) -> Wish | None:
        decision = self._value(found, SheetColumn.DECISION, SheetDecision)
        start = self._value(found, SheetColumn.WINDOW_START, datetime)
        end = self._value(found, SheetColumn.WINDOW_END, datetime)
        until = self._value(found, SheetColumn.UNTIL, datetime)
        phase = self._value(found, SheetColumn.PHASE, Phase)
        accepts = self._value(found, SheetColumn.ACCEPT_HAN_IMPACT, YesNo) is YesNo.YES
        if decision is None:
            if SheetColumn.DECISION not in found:
                self._problem(SheetColumn.DECISION, f"is empty: write one of {', '.join(SheetDecision)}")
            return None
        release: Firmware | None = None
        if decision not in {SheetDecision.EXCLUDE, SheetDecision.INCLUDE}:
            release = self._value(found, SheetColumn.FIRMWARE, Firmware) or self._firmware
            if release is None and SheetColumn.FIRMWARE not in found:
                self._problem(
                    SheetColumn.FIRMWARE,
                    f"is empty: {decision} needs manufacturer, model and version, as in 2B7E C1A20001 9002",
                )
        scheduling = decision is SheetDecision.SCHEDULE
        self._check_window(found, start, end, scheduling=scheduling)
        if decision is SheetDecision.DEFER and SheetColumn.UNTIL not in found:
            self._problem(SheetColumn.UNTIL, "is empty: Defer needs the day on which you will decide, at the latest")
        if decision not in {SheetDecision.DEFER, SheetDecision.EXCLUDE} and SheetColumn.UNTIL in found:
            self._problem(SheetColumn.UNTIL, f"stands only with Defer or Exclude, not with {decision}: empty it")
        if not scheduling and phase is Phase.PILOT:
            self._problem(SheetColumn.PHASE, f"stands only with Schedule, not with {decision}: empty it")
        if self._problems:
            return None
        window = Period(start, end) if scheduling and start is not None and end is not None else None
        takes_impact = decision in {SheetDecision.SCHEDULE, SheetDecision.APPROVE}
        chosen = phase if scheduling and phase is not None else Phase.GENERAL
        return Wish(decision, release, window, until, chosen, accepts and takes_impact)

    def _check_window(
        self, found: Mapping[SheetColumn, object], start: datetime | None, end: datetime | None, *, scheduling: bool
    ) -> None:
        for column in (SheetColumn.WINDOW_START, SheetColumn.WINDOW_END):
            if scheduling and column not in found:
                self._problem(column, "is empty: Schedule needs both ends of the window")
            elif not scheduling and column in found:
                self._problem(column, "stands only with Schedule: empty it, or write Schedule")
        if scheduling and start is not None and end is not None and end <= start:
            self._problem(
                SheetColumn.WINDOW_END,
                f"is {self._moments.shown(end)}, which is not after the start, {self._moments.shown(start)}; a date "
                "without a time is its beginning, 00:00",
            )

    def _value(self, found: Mapping[SheetColumn, object], column: SheetColumn, kind: type[T]) -> T | None:
        """The value of a cell; None if it is empty or refused, which then is among the problems."""
        cell = found.get(column)
        if cell is None:
            return None
        try:
            if isinstance(cell, Formula):
                cells.refuse_formula(cell)
            value = self._columns[column](cell)
        except CellRefused as refused:
            self._problem(column, str(refused))
            return None
        assert isinstance(value, kind)  # noqa: S101 - each column is read as what it is
        return value

    def _problem(self, column: SheetColumn, what: str) -> None:
        self._problems.append(f"{self._title(column)}: {what}")

    def _title(self, column: SheetColumn) -> str:
        return self._spreadsheets.title(column)

    def _moment(self, cell: object) -> datetime:
        return self._moments.read(cell, epoch_1904=self._epoch_1904)
