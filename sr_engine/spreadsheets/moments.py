"""Dates and times as people write them: read as local time of one zone, or of the zone that is named."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sr_engine.spreadsheets.refusals import CellRefused

_SECOND = timedelta(seconds=1)
_EARLIEST, _LATEST = 2000, 2199
"""Years that are meant; anything else is a slip, or a number that is no date."""
FIRST_EXCEL_DAY = datetime(1900, 3, 1)  # noqa: DTZ001 - Excel has a 29 February 1900; before it, counts differ
_EPOCH_1900 = datetime(1899, 12, 30)  # noqa: DTZ001 - local, as all times in cells
_EPOCH_1904 = datetime(1904, 1, 1)  # noqa: DTZ001 - as above

_FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?\s*(?P<half>[ap]\.?m\.?)?"
)
_ZONE = r"(?P<zone>z|utc|gmt|bst|[+-]\d{2}:?\d{2})"
_DAY = (
    r"(?:(?P<iso_year>\d{4})-(?P<iso_month>\d{1,2})-(?P<iso_day>\d{1,2})"
    r"|(?P<day>\d{1,2})(?P<mark>[/.\-])(?P<month>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})"
    r"|(?P<named_day>\d{1,2})(?:st|nd|rd|th)?[ \-/.]?(?P<name>[a-z]{3,9})\.?,?[ \-/.]?(?P<named_year>\d{4}|\d{2}))"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_TEXT = re.compile(rf"{_WEEKDAY}{_DAY}(?:(?:\s*t\s*|,?\s+){_TIME}(?:\s*{_ZONE})?)?", re.ASCII)
_SERIAL = re.compile(r"\d{5}(?:\.\d+)?", re.ASCII)
_WANTED = "write it as 26/11/2026 22:00, 26-Nov-26 22:00 or 2026-11-26 22:00"


class Moments:
    """Reads and writes cells that hold a moment; `zone` is that of times which name none."""

    __slots__ = ("zone",)

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def read(self, cell: object, *, epoch_1904: bool = False) -> datetime:
        """The moment in a cell, in UTC, to the second.

        A date without a time is its beginning, 00:00. A number is Excel's count of days. Raises CellRefused for what is
        no moment, and for a local time that does not exist or comes twice, naming both readings.
        """
        if isinstance(cell, datetime):
            return self._of_local(_rounded(cell))
        if isinstance(cell, date):
            return self._of_local(datetime.combine(cell, time()))
        if isinstance(cell, time | timedelta):
            raise CellRefused(f"it holds a time of day without a date: {_WANTED}")
        if isinstance(cell, bool):
            raise CellRefused(f"it holds {'TRUE' if cell else 'FALSE'}, not a date: {_WANTED}")
        if isinstance(cell, int | float):
            return self._of_serial(float(cell), epoch_1904=epoch_1904)
        return self._of_text(str(cell).strip())

    def local(self, moment: datetime) -> datetime | str:
        """What a cell shows for a moment, so that reading it gives the same: local time, without a zone, to the second.

        Where that would not be clear, in the hour that comes twice or where Excel has no dates, it is a text with the
        offset.
        """
        here = moment.astimezone(self.zone).replace(microsecond=0)
        bare = here.replace(tzinfo=None, fold=0)
        if bare < FIRST_EXCEL_DAY or len(self._readings(bare)) != 1:
            return here.isoformat()
        return bare

    def shown(self, moment: datetime) -> str:
        """A moment as words have it: local time as people in the United Kingdom write it, with its zone."""
        return f"{moment.astimezone(self.zone):%d/%m/%Y %H:%M %Z}"

    def _of_serial(self, number: float, *, epoch_1904: bool) -> datetime:
        epoch = _EPOCH_1904 if epoch_1904 else _EPOCH_1900
        try:
            local = epoch + timedelta(seconds=round(number * 86_400))
        except (OverflowError, ValueError):
            local = epoch
        if not _EARLIEST <= local.year <= _LATEST:
            raise CellRefused(f"the number {number:g} is no date: {_WANTED}")
        return self._of_local(local)

    def _of_text(self, text: str) -> datetime:
        if _SERIAL.fullmatch(text):
            return self._of_serial(float(text), epoch_1904=False)
        found = _TEXT.fullmatch(" ".join(text.casefold().split()))
        if found is None:
            raise CellRefused(f"{_cut(text)} is no date: {_WANTED}")
        day = _day(found, text)
        local = datetime.combine(day, _time(found, text))
        if not _EARLIEST <= local.year <= _LATEST:
            raise CellRefused(f"the year {local.year} cannot be meant: {_WANTED}")
        zone = found["zone"]
        if zone is None:
            return self._of_local(local)
        return self._of_zone(local, zone)

    def _of_zone(self, local: datetime, zone: str) -> datetime:
        if zone in {"z", "utc"}:
            return local.replace(tzinfo=UTC)
        if zone in {"gmt", "bst"}:
            moment = (local - timedelta(hours=zone == "bst")).replace(tzinfo=UTC)
            in_force = moment.astimezone(self.zone).tzname() or ""
            # Where the one ends and the other begins, both names are good.
            until_then = (moment - _SECOND).astimezone(self.zone).tzname() or ""
            if zone not in {in_force.casefold(), until_then.casefold()}:
                raise CellRefused(
                    f"{zone.upper()} is not in force on {local:%d/%m/%Y} at {local:%H:%M}, {in_force} is: write "
                    f"{in_force} or nothing, or UTC if that is meant"
                )
            return moment
        sign = -1 if zone[0] == "-" else 1
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        if offset > timedelta(hours=14) or int(zone[-2:]) > 59:
            raise CellRefused(f"{zone} is no offset from UTC")
        return (local - sign * offset).replace(tzinfo=UTC)

    def _of_local(self, local: datetime) -> datetime:
        if not _EARLIEST <= local.year <= _LATEST:
            raise CellRefused(f"the year {local.year} cannot be meant: {_WANTED}")
        readings = self._readings(local)
        if len(readings) == 1:
            return readings[0]
        if readings:
            first, second = readings
            raise CellRefused(
                f"{local:%H:%M} comes twice on {local:%d/%m/%Y}, when the clocks go back: it is either "
                f"{self._named(first)} or {self._named(second)}; write the one that is meant, as a text"
            )
        before, after = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        raise CellRefused(
            f"{local:%H:%M} does not exist on {local:%d/%m/%Y}, when the clocks go forward: it is either "
            f"{self._named(after)} or {self._named(before)}; write the one that is meant"
        )

    def _readings(self, local: datetime) -> list[datetime]:
        """The moments at which clocks of the zone show this time: one; in the hour that comes twice two, else none."""
        found: list[datetime] = []
        for fold in (0, 1):
            moment = local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)
            if moment.astimezone(self.zone).replace(tzinfo=None, fold=0) == local and moment not in found:
                found.append(moment)
        return found

    def _named(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.zone):%d/%m/%Y %H:%M %Z} ({moment:%H:%M} UTC)"


def _rounded(local: datetime) -> datetime:
    """To the second: what a cell holds is a count of days, and hits it only nearly."""
    whole = local.replace(microsecond=0)
    return whole + _SECOND if local.microsecond >= 500_000 else whole


def _day(found: re.Match[str], text: str) -> date:
    if found["iso_year"] is not None:
        year, month, day = int(found["iso_year"]), int(found["iso_month"]), int(found["iso_day"])
    elif found["name"] is not None:
        name = found["name"]
        names = [number for number, full in enumerate(_FULL_MONTHS, 1) if name in {full, full[:3], full[:4]}]
        if not names:
            raise CellRefused(f"{_cut(text)}: {name!r} is no month")
        year, month, day = _year(found["named_year"]), names[0], int(found["named_day"])
    else:
        year, month, day = _year(found["year"]), int(found["month"]), int(found["day"])
        if month > 12 >= day:
            raise CellRefused(f"{_cut(text)}: there is no month {month}; the day comes first, as in 26/11/2026")
    try:
        return date(year, month, day)
    except ValueError:
        raise CellRefused(f"{_cut(text)}: there is no such day") from None


def _year(text: str) -> int:
    return int(text) if len(text) == 4 else 2000 + int(text)


def _time(found: re.Match[str], text: str) -> time:
    if found["hour"] is None:
        return time()
    hour, half = int(found["hour"]), found["half"]
    if half is not None:
        if not 1 <= hour <= 12:
            raise CellRefused(f"{_cut(text)}: there is no {hour} o'clock {half}")
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    if hour == 24:
        raise CellRefused(f"{_cut(text)}: write 00:00 of the next day instead of 24:00")
    try:
        return time(hour, int(found["minute"]), int(found["second"] or 0))
    except ValueError:
        raise CellRefused(f"{_cut(text)}: there is no such time of day") from None


def _cut(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "…")
