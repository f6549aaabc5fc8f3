"""The Supplier's schedules, and the calendar: the open nights of each region and its own share of their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from starlette.exceptions import HTTPException
from starlette.responses import Response

from sr_engine.configuration import Region, UserDirectory
from sr_engine.console.charts import Bar, bars
from sr_engine.console.pages import Visit, number_of, url
from sr_engine.console.supplier.desk import SUPPLYING, SupplierDesk, viewer_of
from sr_engine.console.supplier.wishes import named
from sr_engine.console.supplier.words import approval_badge, status_badge
from sr_engine.console.tables import Badge, Cell, Column, Link, Mono, Span, Table
from sr_engine.messages.model import Approval, CommsHubUpgrade, Period
from sr_engine.operations.supplier_answers import ShownExclusion, UnknownSchedule
from sr_engine.regions.calendar import cut_time, open_periods
from sr_engine.store import supplier_windows
from sr_engine.store.reading import Connection
from sr_engine.store.supplier_windows import Planned

SCHEDULED_COLUMNS = (Column("Hub"), Column("Region"), Column("State"), Column("Other Supplier"), Column("Night"))
_NIGHTS = 28
_AHEAD = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class WindowPages:
    """The pages about windows."""

    supplier: SupplierDesk

    async def schedules(self, visit: Visit) -> Response:
        """The schedules that the Supplier has set, newest first."""
        rows, viewer = visit.desk.rules.pages.rows, viewer_of(visit)
        before = None
        try:
            if visit.query("before"):
                place, _ = await visit.read(
                    lambda connection: self.supplier.answers.schedule(
                        connection, viewer, number_of(visit.query("before"))
                    )
                )
                before = (place.created_at, place.schedule_id)
        except (UnknownSchedule, ValueError):
            raise HTTPException(404) from None
        found = await visit.read(
            lambda connection: self.supplier.answers.schedules(connection, viewer, before=before, limit=rows + 1)
        )
        table = Table(
            "Schedules",
            (Column("Schedule"), Column("Firmware"), Column("Window"), Column("Phase"), Column("Set")),
            [
                [
                    Link(str(one.schedule_id), url(f"/schedules/{one.schedule_id}"), mono=True),
                    named(one.firmware),
                    Span(one.window.start, one.window.end),
                    one.phase.value,
                    one.created_at,
                ]
                for one in found[:rows]
            ],
            "You have set no schedule yet. Begin from a release or a list of hubs.",
            next_href=url("/schedules", before=found[rows - 1].schedule_id) if len(found) > rows else None,
            first_href=url("/schedules") if before is not None else None,
            export_href=url("/export/schedules"),
            caption_hidden=True,
        )
        return await visit.show("supplier/schedules.html", table=table)

    async def schedule(self, visit: Visit) -> Response:
        """One schedule with its hubs."""
        rows, viewer, after = visit.desk.rules.pages.rows, viewer_of(visit), visit.query("after") or None
        try:
            schedule_id = number_of(visit.request.path_params["schedule_id"])
            (schedule, in_force), hubs = await visit.read(
                lambda connection: (
                    self.supplier.answers.schedule(connection, viewer, schedule_id),
                    self.supplier.answers.hubs_of_schedule(
                        connection, viewer, schedule_id, visit.now, after=after, limit=rows + 1
                    ),
                )
            )
        except (UnknownSchedule, ValueError):
            raise HTTPException(404) from None
        path = f"/schedules/{schedule_id}"
        table = Table(
            "Hubs",
            SCHEDULED_COLUMNS,
            [scheduled_row(one) for one in hubs[:rows]],
            "None of its hubs is yours to see any more.",
            next_href=url(path, after=hubs[rows - 1].device_id) if len(hubs) > rows else None,
            first_href=url(path) if after is not None else None,
            export_href=url(f"/export{path}"),
            caption_hidden=True,
        )
        facts: list[tuple[str, Cell]] = [
            ("Firmware", Link(named(schedule.firmware), url(f"/releases/{schedule.release_id}"))),
            ("Window from", schedule.window.start),
            ("Window to", schedule.window.end),
            ("Phase", schedule.phase.value),
            ("In force for", f"{in_force:,} hubs"),
            ("Set", schedule.created_at),
        ]
        return await visit.show(
            "supplier/schedule.html", schedule=schedule, facts=facts, table=table, in_force=in_force
        )

    async def exclusions(self, visit: Visit) -> Response:
        """The hubs that the Supplier keeps out, in order of their ids."""
        rows, viewer, after = visit.desk.rules.pages.rows, viewer_of(visit), visit.query("after")
        found = await visit.read(
            lambda connection: self.supplier.answers.exclusions(
                connection, viewer, visit.now, after=after, limit=rows + 1
            )
        )
        table = Table(
            "Excluded hubs",
            (Column("Hub"), Column("Since"), Column("Until"), Column("Yours")),
            [excluded_row(one) for one in found[:rows]],
            "You keep no hub out of upgrades.",
            next_href=url("/exclusions", after=found[rows - 1].exclusion.hub_id) if len(found) > rows else None,
            first_href=url("/exclusions") if after else None,
            export_href=url("/export/exclusions"),
            caption_hidden=True,
        )
        return await visit.show("supplier/exclusions.html", table=table)

    async def calendar(self, visit: Visit) -> Response:
        """The open nights of a region to come, and what of the Supplier's own share of their places is left."""
        regions, now = visit.desk.configuration.regions, visit.now
        region = region_of(visit)
        planned = await visit.desk.counting.get(
            (visit.organisation, "calendar"), lambda connection: planned_of(connection, visit)
        )
        suppliers, share, nights = supplying(visit.desk.users), share_of(visit, region), nights_of(region, now)
        scheduled, listed = planned.value or ([], [])
        return await visit.show(
            "supplier/calendar.html",
            region=region,
            regions=[(name, name) for name in regions],
            suppliers=suppliers,
            share=share,
            counting=planned.value is None,
            chart=_chart(region, nights, listed, share),
            nights=calendar_table(region, scheduled, listed, share=share, now=now),
            windows=_windows(region, scheduled),
        )


