"""The kinds of single values that configuration files hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sr_engine.configuration.reader import Scalar
from sr_engine.messages.identifiers import canonical_eui

E = TypeVar("E", bound=StrEnum)

_ANYTHING = 2**63 - 1
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def text() -> Scalar[str]:
    """Words for people, not empty."""
    return _matching("text that is not empty", re.compile(r".*\S.*", re.DOTALL))


def pattern(wants: str, expression: str) -> Scalar[str]:
    """Text of a given form."""
    return _matching(wants, re.compile(expression))


def known(wants: str, words: Collection[str]) -> Scalar[str]:
    """One of a set of words that is described rather than listed."""

    def convert(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError
        return value

    return Scalar(wants, convert)


def choice(words: Collection[str]) -> Scalar[str]:
    """One of a few words."""
    return known(f"one of {', '.join(words)}", words)


def member(kind: type[E]) -> Scalar[E]:
    """One of the values of an enumeration."""

    def convert(value: object) -> E:
        if not isinstance(value, str):
            raise TypeError
        return kind(value)

    return Scalar(f"one of {', '.join(kind)}", convert)


def boolean() -> Scalar[bool]:
    """True or false."""

    def convert(value: object) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    return Scalar("true or false", convert)


def whole_number(minimum: int, maximum: int = _ANYTHING) -> Scalar[int]:
    """A whole number between two others, both included."""
    return Scalar(_range("a whole number", minimum, maximum), _whole(minimum, maximum))


def minutes(minimum: int, maximum: int) -> Scalar[timedelta]:
    """A duration in whole minutes."""
    return _duration("minutes", timedelta(minutes=1), minimum, maximum)


def hours(minimum: int, maximum: int) -> Scalar[timedelta]:
    """A duration in whole hours."""
    return _duration("hours", timedelta(hours=1), minimum, maximum)


def days(minimum: int, maximum: int) -> Scalar[timedelta]:
    """A duration in whole days."""
    return _duration("days", timedelta(days=1), minimum, maximum)


def seconds(minimum: int, maximum: int) -> Scalar[timedelta]:
    """A duration in whole seconds."""
    return _duration("seconds", timedelta(seconds=1), minimum, maximum)


def milliseconds(minimum: int, maximum: int) -> Scalar[timedelta]:
    """A duration in whole milliseconds."""
    return _duration("milliseconds", timedelta(milliseconds=1), minimum, maximum)


def seconds_below(limit: int) -> Scalar[timedelta]:
    """A duration in seconds, whole or not, shorter than so many."""

    def convert(value: object) -> timedelta:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise TypeError
        if not Decimal(value).is_finite() or not Decimal("0.01") <= value < limit:
            raise ValueError
        return timedelta(seconds=float(value))

    return Scalar(f"a number of seconds from 0.01 and below {limit}", convert)


def base_url(followed_by: str) -> Scalar[str]:
    """An http or https address to which a path is added, such as `followed_by`; without a slash at the end."""
    address = url()

    def convert(value: object) -> str:
        base = address.convert(value)
        if urlsplit(base).query or "@" in urlsplit(base).netloc:
            raise ValueError
        return base.rstrip("/")

    return Scalar(f"an http or https address to which {followed_by} is added", convert)


def rate() -> Scalar[float]:
    """How many times as fast as real time."""

    def convert(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise TypeError
        if not Decimal(value).is_finite() or not 0 < value <= 100_000:
            raise ValueError
        return float(value)

    return Scalar("a number above 0 and at most 100000", convert)


def schema_version() -> Scalar[Decimal]:
    """A DUIS schemaVersion; compared as a number (FACTS RQ29)."""

    def convert(value: object) -> Decimal:
        if not isinstance(value, Decimal) or not value.is_finite() or not 1 <= value < 100:
            raise ValueError
        return value

    return Scalar("a schemaVersion such as 5.4", convert)


def eui() -> Scalar[str]:
    """An EUI-64, in canonical form."""

    def convert(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError
        return canonical_eui(value)

    return Scalar("an EUI-64 (eight hexadecimal octets joined by hyphens)", convert)


def url() -> Scalar[str]:
    """The http or https address of a party; without a password, for addresses are shown and logged."""

    def convert(value: object) -> str:
        if not isinstance(value, str) or re.search(r"\s", value):
            raise ValueError
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or parts.fragment:
            raise ValueError
        if parts.username is not None:
            raise ValueError
        return value

    return Scalar("an http or https address, no user in it", convert)


def local_time() -> Scalar[time]:
    """A time of day without a zone."""

    def convert(value: object) -> time:
        if not isinstance(value, time):
            raise TypeError
        return value

    return Scalar("a time of day such as 22:00:00, without quotes", convert)


def day() -> Scalar[date]:
    """A calendar day."""

    def convert(value: object) -> date:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise TypeError
        return value

    return Scalar("a date such as 2026-12-25, without quotes", convert)


def moment() -> Scalar[datetime]:
    """A moment, in UTC."""

    def convert(value: object) -> datetime:
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise ValueError
        try:
            return value.astimezone(UTC)
        except OverflowError as error:  # the first or last hours that a datetime can hold
            raise ValueError from error

    return Scalar("a moment with its offset such as 2026-03-01T06:00:00Z, without quotes", convert)


def weekday() -> Scalar[int]:
    """A day of the week as `date.weekday` counts: Monday is 0."""

    def convert(value: object) -> int:
        if not isinstance(value, str):
            raise TypeError
        return WEEKDAYS.index(value)

    return Scalar(f"one of {', '.join(WEEKDAYS)}", convert)


def time_zone() -> Scalar[ZoneInfo]:
    """A time zone of the tz database."""

    def convert(value: object) -> ZoneInfo:
        if not isinstance(value, str):
            raise TypeError
        try:
            return ZoneInfo(value)
        except (OSError, LookupError) as error:  # a folder or a missing file of the tz database
            raise ValueError from error

    return Scalar("the name of a time zone such as Europe/London", convert)


def path_from(folder: Path) -> Scalar[Path]:
    """A file or folder, relative to the folder of the file that names it."""

    def convert(value: object) -> Path:
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise ValueError
        return (folder / value).resolve()

    return Scalar("a path, relative to the folder of this file", convert)


def _matching(wants: str, expression: re.Pattern[str]) -> Scalar[str]:
    def convert(value: object) -> str:
        if not isinstance(value, str) or expression.fullmatch(value) is None:
            raise ValueError
        return value

    return Scalar(wants, convert)


def token_sha256() -> Scalar[str]:
    """The SHA-256 of a token that is written down nowhere."""
    return pattern("a SHA-256 of 64 lower-case hexadecimal digits in quotes", "[0-9a-f]{64}")


def _range(kind: str, minimum: int, maximum: int) -> str:
    if maximum == _ANYTHING:
        return f"{kind} of at least {minimum}"
    return f"{kind} from {minimum} to {maximum}"


def _whole(minimum: int, maximum: int) -> Callable[[object], int]:
    def convert(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            raise ValueError
        return value

    return convert


def _duration(unit: str, length: timedelta, minimum: int, maximum: int) -> Scalar[timedelta]:
    convert = _whole(minimum, maximum)
    return Scalar(_range(f"a whole number of {unit}", minimum, maximum), lambda value: convert(value) * length)
