"""Templates: everything in them is escaped unless it was made by us as markup."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from sr_engine.console.assets import Assets
from sr_engine.console.pages import url
from sr_engine.console.tables import Badge, Link, Mono, Span


@cache
def templates(zone: ZoneInfo, assets: Assets) -> Environment:
    """The templates of the console, with what they use to show times, numbers and addresses.

    The same for all consoles of a process that show the same: a template takes longer to compile than to be filled in.
    """
    environment = Environment(
        loader=PackageLoader("sr_engine.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )

    def moment(value: datetime | None) -> Markup:
        return Markup("\N{EN DASH}") if value is None else shown_moment(value, zone)

    environment.filters.update(
        {"moment": moment, "day": shown_day, "number": shown_number, "cell": lambda one: shown_cell(one, zone)}
    )
    environment.globals.update({"url": url, "asset": assets.url, "zone": zone.key})
    return environment


def shown_moment(value: datetime, zone: ZoneInfo) -> Markup:
    """A time as the clock on the wall shows it there, with its zone, and in UTC for programs."""
    local = value.astimezone(zone)
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        f"{utc:%Y-%m-%dT%H:%M:%SZ}", f"{local.day} {local:%b %Y, %H:%M} {local.tzname()}"
    )


def shown_period(start: datetime, end: datetime, zone: ZoneInfo) -> Markup:
    """A night as the day on which it begins with its hours, a longer time as its two days."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if end - start < timedelta(days=1):
        text = f"{first:%a} {first.day} {first:%b %Y}, {first:%H:%M} to {last:%H:%M}"
    else:
        text = f"{first.day} {first:%b} to {last.day} {last:%b %Y}"
    return Markup('<time datetime="{}">{}</time>').format(f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", text)


def local_text(value: datetime, zone: ZoneInfo) -> str:
    """A time for a field of a form."""
    return f"{value.astimezone(zone):%Y-%m-%dT%H:%M}"


_FIRST_YEAR, _LAST_YEAR = 1970, 9998


class TimeRefused(Exception):
    """What was typed is no time that can be told, and why."""


def typed_moment(text: str, zone: ZoneInfo) -> datetime:
    """The time that was typed into a field of a form, in UTC.

    Raises TimeRefused for what is none, and for times that a change of the clocks skips or repeats.
    """
    try:
        naive = datetime.fromisoformat(text)
    except ValueError:
        raise TimeRefused(f"“{text}” is not a date and time; type it as 2026-12-01T22:00") from None
    if not _FIRST_YEAR <= naive.year <= _LAST_YEAR:
        raise TimeRefused(f"the year {naive.year} cannot be meant")
    if naive.tzinfo is not None:
        return naive.astimezone(UTC)
    first, second = (naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return first.astimezone(UTC)
    if first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise TimeRefused(f"there is no {naive:%H:%M} on {naive:%d %B %Y}: the clocks go forward then")
    raise TimeRefused(
        f"{naive:%H:%M} on {naive:%d %B %Y} comes twice, for the clocks go back then: "
        f"{first.astimezone(UTC):%H:%M} and {second.astimezone(UTC):%H:%M} UTC; choose another time"
    )


def shown_day(value: date) -> str:
    """A day, such as Tue 1 Dec 2026."""
    return f"{value:%a} {value.day} {value:%b %Y}"


def shown_number(value: float) -> str:
    """A number with commas."""
    return f"{value:,}"


def shown_span(length: timedelta) -> str:
    """A length of time in its two largest units."""
    seconds = max(0, int(length.total_seconds()))
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[tuple[int, str]] = []
    for name, size in units:
        amount, seconds = divmod(seconds, size)
        if amount or (parts and len(parts) < 2):
            parts.append((amount, name))
    return " ".join(f"{amount} {name}" for amount, name in parts[:2] if amount) or "0 s"


def shown_cell(cell: object, zone: ZoneInfo) -> Markup:
    """What stands in the cell of a table."""
    match cell:
        case None | "":
            return Markup(
                '<span class="none" aria-hidden="true">\N{EN DASH}</span><span class="visually-hidden">none</span>'
            )
        case Link(text, href, mono):
            return Markup('<a href="{}"{}>{}</a>').format(href, Markup(' class="mono"') if mono else "", text)
        case Badge(text, tone):
            return Markup('<span class="badge badge-{}">{}</span>').format(tone, text)
        case Mono(text):
            return Markup('<code class="mono">{}</code>').format(text)
        case Span(start, end):
            return shown_period(start, end, zone)
        case datetime():
            return shown_moment(cell, zone)
        case date():
            return escape(shown_day(cell))
        case bool():
            return escape("yes" if cell else "no")
        case int():
            return escape(shown_number(cell))
        case _:
            return escape(str(cell))
