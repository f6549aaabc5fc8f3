"""What is exchanged with the CSPs: lists and what became of them, and what is overdue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console import charts
from sr_engine.console.operator.messages import STATE_TONES
from sr_engine.console.operator.office import Office, not_found
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.rendering import shown_span
from sr_engine.console.tables import Badge, Cell, Column, Link, Table
from sr_engine.domain.states import AttemptState
from sr_engine.operations.attention import Overdue, overdue
from sr_engine.store import csp_exchange, delivery_queue
from sr_engine.store.csp_exchange import ListLine
from sr_engine.store.delivery_queue import Queue
from sr_engine.store.paging import Page as PageOf
from sr_engine.store.reading import Connection

_PATH = "/operator/csp"
_STATES = {"all": "All lists", "open": "Delivered and not acknowledged"}
_TONES = {
    AttemptState.ACTIVATED: "ok",
    AttemptState.FAILED: "bad",
    AttemptState.MISSED: "warn",
    AttemptState.LISTED: "plain",
    AttemptState.ACCEPTED: "busy",
    AttemptState.DELIVERED: "busy",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows."""

    overdue: dict[str, Overdue]
    queues: dict[str, Queue]
    lists: PageOf[ListLine]


@dataclass(frozen=True, slots=True)
class Csps:
    """The pages about CSPs."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.show, operator, stamp=self.stamp),
                Page(f"{_PATH}/sheet", self.sheet, operator),
                Page(f"{_PATH}/lists/{{list_id}}", self.list, operator),
            ),
            navigation=(Entry("CSP exchange", _PATH, operator, "Upgrades"),),
        )

    def _chosen(self, visit: Visit) -> tuple[str | None, str]:
        region, state = visit.query("region") or None, visit.query("state", "all") or "all"
        if (region is not None and region not in self.office.regions) or state not in _STATES:
            raise not_found()
        return region, state

    def look(self, visit: Visit, connection: Connection) -> Shown:
        """How the exchange stands now; raises ValueError for a place that no page gave."""
        region, state = self._chosen(visit)
        most = self.office.rules.attention.count_up_to
        late = {name: overdue(connection, one, visit.now, most) for name, one in self.office.regions.items()}
        return Shown(
            {name: one for name, one in late.items() if one is not None},
            {
                one.destination.removeprefix("csp:"): one
                for one in delivery_queue.queues(connection, most)
                if one.destination.startswith("csp:")
            },
            csp_exchange.newest_lists(
                connection,
                region=region,
                unacknowledged=state == "open",
                after=visit.query("after") or None,
                limit=visit.desk.rules.pages.rows,
            ),
        )

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes when the page would show anything else."""
        try:
            return sha256(repr(self.look(visit, connection)).encode()).hexdigest()
        except ValueError:
            return ""

    async def show(self, visit: Visit) -> Response:
        """Regions with what is overdue in each, and lists."""
        region, state = self._chosen(visit)
        try:
            found = await visit.read(lambda one: self.look(visit, one))
        except ValueError:
            raise not_found() from None
        query = {"region": region, "state": None if state == "all" else state}
        titles = ("Cut", "Region", "Firmware", "Night", "Hubs", "Sent", "Acknowledged", "List")
        table = Table(
            _STATES[state] + (f" of {region}" if region else "") + ", newest first",
            [Column(title, numeric=title == "Hubs") for title in titles],
            [self._line(one, visit.now) for one in found.lists.rows],
            empty="There is no such list.",
            next_href=url(_PATH, **query, after=found.lists.after) if found.lists.after else None,
            first_href=url(_PATH, **query) if visit.query("after") else None,
            export_href=url(f"{_PATH}/sheet", **query),
        )
        stamp = sha256(repr(found).encode()).hexdigest()
        return await visit.show(
            "operator/csp.html",
            regions=self._regions(found),
            table=table,
            region=region or "",
            state=state,
            region_choices=[("", "All"), *((name, name) for name in self.office.regions)],
            states=list(_STATES.items()),
            live=url(f"{_PATH}/live", **query, after=visit.query("after"), stamp=stamp),
        )

    def _regions(self, found: Shown) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for name, region in self.office.regions.items():
            late, queue = found.overdue.get(name), found.queues.get(name)
            parked = queue.parked if queue else None
            rows.append(
                (
                    Link(name, url(_PATH, region=name)),
                    region.csp_name,
                    Badge("overdue", "bad") if late else Badge("in time", "ok"),
                    str(late.lists) if late else "0",
                    str(late.reports) if late else "0",
                    Link(str(queue.pending), url("/operator/deliveries", to=f"csp:{name}")) if queue else "0",
                    Link(str(parked), url("/operator/deliveries", to=f"csp:{name}", state="Parked")) if parked else "0",
                    shown_span(region.acknowledgement_sla),
                    shown_span(region.completion_sla),
                )
            )
        titles = ("Region", "CSP", "Standing", "Lists overdue", "Hubs not reported", "Waiting", "Parked")
        numeric = {"Lists overdue", "Hubs not reported", "Waiting", "Parked"}
        columns = [
            *(Column(title, numeric=title in numeric) for title in titles),
            Column("To acknowledge"),
            Column("To report"),
        ]
        return Table("CSPs by region", columns, rows, caption_hidden=True)

    def _line(self, one: ListLine, now: datetime) -> tuple[Cell, ...]:
        region = self.office.regions.get(one.region)
        zone = one.period.start if region is None else one.period.start.astimezone(region.time_zone)
        late = region is not None and one.is_overdue(region.acknowledgement_sla, now)
        answered: Cell = one.acknowledged_at
        if one.acknowledged_at is None and one.delivered_at is not None:
            answered = Badge("overdue", "bad") if late else Badge("waiting", "busy")
        return (
            one.cut_at,
            one.region,
            one.version,
            zone.date(),
            one.hub_count,
            one.delivered_at if one.delivered_at is not None else Badge(one.sending, STATE_TONES[one.sending]),
            answered,
            Link(f"{one.list_id[:12]}…", url(f"{_PATH}/lists/{one.list_id}"), mono=True),
        )

    async def sheet(self, visit: Visit) -> Response:
        """The lists as a sheet."""
        region, state = self._chosen(visit)

        def rows(connection: Connection, most: int) -> Iterator[tuple[object, ...]]:
            found = csp_exchange.newest_lists(connection, region=region, unacknowledged=state == "open", limit=most)
            for one in found.rows:
                yield (
                    *(one.cut_at, one.region, one.version, one.period.start, one.period.end, one.hub_count),
                    *(one.sending, one.delivered_at, one.acknowledged_at, one.list_id, one.replaces),
                )

        columns = ("Cut", "Region", "Firmware", "Period starts", "Period ends", "Hubs", "Sending")
        more = ("Delivered", "Acknowledged", "List", "Replaces")
        return await sheet_response(visit, self.office, Sheet("lists", (*columns, *more), rows))

    async def list(self, visit: Visit) -> Response:
        """One list, and what became of its hubs."""
        list_id = visit.request.path_params["list_id"]

        def look(connection: Connection) -> tuple[ListLine, csp_exchange.ListStanding] | None:
            line = csp_exchange.find(connection, list_id)
            return None if line is None else (line, csp_exchange.standing(connection, list_id))

        found = await visit.read(look)
        if found is None:
            raise not_found()
        line, standing = found
        region = self.office.regions.get(line.region)
        bars = [
            charts.Bar(state, standing.states[state], _TONES.get(AttemptState(state), "plain"), line.hub_count)
            for state in AttemptState
            if state in standing.states
        ]
        off = line.hub_count - sum(standing.states.values())
        if off > 0:
            bars.append(charts.Bar("off the list", off, "plain", line.hub_count))
        chart = charts.bars("Hubs of this list by state", bars, key="states")
        columns = (Column("State"), Column("Hubs", numeric=True))
        states = Table("Hubs of this list by state", columns, [(bar.name, bar.value) for bar in bars])
        reasons = Table(
            "Why hubs failed or were missed",
            (Column("State"), Column("Reason"), Column("Hubs", numeric=True)),
            standing.reasons,
        )
        withdrawals = Table(
            "Withdrawals that its CSP was asked for",
            [Column(title) for title in ("Asked", "Reason", "To stand on another list", "Answered", "Message")],
            [
                (one.asked_at, one.reason, "yes" if one.replacing else "no", one.answered_at, one.message_key)
                for one in standing.withdrawals
            ],
        )
        return await visit.show(
            "operator/list.html",
            line=line,
            late=region is not None and line.is_overdue(region.acknowledgement_sla, visit.now),
            release=Link(line.version, url(f"/operator/releases/{line.release_id}"), mono=True),
            message=Link("request and its signature", url(f"/operator/messages/sent/{line.message_id}")),
            replaces=Link(line.replaces, url(f"{_PATH}/lists/{line.replaces}"), mono=True) if line.replaces else None,
            chart=chart,
            states=states,
            reasons=reasons,
            withdrawals=withdrawals,
        )
