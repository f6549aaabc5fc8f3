"""Seeing ahead: what the coming nights will bring, before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path

import click

from sr_engine.bootstrap import quiet_days_of
from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import csv_text, moment, show_table
from sr_engine.cli.regions import chosen_regions
from sr_engine.configuration import Region
from sr_engine.domain.listing import Obstacle
from sr_engine.messages.model import Firmware
from sr_engine.operations.preview import Foreseen, Horizon, foresee
from sr_engine.regions.preview import Fate, Line, NightPreview

_DEFAULT_NIGHTS = 14
_BEYOND = "beyond"
"""In files, the fate of hubs that wait for a night after the last one previewed."""
_COLUMNS = (
    *("region", "night", "period_start", "period_end", "cut_at"),
    *("manufacturer", "model", "version", "fate", "reason", "hubs", "capacity"),
)


def _day(_context: click.Context, _option: click.Parameter, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a date, such as 2026-12-24") from None


@click.group()
def plan() -> None:
    """Which hubs will be upgraded when."""


@plan.command("preview", short_help="What the coming nights will bring, region by region.")
@instance_option
@click.option(
    "--nights",
    type=click.IntRange(1, 3660),
    help=f"How many nights of each region; {_DEFAULT_NIGHTS} if nothing is said.",
)
@click.option("--until", callback=_day, metavar="DATE", help="All nights that begin up to this local date, instead.")
@click.option("--region", "names", multiple=True, help="Only this CSP region; may be repeated.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def preview(directory: Path, nights: int | None, until: date | None, names: tuple[str, ...], form: str) -> None:
    """Which hubs will be listed in the coming nights, which will not, and why; nothing is changed or sent.

    The nights are played forward from what is scheduled now, by the plan that cuts the lists. Nothing is foreseen but
    what is known: no new schedule, no report of a CSP, no hub the processor will plan by itself.
    """
    if nights is not None and until is not None:
        raise click.UsageError("name --nights or --until, not both")
    horizon = Horizon(until=until) if until is not None else Horizon(nights=nights or _DEFAULT_NIGHTS)
    with opened(directory) as instance, instance.engine.connect() as connection:
        loaded, now = instance.configuration, instance.clock.now()
        chosen = chosen_regions(loaded.regions, names)
        quiet_days = quiet_days_of(loaded.policy)
        found = (foresee(connection, region, now, horizon, quiet_days) for region in chosen)
        if form == "json":
            click.echo(json.dumps({"at": moment(now).replace(" ", "T"), "regions": [*map(_as_json, found)]}, indent=2))
        elif form == "csv":
            click.echo(csv_text(_COLUMNS, (row for one in found for row in _rows(one))), nl=False)
        else:
            for one in found:
                _show(one)


def _show(one: Foreseen) -> None:
    """A region as a table, and in words what no night of the preview will settle."""
    name = one.preview.region
    rows = [row for night in one.preview.nights for row in _table_rows(one, night)]
    if rows:
        show_table(
            f"{name}: up to {one.preview.capacity:,} hubs a night",
            ("Night", "Lists cut", "Firmware", "Listed", "Wait", "Miss their window", "Why not listed"),
            rows,
        )
    else:
        click.echo(f"{name}: nothing is planned in the nights asked for")
    for what, hubs in (
        (Obstacle.NO_NIGHT.words, one.preview.without_night),
        ("wait for a night after the last one shown", one.preview.beyond),
    ):
        for release_id, count in sorted(hubs.items()):
            if count:
                click.echo(f"  {name}, firmware {_version(one, release_id)}: {count:,} hubs: {what}")


def _table_rows(one: Foreseen, night: NightPreview) -> Iterator[tuple[object, ...]]:
    for release_id in dict.fromkeys(line.release_id for line in night.lines):
        lines = [line for line in night.lines if line.release_id == release_id]
        yield (
            _night_of(one.region, night),
            night.night.cut_at,
            _version(one, release_id),
            *(sum(line.hubs for line in lines if line.fate is fate) for fate in Fate),
            "; ".join(f"{line.hubs:,}: {line.obstacle.words}" for line in _merged(lines) if line.obstacle is not None),
        )


def _merged(lines: Sequence[Line]) -> Iterator[Line]:
    """The same without the difference between those that wait and those that miss their window."""
    for reason in dict.fromkeys(line.obstacle for line in lines):
        alike = [line for line in lines if line.obstacle is reason]
        yield Line(alike[0].release_id, alike[0].fate, reason, sum(line.hubs for line in alike))


def _rows(one: Foreseen) -> Iterator[tuple[object, ...]]:
    """One row for each night, release, fate and reason; hubs that no night settles are in rows without a night."""
    for night in one.preview.nights:
        period = night.night.period
        when = (_night_of(one.region, night), *map(_instant, (period.start, period.end, night.night.cut_at)))
        for line in night.lines:
            why = "" if line.obstacle is None else line.obstacle.value
            yield (
                *(one.preview.region, *when, *_firmware(one, line.release_id)),
                *(line.fate.value, why, line.hubs, one.preview.capacity),
            )
    for fate, why, hubs in _unsettled(one):
        for release_id, count in sorted(hubs.items()):
            firmware = _firmware(one, release_id)
            yield one.preview.region, "", "", "", "", *firmware, fate, why, count, one.preview.capacity


def _unsettled(one: Foreseen) -> tuple[tuple[str, str, Mapping[str, int]], ...]:
    return (
        (Fate.MISSES.value, Obstacle.NO_NIGHT.value, one.preview.without_night),
        (_BEYOND, "", one.preview.beyond),
    )


def _as_json(one: Foreseen) -> dict[str, object]:
    return {
        "region": one.preview.region,
        "hubs_per_night": one.preview.capacity,
        "nights": [
            {
                "night": _night_of(one.region, night),
                "period_start": _instant(night.night.period.start),
                "period_end": _instant(night.night.period.end),
                "cut_at": _instant(night.night.cut_at),
                "listed": night.listed,
                "hubs": [
                    {
                        **_firmware_as_json(one, line.release_id),
                        "fate": line.fate.value,
                        "reason": None if line.obstacle is None else line.obstacle.value,
                        "hubs": line.hubs,
                    }
                    for line in night.lines
                ],
            }
            for night in one.preview.nights
        ],
        "without_night": _counts_as_json(one, one.preview.without_night),
        "beyond": _counts_as_json(one, one.preview.beyond),
    }


def _counts_as_json(one: Foreseen, hubs: Mapping[str, int]) -> list[dict[str, object]]:
    return [{**_firmware_as_json(one, release_id), "hubs": count} for release_id, count in sorted(hubs.items())]


def _firmware_as_json(one: Foreseen, release_id: str) -> dict[str, object]:
    return dict(zip(("manufacturer", "model", "version"), _firmware(one, release_id), strict=True))


def _firmware(one: Foreseen, release_id: str) -> tuple[str, str, str]:
    firmware: Firmware = one.releases[release_id].firmware
    return firmware.manufacturer, firmware.model, firmware.version


def _version(one: Foreseen, release_id: str) -> str:
    return " ".join(_firmware(one, release_id))


def _night_of(region: Region, night: NightPreview) -> str:
    """The local date on which a night begins."""
    return night.night.period.start.astimezone(region.time_zone).date().isoformat()


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
