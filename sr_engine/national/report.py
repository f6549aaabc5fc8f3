"""The report of a simulation: one HTML page that needs nothing else, and the figures as SVG, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sr_engine.configuration import Region
from sr_engine.national.charts import comparison_chart, nights_chart, rows_by_night, totals
from sr_engine.national.comparison import Result
from sr_engine.national.figures import Figures
from sr_engine.national.parameters import Parameters

_STATES = ("Activated", "Failed", "Missed", "Cancelled", "Voided", "AwaitingApproval", "Scheduled", "no attempt")
_COMPARED = (
    *("way", "played", "hubs", "upgraded", "upgraded_percent", "days_to_half", "days_to_90_percent", "days"),
    *("messages", "items", "misses", "failures", "median_wait_days", "percentile_90_wait_days"),
    *("cost_pounds", "pounds_per_hub"),
)
_WHAT_IT_IS = (
    "A synthetic country drawn from seed {seed}. What is marked <em>played</em> was done by the processor itself on a "
    "virtual clock: signed requests of Suppliers, its store and planner, signed lists, and signed reports of simulated "
    "CSPs. What is marked <em>model</em> is arithmetic over the same country, in which nobody moves. Every value that "
    "this rests on is printed at the end; nothing of it was measured."
)
_HOW_IT_COUNTS = (
    "Days are counted from the opening of the release, waits from the start of the window that a Supplier wanted first "
    "until the hub was active. An item is a request, a selection in a portal or a spreadsheet. A miss is a window that "
    "ended without an upgrade, or a place of a night that was lost."
)
_STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}"
    "table{border-collapse:collapse;margin:1rem 0;font-size:13px}th,td{border:1px solid #999;padding:.25rem .5rem}"
    "td{text-align:right}td:first-child,th{text-align:left}caption{text-align:left;font-weight:bold;padding:.3rem 0}"
    "pre{background:#f4f4f4;padding:1rem;overflow:auto;font-size:12px}svg{max-width:100%;height:auto}"
)


@dataclass(frozen=True, slots=True)
class Simulation:
    """All that a report tells of."""

    hubs: int
    seed: int
    parameters: Parameters
    regions: Mapping[str, Region]
    played: Sequence[Figures]
    compared: Sequence[Result]
    """Played and modelled, in the order in which they are shown."""
    prepared_seconds: float = 0.0
    """Of wall time, for bringing the country in once for all that were played."""


def write(simulation: Simulation, directory: Path) -> Path:
    """Write the report into a folder; returns the page."""
    directory.mkdir(parents=True, exist_ok=True)
    chart = comparison_chart(simulation.compared)
    _write(directory / "comparison.svg", chart)
    _write(directory / "comparison.csv", _csv(_COMPARED, map(_compared, simulation.compared)))
    charts = {}
    for figures in simulation.played:
        name = figures.regime.lower()
        charts[figures.regime] = nights_chart(figures)
        _write(directory / f"nights-{name}.svg", charts[figures.regime])
        columns = ("region", "night_starts", "night_ends", "listed", "upgraded", "capacity")
        _write(directory / f"nights-{name}.csv", _csv(columns, rows_by_night(figures)))
        _write(directory / f"suppliers-{name}.csv", _csv(_SUPPLIERS, _suppliers(figures)))
    _write(directory / "figures.json", json.dumps(as_json(simulation), indent=2) + "\n")
    _write(directory / "parameters.toml", simulation.parameters.text)
    page = directory / "report.html"
    _write(page, _page(simulation, chart, charts))
    return page


def as_json(simulation: Simulation) -> dict[str, object]:
    """Every figure; what depends on the machine stands under `machine` alone."""
    return {
        "hubs": simulation.hubs,
        "seed": simulation.seed,
        "compared": [dict(zip(_COMPARED, _compared(one), strict=True)) for one in simulation.compared],
        "played": {figures.regime: _played(figures) for figures in simulation.played},
        "machine": {
            figures.regime: {
                "seconds": round(figures.seconds, 1),
                "messages_per_second": round(figures.messages_per_second, 1),
                "seconds_of": {name: round(seconds, 1) for name, seconds in sorted(figures.seconds_of.items())},
            }
            for figures in simulation.played
        },
    }


def _played(figures: Figures) -> dict[str, object]:
    return {
        "opened_at": figures.opened_at.isoformat(),
        "ended_at": figures.ended_at.isoformat(),
        "states": {region: dict(sorted(states.items())) for region, states in figures.states.items()},
        "attempts": dict(figures.attempts),
        "suppliers": [dict(zip(_SUPPLIERS, row, strict=True)) for row in _suppliers(figures)],
        "messages_taken": {f"{interface} {what}": count for (interface, what), count in figures.taken.items()},
        "messages_sent": {f"{kind} {event}": count for (kind, event), count in figures.sent.items()},
        "answers": dict(sorted(figures.answers.items())),
        "service_level_breaches": {f"{region} {what}": count for (region, what), count in figures.breaches.items()},
        "halts": figures.halts,
        "signatures_of_alerts_verified": figures.signatures_verified,
        "upgraded_by_day": dict(sorted(figures.result.by_day.items())),
        "problems": figures.problems(),
    }


_SUPPLIERS = (
    "supplier",
    "hubs",
    "upgraded",
    "upgraded_percent",
    "median_wait_days",
    "percentile_90_wait_days",
    "wait_of_all",
)


def _suppliers(figures: Figures) -> list[tuple[object, ...]]:
    return [
        (
            one.name,
            one.hubs,
            one.upgraded,
            round(one.share, 1),
            round(one.median_days, 1),
            round(one.percentile_90_days, 1),
            round(one.proportion, 2),
        )
        for one in figures.suppliers
    ]


def _compared(one: Result) -> tuple[object, ...]:
    return (
        one.name,
        "played" if one.played else "model",
        one.hubs,
        one.upgraded,
        round(100 * one.upgraded / one.hubs, 1),
        one.day_of(50),
        one.day_of(90),
        one.days,
        one.messages,
        one.items,
        one.misses,
        one.failures,
        round(one.wait_days(50), 1),
        round(one.wait_days(90), 1),
        round(one.cost),
        round(one.cost_per_hub, 3),
    )


def _page(simulation: Simulation, chart: str, charts: Mapping[str, str]) -> str:
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>A release for {simulation.hubs:,} hubs</title><style>{_STYLE}</style></head><body>",
        f"<h1>A release for {simulation.hubs:,} hubs</h1>",
        f"<p>{_WHAT_IT_IS.format(seed=simulation.seed)}</p>",
        "<h2>Side by side</h2>",
        chart,
        _table(_HEADINGS, map(_compared, simulation.compared)),
        f"<p>{_HOW_IT_COUNTS}</p>",
    ]
    for figures in simulation.played:
        parts += _of_played(figures, charts[figures.regime])
    parts += [
        "<h2>Capacities</h2>",
        _table(
            ("Region", "CSP", "Hubs a night", "Hours", "Lead time, hours", "Hubs in a list"),
            (
                (
                    region.name,
                    region.csp_name,
                    region.hubs_per_night,
                    f"{region.open_from:%H:%M} to {region.open_until:%H:%M}",
                    round(region.lead_time.total_seconds() / 3600),
                    region.list_size,
                )
                for region in simulation.regions.values()
            ),
        ),
        "<h2>Assumptions</h2>",
        f"<pre>{escape(simulation.parameters.text)}</pre>",
        "</body></html>\n",
    ]
    return "\n".join(parts)


_HEADINGS = (
    *("Way", "", "Hubs", "Upgraded", "%", "Days to half", "to 90 %", "to the last"),
    *("Messages", "Items", "Misses", "Failures", "Median wait, days", "90 % within"),
    *("Cost, £", "£ per upgraded hub"),
)


def _of_played(figures: Figures, chart: str) -> list[str]:
    states = totals(figures.states)
    shown = [state for state in _STATES if states.get(state)] + sorted(
        state for state, hubs in states.items() if hubs and state not in _STATES
    )
    problems = figures.problems()
    checked = "Every hub is in exactly one state, no night above its capacity, no message lost, and all sums agree."
    wrong = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    said = (
        f"From {figures.opened_at:%d %B %Y} to {figures.ended_at:%d %B %Y}; {figures.messages:,} messages in "
        f"{figures.seconds:,.0f} s of wall time, {figures.messages_per_second:,.0f} a second; {figures.alerts:,} "
        f"alerts to Suppliers, {figures.signatures_verified:,} of them verified; "
        f"{figures.halts} halt(s). {'Not as it should be:' if problems else checked}"
    )
    return [
        f"<h2>{escape(figures.result.name)}, played</h2>",
        f"<p>{said}</p>",
        f"<ul>{wrong}</ul>" if problems else "",
        chart,
        _table(
            ("Region", "Hubs", *shown),
            [
                (region, sum(of_region.values()), *(of_region.get(state, 0) for state in shown))
                for region, of_region in figures.states.items()
            ]
            + [("all", sum(states.values()), *(states[state] for state in shown))],
            caption="What became of each hub",
        ),
        _table(
            ("Supplier", "Hubs planned", "Upgraded", "%", "Median wait, days", "90 % within", "All Suppliers = 1"),
            _suppliers(figures),
            caption="Suppliers",
        ),
        _table(("Attempts that ended as", "Number"), figures.attempts.items(), caption="Attempts"),
        _table(
            ("Message", "Number"),
            [(f"{interface} {what}, taken", number) for (interface, what), number in figures.taken.items()]
            + [(f"{kind} {event}, sent", number) for (kind, event), number in figures.sent.items()],
            caption="Messages",
        ),
        _table(("Answer", "Number"), sorted(figures.answers.items()), caption="Answers to Service Requests"),
        _table(
            ("Service level", "Breaches"),
            [(f"{region}, {measure}", number) for (region, measure), number in figures.breaches.items()],
            caption="Breaches of service levels",
        ),
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    body = "".join(f"<tr>{''.join(f'<td>{_shown(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    if not body:
        return f"<p>{escape(caption)}: none.</p>"
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _shown(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int | float) else escape(str(cell))


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
