"""The page and the JSON that a soak leaves: figures, verdict, and curves of memory, files and the outbox."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.soak import growth as limits
from tests.soak.growth import MEGABYTE
from tests.soak.seats import KILLED, STOOD_STILL, STOPPED
from tests.soak.stage import Soaked

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _RIGHT = 860, 190, 52, 22, 128
_COLOURS = ("#0b5cad", "#b3540b", "#2f7d32", "#7b3fa0")
_GREY = "#9aa3ad"
_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;max-width:900px;margin:1.5em auto;color:#1d2329}"
    "h1{font-size:1.5em;margin:0}h2{font-size:1.05em;margin:1.1em 0 .3em}table{border-collapse:collapse}"
    "td,th{padding:.15em .7em .15em 0;text-align:left;vertical-align:top}td.n,th.n{text-align:right}"
    ".ok{color:#1b6e20}.bad{color:#a11212}.wide{display:flex;gap:2.5em}svg{display:block}"
)
_LIMITS = (
    f"<p>Limits: {limits.MOST_MEMORY_PER_HOUR:g} MB an hour and {limits.MOST_MEMORY_PER_THOUSAND:g} MB per 1,000 "
    f"exchanges, {limits.MOST_FILES_PER_HOUR:g} files and {limits.MOST_THREADS_PER_HOUR:g} threads an hour, "
    f"of what was measured for {limits.JUDGED_FROM_SECONDS:g} s or more.</p>"
)
Curve = tuple[str, Sequence[tuple[float, float]]]


def write(soaked: Soaked, folder: Path) -> tuple[Path, Path]:
    """Write both into a folder; returns the paths of the page and of the JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    page, data = folder / "soak-report.html", folder / "soak-report.json"
    page.write_text(as_page(soaked), encoding="utf-8")
    data.write_text(json.dumps(as_json(soaked), indent=2) + "\n", encoding="utf-8")
    return page, data


def as_json(soaked: Soaked) -> dict[str, Any]:
    """All figures; curves are left to the page."""
    stores = soaked.sampler.stores
    return {
        "engine": soaked.plan.engine,
        "seed": soaked.plan.seed,
        "seconds_of_traffic": soaked.plan.seconds,
        "seconds_in_all": round(soaked.seconds, 1),
        "clock": {
            "began": soaked.began.isoformat(),
            "ended": soaked.ended.isoformat(),
            "changes": [one.date().isoformat() for one in soaked.clock_changes],
        },
        "exchanges": soaked.exchanges,
        "posts": soaked.posts,
        "answers": {f"{variant} {code}": times for (variant, code), times in sorted(soaked.codes.items())},
        "statuses": {str(status): times for status, times in sorted(soaked.statuses.items())},
        "refused_as_they_had_to_be": dict(soaked.refused),
        "other_faces": dict(soaked.used),
        "faults": {f"{who} {deed}": times for (deed, who), times in sorted(soaked.faults.items())},
        "everything_on": dict(soaked.parts),
        "csps": dict(soaked.csps),
        "messages": _messages(soaked),
        "growth": [asdict(one) | {"judged": one.judged} for one in soaked.growths],
        "database_bytes": {"first": stores[0].size, "last": stores[-1].size} if stores else {},
        "most_waiting_to_be_sent": max((one.waiting for one in stores), default=0),
        "violations": list(soaked.violations),
        "wrong": list(soaked.wrong),
        "passed": not soaked.objections,
    }


def lines(soaked: Soaked) -> list[str]:
    """What is said on a terminal."""
    length = f"{soaked.plan.seconds:.0f} s on {soaked.plan.engine}, seed {soaked.plan.seed}"
    found = [
        f"{soaked.exchanges:,} exchanges in {length}: {_faults(soaked)}; {_nights(soaked)}",
        f"lost or doubled: {len(soaked.violations)}; else wrong: {len(soaked.wrong)}",
    ]
    found += [f"  {name}: {times:,}" for name, times in soaked.parts.items()]
    for one in soaked.growths:
        judged = "" if one.judged else " (too short to judge)"
        found.append(
            f"{one.process}: {one.memory_per_hour:+.1f} MB/h, {one.memory_per_thousand:+.3f} MB per 1,000 exchanges, "
            f"{one.files_per_hour:+.1f} files/h, over {one.seconds:.0f} s{judged}"
        )
    return [*found, *(f"wrong: {one}" for one in soaked.objections)]


