"""What the coming nights will bring, region by region and day by day, if nobody does anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console import charts
from sr_engine.console.operator import looks
from sr_engine.console.operator.long_looks import Looked
from sr_engine.console.operator.looks import RegionPlan
from sr_engine.console.operator.office import Office, not_found
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.tables import Cell, Column, Table
from sr_engine.domain.listing import Obstacle
from sr_engine.regions.preview import Fate, NightPreview
from sr_engine.store.reading import Connection

_PATH = "/operator/plan"
_NAME = "plan"


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """The pages about the plan."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.show, operator, stamp=self.stamp),
                Page(f"{_PATH}/sheet", self.sheet, operator),
                Page(f"{_PATH}/anew", self.anew, operator, changes=True),
            ),
            navigation=(Entry("Plan", _PATH, operator, "Upgrades"),),
        )

    def _look(self, *, anew: bool = False) -> Looked[list[RegionPlan]]:
        place, nights = self.office.place, self.office.rules.plan.nights
        return self.office.looks.look(
            _NAME, lambda now: partial(looks.plan, place=place, now=now, nights=nights), anew=anew
        )

    def stamp(self, _visit: Visit, _connection: Connection) -> str:
        """Changes as the plan is played."""
        return self.office.looks.known(_NAME).stamp

    async def show(self, visit: Visit) -> Response:
        """All regions as charts, one of them night by night."""
        chosen = visit.query("region") or next(iter(self.office.regions), "")
        if chosen not in self.office.regions:
            raise not_found()
        looked = self._look()
        plans = {one.preview.region: one for one in looked.result or ()}
        plan = plans.get(chosen)
        return await visit.show(
            "operator/plan.html",
            looked=looked,
            region=chosen,
            regions=[(name, name) for name in self.office.regions],
            summary=self._summary(plans),
            chart=None if plan is None else self._chart(plan),
            nights=None if plan is None else self._nights(plan),
            table=None if plan is None else self._table(plan),
            capacity=0 if plan is None else plan.preview.capacity,
            unsettled=[] if plan is None else _unsettled(plan),
            export=url(f"{_PATH}/sheet"),
            live=url(f"{_PATH}/live", region=chosen, stamp=looked.stamp),
        )

    async def anew(self, visit: Visit) -> Response:
        """Play the nights once more from what is scheduled now."""
        self._look(anew=True)
        return visit.go(_PATH, region=visit.field("region"))

    def _summary(self, plans: dict[str, RegionPlan]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for name, plan in plans.items():
            nights = plan.preview.nights
            misses = sum(line.hubs for night in nights for line in night.lines if line.fate is Fate.MISSES)
            without = sum(plan.preview.without_night.values())
            rows.append(
                (
                    name,
                    len(nights),
                    plan.preview.capacity,
                    sum(night.listed for night in nights),
                    misses + without,
                    sum(plan.preview.beyond.values()),
                )
            )
        titles = (
            "Nights",
            "Hubs a night, at most",
            "Will be listed",
            "Will miss their window",
            "Wait for later nights",
        )
        return Table("Regions", [Column("Region"), *(Column(title, numeric=True) for title in titles)], rows)

    def _chart(self, plan: RegionPlan) -> object:
        rows = [
            charts.Bar(
                self._day(plan, night),
                night.listed,
                "warn" if night.listed >= plan.preview.capacity else "busy",
                plan.preview.capacity,
            )
            for night in plan.preview.nights
        ]
        return charts.bars(f"Hubs that will be listed in {plan.preview.region}, night by night", rows, key="nights")

    def _nights(self, plan: RegionPlan) -> Table:
        """The same as the chart."""
        columns = (Column("Night"), Column("Listed", numeric=True), Column("Places", numeric=True))
        rows = [(self._day(plan, night), night.listed, night.night.places) for night in plan.preview.nights]
        return Table("Hubs that will be listed, night by night", columns, rows)

    def _table(self, plan: RegionPlan) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for night in plan.preview.nights:
            for release_id in dict.fromkeys(line.release_id for line in night.lines):
                lines = [line for line in night.lines if line.release_id == release_id]
                why: dict[Obstacle, int] = {}
                for line in lines:
                    if line.obstacle is not None:
                        why[line.obstacle] = why.get(line.obstacle, 0) + line.hubs
                rows.append(
                    (
                        self._day(plan, night),
                        night.night.cut_at,
                        _named(plan, release_id),
                        *(sum(line.hubs for line in lines if line.fate is fate) for fate in Fate),
                        "; ".join(f"{hubs:,}: {reason.words}" for reason, hubs in why.items()),
                    )
                )
        titles = ("Night", "Lists cut", "Firmware", "Listed", "Wait", "Miss their window", "Why not listed")
        numeric = {"Listed", "Wait", "Miss their window"}
        return Table(
            f"{plan.preview.region}, night by night",
            [Column(title, numeric=title in numeric) for title in titles],
            rows,
            empty="Nothing is scheduled for these nights.",
            export_href=url(f"{_PATH}/sheet"),
        )

    def _day(self, plan: RegionPlan, night: NightPreview) -> str:
        """The local date on which a night begins."""
        local = night.night.period.start.astimezone(self.office.regions[plan.preview.region].time_zone)
        return f"{local:%a} {local.day} {local:%b}"

    async def sheet(self, visit: Visit) -> Response:
        """The whole preview as a sheet."""
        looked: Looked[list[RegionPlan]] = self.office.looks.known(_NAME)
        if looked.result is None:
            raise not_found()
        plans = looked.result

        def rows(_connection: Connection, most: int) -> Iterator[tuple[object, ...]]:
            return (row for _, row in zip(range(most), _sheet_rows(plans), strict=False))

        columns = ("Region", "Night begins", "Lists cut", "Firmware", "Fate", "Why", "Hubs", "Capacity")
        return await sheet_response(visit, self.office, Sheet("plan", columns, rows))


def _sheet_rows(plans: list[RegionPlan]) -> Iterator[tuple[object, ...]]:
    for plan in plans:
        capacity = plan.preview.capacity
        for night in plan.preview.nights:
            for line in night.lines:
                why = None if line.obstacle is None else line.obstacle.words
                yield (
                    *(plan.preview.region, night.night.period.start, night.night.cut_at),
                    *(_named(plan, line.release_id), line.fate.value, why, line.hubs, capacity),
                )
        for named, hubs, words in _unsettled(plan):
            yield plan.preview.region, None, None, named, None, words, hubs, capacity


def _unsettled(plan: RegionPlan) -> list[tuple[str, int, str]]:
    """Firmware, hubs and what becomes of those that none of the nights settles."""
    return [
        (_named(plan, release_id), hubs, words)
        for words, counted in (
            (Obstacle.NO_NIGHT.words, plan.preview.without_night),
            ("wait for a night after the last one shown", plan.preview.beyond),
        )
        for release_id, hubs in sorted(counted.items())
        if hubs
    ]


def _named(plan: RegionPlan, release_id: str) -> str:
    firmware = plan.releases[release_id].firmware
    return f"{firmware.manufacturer} {firmware.model} {firmware.version}"