def scheduled_row(one: CommsHubUpgrade) -> list[Cell]:
    """A hub in the list of a schedule."""
    return [
        Link(one.device_id, url(f"/hubs/{one.device_id}"), mono=True),
        one.csp_region,
        status_badge(one.status),
        None if one.other_approval is Approval.NONE else approval_badge(one.other_approval),
        None if one.period is None else Span(one.period.start, one.period.end),
    ]


def excluded_row(one: ShownExclusion) -> list[Cell]:
    """An excluded hub in a list; one that has gone to another Supplier has no page any more."""
    hub_id, until = one.exclusion.hub_id, one.exclusion.until
    return [
        Link(hub_id, url(f"/hubs/{hub_id}"), mono=True) if one.responsible else Mono(hub_id),
        one.exclusion.set_at,
        until or "you include it again",
        "yes" if one.responsible else "no longer",
    ]


def supplying(users: UserDirectory) -> int:
    """Among how many Suppliers places are shared evenly: those that `users.toml` names, whatever they do."""
    return sum(
        any(role in user.roles for role in SUPPLYING for user in users.users_of(one.id))
        for one in users.organisations()
    )


def _by_night(region: Region, listed: Sequence[Planned]) -> Counter[datetime]:
    found: Counter[datetime] = Counter()
    for one in listed:
        if one.region == region.name:
            found[one.period.start] += one.hubs
    return found


def _chart(region: Region, nights: Sequence[Period], listed: Sequence[Planned], share: int) -> object:
    numbers = _by_night(region, listed)
    zone = region.time_zone
    rows = [
        Bar(f"{night.start.astimezone(zone):%a %d %b}", numbers[night.start], "busy", limit=share)
        for night in nights[:14]
    ]
    return bars("Your hubs on lists, of your share, by night", rows, key="calendar")


def region_of(visit: Visit) -> Region:
    """The region whose calendar is asked for; raises HTTPException if there is no such one."""
    regions = visit.desk.configuration.regions
    region = regions.get(visit.query("region") or next(iter(regions)))
    if region is None:
        raise HTTPException(404)
    return region


def planned_of(connection: Connection, visit: Visit) -> tuple[list[Planned], list[Planned]]:
    """The Supplier's hubs by window, and those on lists by night."""
    organisation, now = visit.organisation, visit.now
    return (
        supplier_windows.scheduled(connection, organisation, now),
        supplier_windows.listed(connection, organisation, now),
    )


def share_of(visit: Visit, region: Region) -> int:
    """The Supplier's even share of a night."""
    return max(1, region.hubs_per_night // max(1, supplying(visit.desk.users)))


def nights_of(region: Region, now: datetime) -> list[Period]:
    """The open nights of the next weeks."""
    return list(islice(open_periods(region, Period(now, now + _AHEAD)), _NIGHTS))


def calendar_table(
    region: Region,
    scheduled: Sequence[Planned],
    listed: Sequence[Planned],
    *,
    share: int,
    now: datetime,
) -> Table:
    """The nights to come, with what of the share is left of each."""
    numbers = _by_night(region, listed)
    mine = [one for one in scheduled if one.region == region.name]
    rows: list[list[Cell]] = []
    for night in nights_of(region, now):
        cut = cut_time(region, night)
        within = sum(one.hubs for one in mine if one.period.start <= night.start and night.end <= one.period.end)
        closed = cut <= now
        rows.append(
            [
                Span(night.start, night.end),
                Badge("lists are cut", "plain") if closed else cut,
                within,
                numbers[night.start],
                0 if closed else max(0, share - numbers[night.start]),
            ]
        )
    columns = (
        Column("Night"),
        Column("Can be scheduled until"),
        Column("Your hubs whose window holds it", numeric=True),
        Column("Your hubs on its lists", numeric=True),
        Column("Left of your share", numeric=True),
    )
    return Table(
        "Open nights",
        columns,
        rows,
        "No night is open in the next weeks.",
        export_href=url("/export/calendar", region=region.name),
        caption_hidden=True,
    )


def _windows(region: Region, scheduled: Sequence[Planned]) -> Table:
    rows: list[list[Cell]] = [
        [Span(one.period.start, one.period.end), one.hubs]
        for one in sorted(scheduled, key=lambda one: one.period.start)
        if one.region == region.name
    ]
    return Table(
        "Your windows",
        (Column("Window"), Column("Your hubs", numeric=True)),
        rows,
        "You have scheduled nothing in this region.",
        caption_hidden=True,
    )
