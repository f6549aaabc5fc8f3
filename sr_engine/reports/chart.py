"""A chart of shares as SVG, to be read without colour: every bar has its own pattern and says its value in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from xml.sax.saxutils import escape

from sr_engine.reports.sla import percent

_LEFT, _BAR, _GAP, _WIDTH, _TOP = 130, 18, 14, 420, 74
_PATTERNS = (
    '<rect width="8" height="8" fill="#1b4f72"/>',
    '<rect width="8" height="8" fill="#fff"/><path d="M-2 10 10 -2M2 14 14 2M-6 6 6 -6" stroke="#7d3c00"/>',
    '<rect width="8" height="8" fill="#fff"/><circle cx="4" cy="4" r="2" fill="#145a32"/>',
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A share of something; None: there was nothing to judge."""

    share: Fraction | None
    words: str
    """What the share is made of, such as `9 of 10 lists`."""


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of one region, one for each series."""

    name: str
    bars: Sequence[Bar]


def chart(title: str, series: Sequence[str], groups: Iterable[Group]) -> str:
    """Bars from 0 to 100 %, grouped by name; of at most three series, the names of which are the legend.

    Title and description say all that the picture does. Raises ValueError for more series than there are patterns.
    """
    if len(series) > len(_PATTERNS):
        raise ValueError(f"a chart tells {len(_PATTERNS)} series apart, not {len(series)}")
    parts: list[str] = []
    told: list[str] = []
    y = _TOP + 24 * len(series)
    top = y
    for group in groups:
        height = len(group.bars) * _BAR
        parts.append(f'<text x="{_LEFT - 10}" y="{y + height / 2 + 4:g}" text-anchor="end">{escape(group.name)}</text>')
        for index, bar in enumerate(group.bars):
            parts += _bar(index, bar, y + index * _BAR)
            told.append(f"{group.name}, {series[index]}: {_value(bar)}.")
        y += height + _GAP
    axis = [line for tenth in (0, 25, 50, 75, 100) for line in _grid(tenth, top, y - _GAP)]
    legend = [
        f'<rect x="20" y="{_TOP - 12 + 24 * index}" width="30" height="14" fill="url(#p{index})" stroke="#000"/>'
        f'<text x="58" y="{_TOP + 24 * index}">{escape(name)}</text>'
        for index, name in enumerate(series)
    ]
    patterns = [
        f'<pattern id="p{index}" width="8" height="8" patternUnits="userSpaceOnUse">{_PATTERNS[index]}</pattern>'
        for index in range(len(series))
    ]
    width, bottom = _LEFT + _WIDTH + 260, y + 26
    opening = (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title description" lang="en" '
        f'viewBox="0 0 {width} {bottom}" width="{width}" height="{bottom}" '
        'font-family="sans-serif" font-size="13">'
    )
    return "\n".join(
        (
            opening,
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="description">{escape(" ".join(told) or "There is nothing to show.")}</desc>',
            f"<defs>{''.join(patterns)}</defs>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="20" y="32" font-size="18" font-weight="bold">{escape(title)}</text>',
            *legend,
            *axis,
            *parts,
            "</svg>\n",
        )
    )


def _bar(index: int, bar: Bar, y: float) -> Iterable[str]:
    length = 0.0 if bar.share is None else float(bar.share) * _WIDTH
    if length:
        yield (
            f'<rect x="{_LEFT}" y="{y:g}" width="{length:.1f}" height="{_BAR - 3}" fill="url(#p{index})" '
            'stroke="#000" stroke-width="1"/>'
        )
    yield f'<text x="{_LEFT + length + 6:.1f}" y="{y + 12:g}" font-size="12">{escape(_value(bar))}</text>'


def _value(bar: Bar) -> str:
    share = percent(bar.share)
    return bar.words if share is None else f"{share} %, {bar.words}"


def _grid(at: int, top: float, bottom: float) -> Iterable[str]:
    x = _LEFT + _WIDTH * at / 100
    yield f'<line x1="{x:g}" y1="{top - 4:g}" x2="{x:g}" y2="{bottom + 4:g}" stroke="#bbb" stroke-width="1"/>'
    yield f'<text x="{x:g}" y="{bottom + 20:g}" text-anchor="middle" font-size="11">{at} %</text>'
