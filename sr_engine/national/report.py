"""The report of a simulation: one HTML page that needs nothing else, and the figures as SVG, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from sr_engine.national.charts import comparison_chart, nights_chart, rows_by_night
from sr_engine.national.comparison import Regime
from sr_engine.national.figures import Figures
from sr_engine.national.outcome import Simulation, ways
from sr_engine.national.page import compared, page_of, suppliers_of
from sr_engine.national.results import Result

_COMPARED = (
    *("way", "played", "hubs", "upgraded", "upgraded_percent", "days_to_half", "days_to_90_percent", "days"),
    *("messages", "items", "misses", "failures", "median_wait_days", "percentile_90_wait_days"),
    *("set_up_pounds", "message_pounds", "work_pounds", "cost_pounds", "pounds_per_hub"),
)


_PAGE, _FIGURES, _PARAMETERS = "report.html", "figures.json", "parameters.toml"
_OF_ANY = (_PAGE, _FIGURES, _PARAMETERS, "comparison.svg", "comparison.csv")
_OF_REGIME = ("nights-{}.svg", "nights-{}.csv", "suppliers-{}.csv")
_NAMES = (*_OF_ANY, *(name.format(regime.lower()) for name in _OF_REGIME for regime in Regime))
_SAID = frozenset({"hubs", "seed", "compared", "played"})
"""What the figures of every report begin with."""


def written_before(directory: Path) -> list[Path]:
    """What there is in a folder under the name of a file of a report, by name."""
    return sorted(path for name in _NAMES if (path := directory / name).exists())


def holds_report(directory: Path) -> bool:
    """Whether what is there under the names of a report's files is a report, by its figures."""
    try:
        figures = json.loads((directory / _FIGURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(figures, dict) and figures.keys() >= _SAID


def write(simulation: Simulation, directory: Path) -> Path:
    """Write the report into a folder in place of one that it holds; returns the page.

    Whatever else is there stays as it is.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if holds_report(directory):
        for path in written_before(directory):
            path.unlink()
    # First, for it is by this that a report is known, one that was only begun too.
    _write(directory / _FIGURES, json.dumps(as_json(simulation), indent=2) + "\n")
    chart = comparison_chart(ways(simulation))
    _write(directory / "comparison.svg", chart)
    _write(directory / "comparison.csv", _csv(_COMPARED, map(_compared, simulation.compared)))
    charts = {}
    for figures in simulation.played:
        name = figures.regime.lower()
        charts[figures.regime] = nights_chart(figures)
        _write(directory / f"nights-{name}.svg", charts[figures.regime])
        columns = ("region", "night_starts", "night_ends", "listed", "upgraded", "capacity")
        _write(directory / f"nights-{name}.csv", _csv(columns, rows_by_night(figures)))
        _write(directory / f"suppliers-{name}.csv", _csv(_SUPPLIERS, suppliers_of(figures)))
    _write(directory / _PARAMETERS, simulation.parameters.text)
    page = directory / _PAGE
    _write(page, page_of(simulation, chart, charts))
    return page


def as_json(simulation: Simulation) -> dict[str, object]:
    """Every figure; what depends on the machine stands under `machine` alone."""
    return {
        "hubs": simulation.hubs,
        "seed": simulation.seed,
        "compared": [dict(zip(_COMPARED, _compared(one), strict=True)) for one in simulation.compared],
        "played": {figures.regime: _played(figures) for figures in simulation.played},
        "machine": {"prepared_seconds": round(simulation.prepared_seconds, 1)}
        | {
            figures.regime: {
                "seconds": round(figures.seconds, 1),
                "messages_per_second": round(figures.messages_per_second, 1),
                "cpu_seconds": round(sum(figures.cpu_seconds_of.values()), 1),
                "cpu_seconds_of": {name: round(one, 1) for name, one in sorted(figures.cpu_seconds_of.items())},
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
        "on_lists": figures.on_lists,
        "off_lists": figures.off_lists,
        "suppliers": [dict(zip(_SUPPLIERS, row, strict=True)) for row in suppliers_of(figures)],
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


def _compared(one: Result) -> tuple[object, ...]:
    return (
        *compared(one),
        round(one.costs.set_up),
        round(one.costs.messages),
        round(one.costs.work),
        round(one.costs.total),
        round(one.cost_per_hub, 3),
    )


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")