def as_page(soaked: Soaked) -> str:
    """One page that needs nothing else."""
    objections = soaked.objections
    judged = any(one.judged for one in soaked.growths)
    growing = "no process grows" if judged else "too short to tell whether processes grow"
    verdict = (
        f'<p class="bad"><b>Not content:</b> {len(objections)} objections</p><ul>{_items(objections[:30])}</ul>'
        if objections
        else f'<p class="ok"><b>Content:</b> nothing lost, nothing doubled, no answer 5xx but 503; {growing}.</p>'
    )
    body = [
        f"<h1>Soak, {soaked.plan.seconds / 60:.1f} minutes on {soaked.plan.engine}</h1>",
        f"<p>{soaked.exchanges:,} exchanges; {_faults(soaked)}; {_nights(soaked)}. Seed {soaked.plan.seed}.</p>",
        verdict,
        "<h2>Growth, without the warm-up</h2>",
        _growth_table(soaked),
        _LIMITS,
        *_charts(soaked),
        '<div class="wide">',
        "<div>",
        _table("Everything on", soaked.parts),
        _table("Answers", {f"{variant} {code}": times for (variant, code), times in sorted(soaked.codes.items())}),
        "</div><div>",
        _table("Faults", {f"{who} {deed}": times for (deed, who), times in sorted(soaked.faults.items())}),
        _table("Refused, as they had to be", soaked.refused),
        _table("Other faces", soaked.used),
        _table("Messages sent", _messages(soaked)),
        "</div>",
        _table("Simulated CSPs", soaked.csps),
        "</div>",
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Soak</title>'
        f"<style>{_STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def _faults(soaked: Soaked) -> str:
    by_deed = dict.fromkeys((KILLED, STOPPED, STOOD_STILL), 0)
    for (deed, _), times in soaked.faults.items():
        by_deed[deed] += times
    return f"processes were {', '.join(f'{deed} {times} times' for deed, times in by_deed.items())}"


def _nights(soaked: Soaked) -> str:
    days = (soaked.ended - soaked.began).days
    changes = ", ".join(f"{one:%d %B %Y}" for one in soaked.clock_changes) or "none"
    return f"{days} days of its clock, changes of the clocks: {changes}"


def _messages(soaked: Soaked) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in soaked.evidence.outbox:
        name = f"{one.kind} {one.state}"
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def _growth_table(soaked: Soaked) -> str:
    head = "".join(
        f'<th class="n">{one}</th>'
        for one in ("measured", "MB first", "last", "peak", "MB/h", "MB/1,000", "files/h", "threads/h")
    )
    rows = ""
    for one in soaked.growths:
        figures = (
            f"{one.seconds:.0f} s",
            *(f"{mega:.1f}" for mega in (one.first, one.last, one.peak)),
            f"{one.memory_per_hour:+.1f}",
            f"{one.memory_per_thousand:+.3f}",
            f"{one.files_per_hour:+.1f}",
            f"{one.threads_per_hour:+.1f}",
        )
        mark = ' class="bad"' if one.objections() else ""
        cells = "".join(f'<td class="n">{one}</td>' for one in figures)
        rows += f"<tr{mark}><td>{html.escape(one.process)}{'' if one.judged else ', not judged'}</td>{cells}</tr>"
    return f"<table><tr><th>process</th>{head}</tr>{rows}</table>"


def _charts(soaked: Soaked) -> Iterable[str]:
    samples, stores = soaked.sampler.samples, soaked.sampler.stores
    lives = list(dict.fromkeys(one.process for one in samples))

    def curves(value: str, unit: int) -> list[Curve]:
        return [
            (life, [(one.seconds, getattr(one, value) / unit) for one in samples if one.process == life])
            for life in lives
        ]

    long = {one.process for one in soaked.growths if not one.process.startswith("second")}
    yield chart("Memory, MB", curves("memory", MEGABYTE), long)
    yield chart("Open files", curves("files", 1), long)
    yield chart(
        "Messages that wait to be sent", [("outbox", [(one.seconds, one.waiting) for one in stores])], {"outbox"}
    )
    yield chart("Database, MB", [("size", [(one.seconds, one.size / MEGABYTE) for one in stores])], {"size"})


def chart(title: str, curves: Sequence[Curve], named: set[str]) -> str:
    """Curves over seconds from 0 on; those that are named have a colour, the others are grey behind them."""
    points = [point for _, curve in curves for point in curve]
    widest, highest = max((x for x, _ in points), default=1) or 1, (max((y for _, y in points), default=1) or 1) * 1.05

    def place(x: float, y: float) -> str:
        across = _LEFT + x / widest * (_WIDTH - _LEFT - _RIGHT)
        return f"{across:.1f},{(_HEIGHT - _BOTTOM) * (1 - y / highest):.1f}"

    drawn, colours = [], iter(_COLOURS * len(curves))
    for name, curve in sorted(curves, key=lambda one: one[0] in named):
        colour = next(colours) if name in named else _GREY
        line = " ".join(place(x, y) for x, y in curve)
        drawn.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.3" points="{line}"/>')
        if name in named and curve:
            across, down = place(widest, curve[-1][1]).split(",")
            drawn.append(f'<text x="{float(across) + 6:.1f}" y="{down}" fill="{colour}">{html.escape(name)}</text>')
    steps = [highest * part / 4 for part in range(5)]
    grid = "".join(
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place(0, y).split(",")[1]}" y2="{place(0, y).split(",")[1]}" '
        f'stroke="#e3e7eb"/><text x="{_LEFT - 6}" y="{float(place(0, y).split(",")[1]) + 4:.1f}" '
        f'text-anchor="end" fill="#5a646e">{y:,.0f}</text>'
        for y in steps
    )
    seconds = "".join(
        f'<text x="{place(x, 0).split(",")[0]}" y="{_HEIGHT - 6}" text-anchor="middle" fill="#5a646e">{x:,.0f} s</text>'
        for x in (widest * part / 4 for part in range(5))
    )
    return (
        f"<h2>{html.escape(title)}</h2>"
        f'<svg viewBox="0 -6 {_WIDTH} {_HEIGHT + 6}" width="{_WIDTH}" role="img" aria-label="{html.escape(title)}" '
        f'font-size="11">{grid}{seconds}{"".join(drawn)}</svg>'
    )


def _table(title: str, rows: Mapping[str, int]) -> str:
    cells = "".join(
        f'<tr><td>{html.escape(name)}</td><td class="n">{times:,}</td></tr>' for name, times in rows.items()
    )
    return f"<div><h2>{title}</h2><table>{cells}</table></div>"


def _items(words: Iterable[str]) -> str:
    return "".join(f"<li>{html.escape(one)}</li>" for one in words)
