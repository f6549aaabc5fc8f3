"""Dates and times between the wire (XML Schema) and the processor (aware, in UTC)."""

from __future__ import annotations

from datetime import UTC, date, datetime

_WHITE_SPACE = " \t\r\n"


def utc_from_xsd(text: str) -> datetime:
    """Return an xs:dateTime in UTC; one without a zone is in UTC already (FACTS Trap 19).

    Digits beyond microseconds are dropped. Raises ValueError for what is no xs:dateTime, and for the few that a
    datetime cannot hold: years outside 1 to 9999 and 24:00:00. Neither can stand where `xsd/` asks for a zone.
    """
    moment = datetime.fromisoformat(text.strip(_WHITE_SPACE))
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"a time outside the years 1 to 9999 in UTC: {text!r}") from None


def xsd_from_utc(moment: datetime) -> str:
    """Return an aware time as xs:dateTime in UTC, such as 2026-11-22T10:15:00Z; a fraction stands only if there is one.

    Raises ValueError for a time without a zone.
    """
    return _in_utc(moment).isoformat()[:-6] + "Z"


def milliseconds_from_utc(moment: datetime) -> str:
    """Return an aware time as DUIS's ResponseDateTime, with three decimals: 2026-11-22T10:15:05.123Z.

    Raises ValueError for a time without a zone.
    """
    return _in_utc(moment).isoformat(timespec="milliseconds")[:-6] + "Z"


def date_from_xsd(text: str) -> date:
    """Return the day of an xs:date, whose zone, if any, says nothing of use (FACTS DM15)."""
    return date.fromisoformat(text.strip(_WHITE_SPACE)[:10])


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError(f"a time needs a zone before it can be sent: {moment.isoformat()}")
    return moment.astimezone(UTC)
