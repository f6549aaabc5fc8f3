"""The report of a simulation for people: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from sr_engine.national.charts import totals
from sr_engine.national.figures import NEVER, Figures
from sr_engine.national.outcome import Simulation, checked, ways
from sr_engine.national.results import Result

_STATES = ("Activated", "Failed", "Missed", "Cancelled", "Voided", "AwaitingApproval", "Scheduled", NEVER)
_LONG_NAMES = ("UpgradeListAcknowledgement",)
"""Of messages whose kind is stored in fewer letters."""
_WHAT_IT_IS = (
    "A synthetic country drawn from seed {seed}. What is marked <em>played</em> was done by the processor itself on a "
    "virtual clock: signed requests of Suppliers, its store and planner, signed lists, and signed reports of simulated "
    "CSPs. What is marked <em>model</em> is arithmetic over the same country, in which nobody moves. Every value that "
    "this rests on is printed at the end; nothing of it was measured."
)
_HOW_IT_COUNTS = (
    "Days are counted from the opening of the release; to half and to 90 % are meant of the hubs that were upgraded in "
    "the end. Waits are counted from the start of the window that a Supplier wanted first until the hub was active; "
    "where the DCC manages the release Suppliers want none, and they are counted from the start of its own. An item is "
    "a request, a selection in a portal or a spreadsheet. A miss is a window that ended without an upgrade, or a place "
    "of a night that was lost: one hub may have several."
)
_HOW_IT_COSTS = (
    "A campaign's share of building and running the way it is done by, its messages, and the work of people on items "
    "and on hubs that were missed or failed, at the prices printed below."
)
_HOW_MODELS_COMPARE = (
    "The same figure, played and by the model of it, which knows nothing of changes of Supplier: how far the models of "
    "what was not played may be trusted."
)
_ABOUT_STATES = (
    f"By the newest attempt of each hub. Of those with <em>{NEVER}</em> nobody ever scheduled an upgrade: their "
    "electricity Supplier keeps them out or has declined. Missed are, for the most part, split homes whose gas "
    "Supplier has declined or never answered."
)
_ABOUT_SUPPLIERS = (
    "The last column is the Supplier's median wait, that over all of them being 1. Within a night places are shared in "
    "proportion to what each has waiting; what differs here is what Suppliers ask for: one that asks for all its hubs "
    "in one wave waits behind itself, longest where a region has the fewest places."
)
_ABOUT_MESSAGES = (
    "An alert about failed or missed hubs names up to 4,000 of them, one about a release that is opened too."
)
_STYLE = (
    "body{font:15px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}"
    "table{border-collapse:collapse;margin:1rem 0;font-size:13px}th,td{border:1px solid #999;padding:.25rem .5rem}"
    "td{text-align:right}td:first-child,th{text-align:left}caption{text-align:left;font-weight:bold;padding:.3rem 0}"
    "pre{background:#f4f4f4;padding:1rem;overflow:auto;font-size:12px}svg{max-width:100%;height:auto}"
)
_HEADINGS = (
    *("Way", "", "Hubs", "Upgraded", "%", "Days to half", "to 90 %", "to the last"),
    *("Messages", "Items", "Misses", "Failures", "Median wait, days", "90 % within"),
    "£ per upgraded hub",
)


def page_of(simulation: Simulation, chart: str, charts: Mapping[str, str]) -> str:
    """The page; `chart` compares all ways, `charts` shows the nights of each regime that was played."""
    shown = ways(simulation)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>A release for {simulation.hubs:,} hubs</title><style>{_STYLE}</style></head><body>",
        f"<h1>A release for {simulation.hubs:,} hubs</h1>",
        f"<p>{_WHAT_IT_IS.format(seed=simulation.seed)}</p>",
        "<h2>Side by side</h2>",
        chart,
        _table(_HEADINGS, map(_compared, shown)),
        f"<p>{_HOW_IT_COUNTS}</p>",
        _table(
            ("Way", "Set-up, £", "Messages, £", "Work, £", "All, £", "£ per upgraded hub"),
            map(_costs, shown),
            caption="What it costs",
        ),
        f"<p>{_HOW_IT_COSTS}</p>",
        _table(
            _HEADINGS,
            [_compared(one) for both in checked(simulation) for one in both],
            caption="The models against what was played",
        ),
        f"<p>{_HOW_MODELS_COMPARE}</p>",
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


def _of_played(figures: Figures, chart: str) -> list[str]:
    problems = figures.problems()
    checked_all = "Every hub is in exactly one state, no night above its capacity, no message lost, and all sums agree."
    wrong = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    result = figures.result
    said = (
        f"From {figures.opened_at:%d %B %Y} to {figures.ended_at:%d %B %Y}, {result.upgraded:,} hubs upgraded, half of "
        f"them by day {result.day_of(50)} and the last on day {result.days}. {figures.messages:,} messages, "
        f"{figures.messages / max(result.upgraded, 1):.1f} for each of these hubs, in {figures.seconds:,.0f} s of wall "
        f"time, {figures.messages_per_second:,.0f} a second; {figures.alerts:,} of them alerts to Suppliers, which "
        f"verified {figures.signatures_verified:,}. {result.misses:,} misses, {result.failures:,} failures, "
        f"{figures.halts} halt(s). {'Not as it should be:' if problems else checked_all}"
    )
    return [
        f"<h2>{escape(result.name)}, played</h2>",
        f"<p>{said}</p>",
        f"<ul>{wrong}</ul>" if problems else "",
        chart,
        _table(
            ("Region", "Hubs a night", "Nights", "of them full", "Hubs listed", "upgraded by them", "Places used, %"),
            _by_region(figures),
            caption="Nights with lists, against capacity",
        ),
        _states(figures),
        f"<p>{_ABOUT_STATES}</p>",
        _table(
            ("Supplier", "Hubs planned", "Upgraded", "%", "Median wait, days", "90 % within", "All Suppliers = 1"),
            suppliers_of(figures),
            caption="Suppliers",
        ),
        f"<p>{_ABOUT_SUPPLIERS}</p>",
        _table(
            ("Attempts", "Number"),
            [*figures.attempts.items(), ("all", sum(figures.attempts.values()))],
            caption="What attempts ended as",
        ),
        _table(
            ("Message", "Number"),
            [(f"{interface} {_long(what)}, taken", number) for (interface, what), number in figures.taken.items()]
            + [(f"{kind} {event}, sent", number) for (kind, event), number in figures.sent.items()],
            caption="Messages",
        ),
        f"<p>{_ABOUT_MESSAGES}</p>",
        _table(("Answer", "Number"), sorted(figures.answers.items()), caption="Answers to Service Requests"),
        _table(
            ("Service level", "Breaches"),
            [(f"{region}, {measure}", number) for (region, measure), number in figures.breaches.items()],
            caption="Breaches of service levels",
        ),
    ]


def _states(figures: Figures) -> str:
    states = totals(figures.states)
    shown = [state for state in _STATES if states.get(state)]
    shown += sorted(state for state, hubs in states.items() if hubs and state not in _STATES)
    rows: list[Sequence[object]] = [
        (region, sum(of_region.values()), *(of_region.get(state, 0) for state in shown))
        for region, of_region in figures.states.items()
    ]
    rows.append(("all", sum(states.values()), *(states[state] for state in shown)))
    return _table(("Region", "Hubs", *shown), rows, caption="What became of each hub")


def _by_region(figures: Figures) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for region, capacity in figures.capacity.items():
        nights = [night for night in figures.nights if night.region == region]
        listed = sum(night.listed for night in nights)
        full = sum(1 for night in nights if night.listed == capacity)
        used = round(100 * listed / (capacity * len(nights)), 1) if nights else 0.0
        rows.append((region, capacity, len(nights), full, listed, sum(night.activated for night in nights), used))
    return rows


def suppliers_of(figures: Figures) -> list[tuple[object, ...]]:
    """A row for each Supplier: hubs, upgraded, the share of it, waits, and the wait in proportion."""
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


def compared(one: Result) -> tuple[object, ...]:
    """What one way of doing it is compared by, but for what it costs in all."""
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
    )


def _compared(one: Result) -> tuple[object, ...]:
    return (*compared(one), round(one.cost_per_hub, 3))


def _costs(one: Result) -> tuple[object, ...]:
    costs = one.costs
    parts = (costs.set_up, costs.messages, costs.work, costs.total)
    return (one.name, *(round(part) for part in parts), round(one.cost_per_hub, 3))


def _long(what: str) -> str:
    return next((name for name in _LONG_NAMES if what and name.startswith(what)), what)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    body = "".join(f"<tr>{''.join(f'<td>{_shown(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    if not body:
        return f"<p>{escape(caption)}: none.</p>"
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _shown(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int | float) else escape(str(cell))
