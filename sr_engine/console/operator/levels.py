"""Service levels of a month: found out beside everything else, as charts and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from functools import partial

from markupsafe import Markup
from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console import charts
from sr_engine.console.operator import looks
from sr_engine.console.operator.long_looks import Looked
from sr_engine.console.operator.office import Office, not_found
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.rendering import shown_span
from sr_engine.console.tables import Cell, Column, Table
from sr_engine.domain.sla import Levels, Month, Timing
from sr_engine.reports.sla import COLUMNS, RegionLevels, percent
from sr_engine.reports.sla import rows as rows_of
from sr_engine.store.reading import Connection

_PATH = "/operator/levels"
_MONTHS = 24
"""That can be chosen from, back from now."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure: its chart, and its table."""

    title: str
    chart: Markup
    table: Table


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    """The pages about service levels."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.show, operator, stamp=self.stamp),
                Page(f"{_PATH}/sheet", self.sheet, operator),
            ),
            navigation=(Entry("Service levels", _PATH, operator, "Upgrades"),),
        )

    def _month(self, visit: Visit) -> Month:
        text = visit.query("month")
        if not text:
            return Month.of(visit.now)
        try:
            return Month.parse(text)
        except ValueError:
            raise not_found() from None

    def _name(self, month: Month) -> str:
        return f"service levels of {month}"

    def _look(self, month: Month) -> Looked[dict[str, Levels]]:
        place = self.office.place
        return self.office.looks.look(
            self._name(month), lambda now: partial(looks.levels, place=place, now=now, month=month)
        )

    def stamp(self, visit: Visit, _connection: Connection) -> str:
        """Changes as the month is measured."""
        return self.office.looks.known(self._name(self._month(visit))).stamp

    async def show(self, visit: Visit) -> Response:
        """A month."""
        month = self._month(visit)
        looked = self._look(month)
        found = [] if looked.result is None else self._levels(looked.result)
        return await visit.show(
            "operator/levels.html",
            month=str(month),
            months=[(str(one), str(one)) for one in _months(visit.now, month)],
            looked=looked,
            measured=_measured(found) if found else [],
            export=url(f"{_PATH}/sheet", month=str(month)),
            live=url(f"{_PATH}/live", month=str(month), stamp=looked.stamp),
        )

    def _levels(self, found: Mapping[str, Levels]) -> list[RegionLevels]:
        return [RegionLevels(region, found[name]) for name, region in self.office.regions.items() if name in found]

    async def sheet(self, visit: Visit) -> Response:
        """What is known of a month as a sheet, with the columns of `sr-engine report sla`."""
        month = self._month(visit)
        looked: Looked[dict[str, Levels]] = self.office.looks.known(self._name(month))
        if looked.result is None:
            raise not_found()
        found = list(rows_of(self._levels(looked.result), month))

        def rows(_connection: Connection, most: int) -> list[tuple[object, ...]]:
            return found[:most]

        return await sheet_response(visit, self.office, Sheet(f"service-levels-{month}", COLUMNS, rows))


def _months(now: datetime, chosen: Month) -> list[Month]:
    found, month = [], Month.of(now)
    for _ in range(_MONTHS):
        found.append(month)
        month = Month.of(month.start - timedelta(days=1))
    return found if chosen in found else [chosen, *found]


def _measured(found: list[RegionLevels]) -> list[Measured]:
    return [
        _timing(
            "Lists acknowledged within the limit",
            "lists",
            found,
            lambda one: one.levels.acknowledgement,
            lambda one: one.region.acknowledgement_sla,
            key="acknowledgement",
        ),
        _completion(found),
        _timing(
            "Hubs whose Suppliers' alerts were queued within the limit",
            "hubs",
            found,
            lambda one: one.levels.alert_queued,
            lambda one: one.region.alert_sla,
            key="alerts",
        ),
    ]


def _timing(
    title: str,
    unit: str,
    found: list[RegionLevels],
    timing: Callable[[RegionLevels], Timing],
    limit: Callable[[RegionLevels], timedelta],
    *,
    key: str,
) -> Measured:
    bars, rows = [], list[tuple[Cell, ...]]()
    for one in found:
        took = timing(one)
        bars.append(charts.Bar(one.region.name, took.within, _tone(took.breaches), took.within + took.breaches))
        rows.append(
            (
                *(one.region.name, shown_span(limit(one)), took.within, took.late, took.overdue, took.waiting),
                *(_percent(took.share), *(_span(each) for each in (took.median, took.percentile_95, took.longest))),
            )
        )
    titles = ("Limit", "In time", "Late", "Overdue", "Waiting", "Share", "Median", "95 %", "Longest")
    table = Table(title, [Column("Region"), *(Column(each, numeric=True) for each in titles)], rows)
    return Measured(title, charts.bars(title, bars, key=key, unit=unit), table)


def _completion(found: list[RegionLevels]) -> Measured:
    title = "Hubs activated by the end of their window"
    bars, rows = [], list[tuple[Cell, ...]]()
    for one in found:
        done = one.levels.completion
        bars.append(charts.Bar(one.region.name, done.done_in_window, _tone(done.breaches), done.hubs))
        rows.append(
            (
                *(one.region.name, done.hubs, done.in_night, done.in_window, _percent(done.share), done.later),
                *(done.failed, done.missed, done.under_way, shown_span(one.region.completion_sla), done.breaches),
            )
        )
    titles = ("Hubs", "In their night", "Later in window", "Share", "After it", "Failed", "Missed")
    more = ("No outcome yet", "Limit", "Told too late")
    table = Table(title, [Column("Region"), *(Column(each, numeric=True) for each in (*titles, *more))], rows)
    return Measured(title, charts.bars(title, bars, key="completion"), table)


def _tone(breaches: int) -> str:
    return "warn" if breaches else "ok"


def _percent(share: Fraction | None) -> str | None:
    shown = percent(share)
    return None if shown is None else f"{shown} %"


def _span(length: timedelta | None) -> str | None:
    return None if length is None else shown_span(length)
