"""Charts as SVG elements made here: told in full by their title and description, coloured by classes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from markupsafe import Markup

_ROW, _BAR, _LABEL, _WIDTH, _VALUE = 26, 16, 150, 240, 90
TONES = ("ok", "busy", "warn", "bad", "plain")


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it is called, how long it is, and its tone (`TONES`)."""

    name: str
    value: int
    tone: str = "plain"
    limit: int | None = None
    """What the value is a part of: drawn as a frame behind the bar."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a stacked bar."""

    name: str
    value: int
    tone: str


@dataclass(frozen=True, slots=True)
class Stack:
    """One bar made of parts, in their order."""

    name: str
    parts: Sequence[Part]

    @property
    def total(self) -> int:
        return sum(part.value for part in self.parts)


def bars(title: str, rows: Sequence[Bar], *, key: str, unit: str = "hubs") -> Markup:
    """Horizontal bars; `key` tells this chart's elements from those of others on a page."""
    longest = max((max(row.value, row.limit or 0) for row in rows), default=0) or 1
    drawn = []
    for number, row in enumerate(rows):
        y = number * _ROW
        if row.limit is not None:
            drawn.append(_rect("chart-frame", _LABEL, y, row.limit * _WIDTH / longest))
        drawn.append(_rect(f"chart-{row.tone}", _LABEL, y, row.value * _WIDTH / longest))
        shown = f"{row.value:,}" if row.limit is None else f"{row.value:,} / {row.limit:,}"
        right = max(row.value, row.limit or 0) * _WIDTH / longest
        drawn.append(_words("chart-value", _LABEL + right + 6, y, shown))
        drawn.append(_words("chart-name", _LABEL - 8, y, row.name, anchor="end"))
    told = "; ".join(f"{row.name}: {row.value:,}" + ("" if row.limit is None else f" of {row.limit:,}") for row in rows)
    return _svg(title, f"{told} {unit}." if told else "There is nothing to show.", drawn, len(rows), key)


def stacks(title: str, rows: Sequence[Stack], *, key: str, unit: str = "hubs") -> Markup:
    """Horizontal bars made of parts, all of the scale of the longest."""
    longest = max((row.total for row in rows), default=0) or 1
    drawn = []
    for number, row in enumerate(rows):
        x = float(_LABEL)
        for part in row.parts:
            if part.value:
                width = part.value * _WIDTH / longest
                drawn.append(_rect(f"chart-{part.tone}", x, number * _ROW, width, told=f"{part.name}: {part.value:,}"))
                x += width
        drawn.append(_words("chart-value", x + 6, number * _ROW, f"{row.total:,}"))
        drawn.append(_words("chart-name", _LABEL - 8, number * _ROW, row.name, anchor="end"))
    told = ". ".join(
        f"{row.name}: {', '.join(f'{part.name} {part.value:,}' for part in row.parts if part.value) or 'none'}"
        for row in rows
    )
    return _svg(title, f"{told}, in {unit}." if told else "There is nothing to show.", drawn, len(rows), key)


def _svg(title: str, told: str, drawn: Sequence[str], rows: int, key: str) -> Markup:
    name = f"chart-{key}"
    height = max(rows, 1) * _ROW
    return Markup(  # noqa: S704 - every text in it is escaped above
        f'<svg class="chart" role="img" aria-labelledby={quoteattr(f"{name}-title {name}-desc")} '
        f'viewBox="0 0 {_LABEL + _WIDTH + _VALUE} {height}" preserveAspectRatio="xMinYMin meet" focusable="false">'
        f"<title id={quoteattr(f'{name}-title')}>{escape(title)}</title>"
        f"<desc id={quoteattr(f'{name}-desc')}>{escape(told)}</desc>{''.join(drawn)}</svg>"
    )


def _rect(kind: str, x: float, y: int, width: float, *, told: str | None = None) -> str:
    inside = "" if told is None else f"<title>{escape(told)}</title>"
    top = y + (_ROW - _BAR) / 2
    # What is there is to be seen, however little it is beside the rest.
    seen = max(width, 1.5) if width > 0 else 0
    return f'<rect class="{kind}" x="{x:.1f}" y="{top:g}" width="{seen:.1f}" height="{_BAR}">{inside}</rect>'


def _words(kind: str, x: float, y: int, text: str, *, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y + _ROW / 2 + 4:g}" text-anchor="{anchor}">{escape(text)}</text>'
