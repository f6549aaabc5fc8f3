"""Reports: what was measured, as a table, a file or a picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import click

from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import csv_text, show_table
from sr_engine.cli.regions import chosen_regions
from sr_engine.domain.sla import Completion, Month, Timing
from sr_engine.reports.chart import Bar, Group, chart
from sr_engine.reports.sla import COLUMNS, RegionLevels, measure, percent, rows

_SERIES = (
    "Upgrade lists acknowledged within the limit",
    "Hubs activated by the end of their window",
    "Hubs whose Suppliers' alerts were queued within the limit",
)


def _month(_context: click.Context, _option: click.Parameter, text: str | None) -> Month | None:
    try:
        return None if text is None else Month.parse(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a month, such as 2026-11") from None


@click.group()
def report() -> None:
    """What was measured, as a table, a file or a picture."""


@report.command("sla", short_help="The service levels of a month, region by region.")
@instance_option
@click.option(
    "--month", callback=_month, metavar="YYYY-MM", help="A calendar month, in UTC; the current one, if it is left out."
)
@click.option("--region", "names", multiple=True, help="Only this CSP region; may be repeated.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "svg"]), default="table", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write a csv or svg to this file.")
def sla(directory: Path, month: Month | None, names: tuple[str, ...], form: str, out: Path | None) -> None:
    """How soon lists were acknowledged, hubs done and Suppliers alerted; the limits are those of config/regions.toml.

    Lists count in the month of their delivery, hubs in that of the end of their window, alerts in that of the CSP's
    report. Each hub counts once, with its newest attempt at a release in the month.
    """
    if out is not None and form == "table":
        raise click.UsageError("a table is shown, not written: name --format csv or svg with --out")
    with opened(directory) as instance, instance.engine.connect() as connection:
        loaded, now = instance.configuration, instance.clock.now()
        chosen = chosen_regions(loaded.regions, names)
        current = Month.of(now)
        month = month or current
        if month.start > now:
            raise click.BadParameter(f"{month} has not begun yet: it is {current}, in UTC", param_hint="--month")
        found = measure(connection, chosen, loaded.lifecycle, month, now)
    if form == "table":
        _show(found, month)
        return
    text = csv_text(COLUMNS, rows(found, month)) if form == "csv" else _chart(found, month)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8", newline="")


def _show(found: Sequence[RegionLevels], month: Month) -> None:
    times = ("Limit", "In time", "Late", "Overdue", "Waiting", "Share", "Median", "95 %", "Longest")
    show_table(
        f"Acknowledgement of upgrade lists delivered in {month}",
        ("Region", *times),
        (_timed(one, one.region.acknowledgement_sla, one.levels.acknowledgement) for one in found),
    )
    show_table(
        f"Hubs whose window ended in {month}",
        (
            *("Region", "Hubs", "In their night", "Later in window", "In window", "After it", "Failed", "Missed"),
            *("No outcome yet", "Limit", "Told too late"),
        ),
        (_completed(one, one.levels.completion) for one in found),
    )
    show_table(
        f"From reports of CSPs in {month} to alerts queued",
        ("Region", *times),
        (_timed(one, one.region.alert_sla, one.levels.alert_queued) for one in found),
    )
    show_table(
        f"From reports of CSPs in {month} to alerts taken by all Suppliers",
        ("Region", "Taken", "Waiting", *times[-3:]),
        (
            (one.region.name, taken.within, taken.waiting, *map(_span, times))
            for one in found
            for taken in [one.levels.alert_delivered]
            for times in [(taken.median, taken.percentile_95, taken.longest)]
        ),
    )


def _timed(one: RegionLevels, limit: timedelta, timing: Timing) -> tuple[object, ...]:
    counts = (timing.within, timing.late, timing.overdue, timing.waiting)
    times = (timing.median, timing.percentile_95, timing.longest)
    return one.region.name, _span(limit), *counts, _percent(timing.share), *map(_span, times)


def _completed(one: RegionLevels, done: Completion) -> tuple[object, ...]:
    counts = (done.later, done.failed, done.missed, done.under_way)
    first = (one.region.name, done.hubs, done.in_night, done.in_window, _percent(done.share))
    return *first, *counts, _span(one.region.completion_sla), done.breaches


def _chart(found: Sequence[RegionLevels], month: Month) -> str:
    return chart(f"Service levels of {month} by CSP region", _SERIES, [_group(one) for one in found])


def _group(one: RegionLevels) -> Group:
    lists, hubs, alerts = one.levels.acknowledgement, one.levels.completion, one.levels.alert_queued
    return Group(
        one.region.name,
        (
            Bar(lists.share, _of(lists.within, lists.within + lists.breaches, "lists")),
            Bar(hubs.share, _of(hubs.done_in_window, hubs.hubs, "hubs")),
            Bar(alerts.share, _of(alerts.within, alerts.within + alerts.breaches, "hubs")),
        ),
    )


def _of(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what}" if whole else f"no {what} to judge"


def _percent(share: Fraction | None) -> str:
    shown = percent(share)
    return "" if shown is None else f"{shown} %"


def _span(duration: timedelta | None) -> str:
    """A duration for people, in its two largest units."""
    if duration is None:
        return ""
    seconds = int(duration.total_seconds())
    parts = ((seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(shown) or "0 s"
