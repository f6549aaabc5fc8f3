"""The two pictures of a simulation, as SVG that is read without colour and told in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from xml.sax.saxutils import escape

from sr_engine.national.figures import Figures
from sr_engine.national.results import Result

_LEFT, _WIDTH, _TOP, _HEIGHT, _GAP = 120, 720, 60, 84, 42
_DAY = timedelta(days=1)
_DASHES = ("", "9 4", "2 3", "12 3 2 3", "5 5", "1 5", "14 6", "3 9")
_INKS = ("#1b4f72", "#7d3c00", "#145a32", "#6c2a7d", "#7b241c", "#0e6655", "#34495e", "#5d4037")


def nights_chart(figures: Figures) -> str:
    """Hubs upgraded night by night in each region, below the line of its capacity."""
    regions = [region for region in figures.capacity if figures.states.get(region)]
    later = [0, 0]
    days = _days_shown(figures)
    parts: list[str] = []
    told: list[str] = []
    for index, region in enumerate(regions):
        top = _TOP + index * (_HEIGHT + _GAP)
        base, capacity = top + _HEIGHT, figures.capacity[region]
        parts.append(_text(_LEFT - 12, top + _HEIGHT / 2, region, anchor="end", size=13))
        parts.append(_text(_LEFT - 12, top + 10, f"{capacity:,}", anchor="end", size=10))
        parts.append(_line(_LEFT, top, _LEFT + _WIDTH, top, '#000" stroke-dasharray="6 4'))
        parts.append(_line(_LEFT, base, _LEFT + _WIDTH, base, "#000"))
        bar = max(1.0, _WIDTH / days - 1)
        done = listed = shown = 0
        for night in figures.nights:
            if night.region != region:
                continue
            done, listed, shown = done + night.activated, listed + night.listed, shown + 1
            day = (night.period.start - figures.opened_at) / _DAY
            if day >= days:
                later[0], later[1] = later[0] + 1, later[1] + night.listed
                continue
            x = _LEFT + day / days * _WIDTH
            for hubs, ink in ((night.listed, "#aeb6bf"), (night.activated, "#1b4f72")):
                high = hubs / capacity * _HEIGHT
                parts.append(
                    f'<rect x="{x:.1f}" y="{base - high:.1f}" width="{bar:.1f}" height="{high:.1f}" fill="{ink}"/>'
                )
        full = sum(1 for night in figures.nights if night.region == region and night.listed == capacity)
        told.append(
            f"{region}: {listed:,} hubs listed and {done:,} upgraded in {shown} nights of {capacity:,} at most, "
            f"{full} of them full."
        )
    bottom = _TOP + len(regions) * (_HEIGHT + _GAP)
    parts += _dates(figures.opened_at, days, bottom - _GAP + 16)
    title = "Hubs upgraded by night and region, against capacity"
    legend = "dark: upgraded; light: listed and not upgraded that night; dashed line: the region's hubs per night"
    if later[0]:
        legend += f"; not shown: {later[1]:,} hubs in {later[0]} later nights"
    return _picture(title, legend, told, parts, bottom + 6)


def _days_shown(figures: Figures) -> int:
    """From the opening until all but one in two hundred of what was listed had been; a long tail hides the rest."""
    by_day: Counter[int] = Counter()
    for night in figures.nights:
        by_day[(night.period.start - figures.opened_at) // _DAY] += night.listed
    few, seen = by_day.total() // 200, 0
    for day in sorted(by_day, reverse=True):
        seen += by_day[day]
        if seen > few:
            return day + 2
    return 1


def comparison_chart(results: Sequence[Result]) -> str:
    """The share of all hubs upgraded by day, a line for each way."""
    days = max(1, *(one.days for one in results)) + 1
    height, top = 300, _TOP
    base = top + height
    parts: list[str] = []
    told: list[str] = []
    for percent in range(0, 101, 25):
        y = base - percent / 100 * height
        parts.append(_line(_LEFT, y, _LEFT + _WIDTH, y, "#ccc"))
        parts.append(_text(_LEFT - 8, y + 4, f"{percent} %", anchor="end", size=11))
    step = max(7, days // 12 // 7 * 7)
    parts += [
        _text(_LEFT + day / days * _WIDTH, base + 18, f"day {day}", anchor="middle", size=10)
        for day in range(0, days + 1, step)
    ]
    for index, one in enumerate(results):
        ink, dash = _INKS[index % len(_INKS)], _DASHES[index % len(_DASHES)]
        sums = list(accumulate(one.by_day.get(day, 0) for day in range(days)))
        points = " ".join(
            f"{_LEFT + day / days * _WIDTH:.1f},{base - hubs / max(one.hubs, 1) * height:.1f}"
            for day, hubs in enumerate(sums)
        )
        width = 3 if one.played else 1.5
        style = f'fill="none" stroke="{ink}" stroke-width="{width}" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{points}" {style}/>')
        y = base + 44 + 20 * index
        parts.append(f'<line x1="{_LEFT}" y1="{y - 4}" x2="{_LEFT + 44}" y2="{y - 4}" {style}/>')
        share = 100 * one.upgraded / max(one.hubs, 1)
        words = f"{_name(one)}: {share:.1f} % upgraded, the last on day {one.days}"
        parts.append(_text(_LEFT + 54, y, words, size=12))
        told.append(f"{words}.")
    title = "Share of all hubs upgraded, by days from the opening"
    legend = "thick: played by the processor; thin: a model; lines that lie upon one another are told apart below"
    return _picture(title, legend, told, parts, base + 54 + 20 * len(results))


def _name(one: Result) -> str:
    return f"{one.name} ({'played' if one.played else 'model'})"


def _dates(opened_at: datetime, days: int, y: float) -> list[str]:
    step = max(7, days // 8 // 7 * 7)
    return [
        _text(_LEFT + day / days * _WIDTH, y, f"{opened_at + day * _DAY:%d %b}", anchor="middle", size=10)
        for day in range(0, days + 1, step)
    ]


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, ink: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{ink}"/>'


def _picture(title: str, legend: str, told: Sequence[str], parts: Sequence[str], bottom: float) -> str:
    width = _LEFT + _WIDTH + 30
    opening = (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" lang="en" font-family="sans-serif" '
        f'viewBox="0 0 {width} {bottom:.0f}" width="{width}" height="{bottom:.0f}">'
    )
    return "\n".join(
        (
            opening,
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(' '.join(told) or 'There is nothing to show.')}</desc>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="20" y="26" font-size="17" font-weight="bold">{escape(title)}</text>',
            _text(20, 44, legend, size=11),
            *parts,
            "</svg>\n",
        )
    )


def rows_by_night(figures: Figures) -> list[tuple[object, ...]]:
    """Region, night, hubs listed, hubs upgraded, capacity; for a file."""
    return [
        (
            night.region,
            f"{night.period.start:%Y-%m-%dT%H:%MZ}",
            f"{night.period.end:%Y-%m-%dT%H:%MZ}",
            night.listed,
            night.activated,
            figures.capacity[night.region],
        )
        for night in figures.nights
    ]


def totals(states: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Hubs by state over all regions."""
    found: dict[str, int] = {}
    for of_region in states.values():
        for state, hubs in of_region.items():
            found[state] = found.get(state, 0) + hubs
    return found
