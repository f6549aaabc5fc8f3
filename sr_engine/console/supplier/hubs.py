"""Hubs: found by filter, page by page, and one with why it is as it is and what has happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.responses import Response

from sr_engine.console.pages import Visit, url
from sr_engine.console.supplier.desk import SupplierDesk, viewer_of
from sr_engine.console.supplier.selecting import Selection, SelectionRefused
from sr_engine.console.supplier.wishes import named
from sr_engine.console.supplier.words import approval_badge, status_badge, words
from sr_engine.console.tables import Badge, Cell, Column, Link, Span, Table
from sr_engine.domain.upgrades import Release
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.model import Approval, CommsHubUpgrade, Period, UpgradeStatus
from sr_engine.operations.supplier_hubs import HubPage, SupplierHub, UnknownHub, UnknownRelease
from sr_engine.store import releases
from sr_engine.store.reading import Connection
from sr_engine.store.supplier_history import Event, EventKind

COLUMNS = (
    Column("Hub"),
    Column("Region"),
    Column("Runs"),
    Column("Firmware offered"),
    Column("State"),
    Column("Your answer"),
    Column("Other Supplier"),
    Column("Window or night"),
)


@dataclass(frozen=True, slots=True)
class HubPages:
    """The pages about hubs."""

    supplier: SupplierDesk

    async def listed(self, visit: Visit) -> Response:
        """A list by filter; what is filtered by stands in the address."""
        query = {name: value.strip() for name, value in visit.request.query_params.items()}
        problem, selection = "", Selection()
        try:
            selection = Selection.of(query)
        except SelectionRefused as refused:
            problem = str(refused)
        if selection.needs_release:
            problem = "Choose a release: a state and an answer are those at a release."
            selection = Selection(region=selection.region, prefix=selection.prefix)
        try:
            found, known = await visit.read(
                lambda connection: (
                    self._page(connection, visit, selection, visit.query("after")),
                    self.mine(connection, visit),
                )
            )
        except UnknownRelease:
            raise HTTPException(404) from None
        shown = dict(selection.query())
        names = {release.release_id: named(release.firmware) for release in known}
        table = Table(
            "Hubs",
            COLUMNS,
            [hub_row(hub, {one.release_id: one.firmware.version for one in known}) for hub in found.hubs],
            "No hub of yours is like that. Widen the filter."
            if shown
            else "You are responsible for no hub at present.",
            next_href=None if found.after is None else url("/hubs", **shown, after=found.after),
            first_href=url("/hubs", **shown) if visit.query("after") else None,
            export_href=url("/export/hubs", **shown),
            caption_hidden=True,
        )
        return await visit.show(
            "supplier/hubs.html",
            status=422 if problem else 200,
            problem=problem,
            selection=selection,
            selection_query=shown,
            selection_words=selection.words(names.get(selection.release_id or "")),
            table=table,
            some_left=found.after is not None,
            releases=[("", "any"), *names.items()],
            regions=[("", "any"), *((name, name) for name in visit.desk.configuration.regions)],
            states=[
                ("", "any"),
                *((one.value, words(one)) for one in UpgradeStatus if one is not UpgradeStatus.VOIDED),
            ],
            approvals=[("", "any"), *((one.value, words(one)) for one in Approval if one is not Approval.NONE)],
        )

    def _page(self, connection: Connection, visit: Visit, selection: Selection, after: str) -> HubPage:
        """A page that is full where it can be: few hubs of a state may be far apart."""
        rows = visit.desk.rules.pages.rows
        return self.supplier.hubs.page(
            connection,
            viewer_of(visit),
            visit.now,
            release_id=selection.release_id,
            sought=selection.sought,
            after=after,
            limit=rows,
        )

    def mine(self, connection: Connection, visit: Visit) -> list[Release]:
        """The releases that concern the Supplier."""
        return self.supplier.hubs.concerning(connection, viewer_of(visit), visit.now)

    def every(self, connection: Connection, visit: Visit, selection: Selection) -> Iterator[Sequence[Cell]]:
        """The rows of the whole list, for a sheet."""
        versions = {one.release_id: one.firmware.version for one in self.mine(connection, visit)}
        after: str | None = ""
        while after is not None:
            found = self.supplier.hubs.page(
                connection,
                viewer_of(visit),
                visit.now,
                release_id=selection.release_id,
                sought=selection.sought,
                after=after,
                limit=2_000,
            )
            for hub in found.hubs:
                yield hub_row(hub, versions)
            after = found.after

    async def one(self, visit: Visit) -> Response:
        """One hub: why, what is shown of each release, and its history."""
        viewer = viewer_of(visit)
        try:
            device_id = canonical_eui(visit.request.path_params["hub_id"])
            details, known = await visit.read(
                lambda connection: (
                    self.supplier.hubs.details(connection, viewer, device_id, visit.now),
                    {one.release_id: one for one in releases.all_releases(connection)},
                )
            )
        except (UnknownHub, ValueError):
            raise HTTPException(404) from None
        names = {release_id: named(release.firmware) for release_id, release in known.items()}
        meanings = {event.value: one.meaning for event, one in visit.desk.configuration.alerts.items()}
        return await visit.show(
            "supplier/hub.html",
            hub=details.hub,
            why=details.why.partition(": ")[2] or details.why,
            upgrades=[(release_id, names[release_id], upgrade_facts(one)) for release_id, one in details.upgrades],
            story=[(event.at, told(event, names, meanings), _link_of(event)) for event in reversed(details.history)],
            facts=[
                ("Region", details.hub.region),
                ("Status", details.hub.device_status),
                ("Model", f"{details.hub.manufacturer} {details.hub.model}"),
                ("Runs firmware", details.hub.version),
                ("Gas proxy (GPF)", details.hub.gpf_id),
                ("You supply", " and ".join(_SUPPLY[role] for role in details.hub.roles)),
            ],
            other_side=any(one.other_approval is not Approval.NONE for _, one in details.upgrades),
        )


_SUPPLY = {"IS": "electricity", "GS": "gas"}


def hub_row(hub: SupplierHub, versions: Mapping[str, str]) -> list[Cell]:
    """A hub in a list."""
    upgrade = hub.upgrade
    return [
        Link(hub.hub_id, url(f"/hubs/{hub.hub_id}"), mono=True),
        hub.region,
        hub.version,
        versions.get(hub.release_id or ""),
        status_badge(None if upgrade is None else upgrade.status),
        approval_badge(None if upgrade is None else upgrade.own_approval),
        approval_badge(None if upgrade is None else upgrade.other_approval),
        None if upgrade is None else _when(upgrade.period or upgrade.window),
    ]


def _when(period: Period | None) -> Span | None:
    return None if period is None else Span(period.start, period.end)


def upgrade_facts(one: CommsHubUpgrade) -> list[tuple[str, Cell]]:
    """What is shown of a hub and a release."""
    found: list[tuple[str, Cell]] = [
        ("State", status_badge(one.status)),
        ("Your answer", approval_badge(one.own_approval)),
    ]
    schedule = one.schedule_id
    if one.other_approval is not Approval.NONE:
        found.append(("Other Supplier's answer", approval_badge(one.other_approval)))
    for term, value in (
        ("Deferred until", one.defer_until),
        ("Window from", None if one.window is None else one.window.start),
        ("Window to", None if one.window is None else one.window.end),
        ("Night", _when(one.period)),
        ("Attempt", one.attempt),
        ("Since", one.status_at),
        ("Reason", one.status_reason),
        ("Schedule", None if schedule is None else Link(str(schedule), url(f"/schedules/{schedule}"))),
    ):
        if value is not None:
            found.append((term, value))
    return found


def told(event: Event, names: dict[str, str], meanings: dict[str, str]) -> str:
    """An event of a hub's history in a sentence."""
    release = names.get(event.release_id or "", "")
    match event.kind:
        case EventKind.RESPONSIBLE:
            return "You became its responsible Supplier."
        case EventKind.SCHEDULED:
            return f"You scheduled it for {release}, phase {event.what}."
        case EventKind.ANSWERED:
            return f"You answered “{event.what}” for {release}."
        case EventKind.EXCLUDED:
            return "You excluded it from upgrades."
        case EventKind.ATTEMPT:
            reason = f": {event.reason}" if event.reason else ""
            return f"Attempt {event.attempt} at {release} is {words(event.what).lower()}{reason}."
        case EventKind.ALERT:
            return f"You were told: {meanings.get(event.what, words(event.what))}"


def _link_of(event: Event) -> Link | None:
    if event.message_id is not None:
        return Link("Read the message", url(f"/alerts/{event.message_id}"))
    if event.schedule_id is not None:
        return Link(f"Schedule {event.schedule_id}", url(f"/schedules/{event.schedule_id}"))
    return None


def badge_of_proposal(state: str) -> Badge:
    """The state of a proposal as it stands in a table."""
    tones = {"Draft": "warn", "Waiting": "warn", "Working": "busy", "Preparing": "busy", "Done": "ok", "Failed": "bad"}
    names = {"Draft": "Not done yet", "TurnedDown": "Turned down", "Waiting": "Waits for a second person"}
    return Badge(names.get(state, state), tones.get(state, "plain"))
