"""Sheets: a template to fill in, one that is brought back, and the lists of the console as sheets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sr_engine.console.files import file_response, written
from sr_engine.console.pages import Visit, number_of
from sr_engine.console.security import HEADERS
from sr_engine.console.supplier.acting_pages import PROPOSAL_COLUMNS, person_of, proposal_row
from sr_engine.console.supplier.desk import SupplierDesk, viewer_of
from sr_engine.console.supplier.hubs import COLUMNS, HubPages
from sr_engine.console.supplier.inbox import destinations_of, state_badge
from sr_engine.console.supplier.selecting import Selection, SelectionRefused
from sr_engine.console.supplier.windows import (
    SCHEDULED_COLUMNS,
    calendar_table,
    excluded_row,
    planned_of,
    region_of,
    scheduled_row,
    share_of,
)
from sr_engine.console.supplier.wishes import named
from sr_engine.console.supplier.words import words
from sr_engine.console.supplier.working_out import Proposing, Uploaded
from sr_engine.console.tables import Cell, text_of
from sr_engine.messages.model import RefusalReason
from sr_engine.operations.supplier_answers import UnknownSchedule
from sr_engine.operations.supplier_hubs import UnknownRelease
from sr_engine.spreadsheets.supplier_tables import waiting_rows
from sr_engine.spreadsheets.tables import ExportColumn, Kind
from sr_engine.spreadsheets.template import template_csv, write_template
from sr_engine.store import mailbox, proposals
from sr_engine.store.reading import Connection

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"
_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class SheetPages:
    """The pages about sheets."""

    supplier: SupplierDesk
    proposing: Proposing
    hubs: HubPages

    async def ask(self, visit: Visit) -> Response:
        """Offer the template, and ask for a sheet."""
        return await self._ask(visit, visit.query("release"))

    async def _ask(self, visit: Visit, release_id: str, problem: str = "") -> Response:
        known = await visit.read(lambda connection: self.hubs.mine(connection, visit))
        return await visit.show(
            "supplier/sheets.html",
            status=422 if problem else 200,
            releases=[("", "each row names it"), *((one.release_id, named(one.firmware)) for one in known)],
            release_id=release_id,
            problem=problem,
            megabytes=visit.desk.rules.pages.upload_bytes // 1_048_576,
        )

    async def take(self, visit: Visit) -> Response:
        """Take a sheet, and show what it would come to."""
        uploaded, release_id = visit.form.get("sheet"), visit.field("release")
        if not isinstance(uploaded, UploadFile) or not uploaded.filename:
            return await self._ask(visit, release_id, "Choose a file first.")
        person = person_of(visit)
        if person is None:
            return await self._ask(visit, release_id, "Your organisation has no User with the role IS or GS.")
        data = await uploaded.read()
        name = uploaded.filename.replace("\\", "/").rpartition("/")[2][:200]
        selection = Selection(release_id=release_id or None)
        sheet = Uploaded(name, data)
        proposal_id = await self.proposing.propose(person, None, selection, f"Sheet {name}", sheet=sheet)
        return visit.go(f"/proposals/{proposal_id}")

    async def report(self, visit: Visit) -> Response:
        """The sheet with what became of each row."""
        proposal_id = visit.request.path_params["proposal_id"]
        found = await visit.read(lambda connection: proposals.report(connection, visit.organisation, proposal_id))
        if not found:
            raise HTTPException(404)
        return _file(found, XLSX, f"report-{proposal_id[:8]}.xlsx")

    async def template(self, visit: Visit) -> Response:
        """The template, with the hubs that wait for an answer to a release if one is named."""
        release_id, kind = visit.query("release"), visit.query("kind", "xlsx")
        spreadsheets = visit.desk.configuration.spreadsheets

        def make(connection: Connection) -> bytes:
            rows = (
                waiting_rows(self.supplier.hubs, connection, viewer_of(visit), visit.now, release_id)
                if release_id
                else ()
            )
            if kind == "csv":
                return template_csv(spreadsheets, rows)
            target = io.BytesIO()
            write_template(target, spreadsheets, rows)
            return target.getvalue()

        try:
            data = await visit.read(make)
        except UnknownRelease:
            raise HTTPException(404) from None
        return _file(data, CSV if kind == "csv" else XLSX, f"template.{'csv' if kind == 'csv' else 'xlsx'}")

    async def export_hubs(self, visit: Visit) -> Response:
        """The list of hubs as a sheet."""
        try:
            selection = Selection.of(dict(visit.request.query_params))
        except SelectionRefused:
            raise HTTPException(400) from None
        titles = [column.title for column in COLUMNS]
        if selection.needs_release:
            raise HTTPException(400)
        try:
            return await exported(
                visit, "hubs", titles, lambda connection: self.hubs.every(connection, visit, selection)
            )
        except UnknownRelease:
            raise HTTPException(404) from None

    async def export_refused(self, visit: Visit) -> Response:
        """The hubs that were refused, with the reason and what to do."""
        proposal_id = visit.request.path_params["proposal_id"]
        advice = self.supplier.advice

        def rows(connection: Connection) -> Iterable[Sequence[Cell]]:
            kept = json.loads(proposals.refused(connection, visit.organisation, proposal_id))
            for reason, hub_ids in kept.items():
                told = advice.for_reason(RefusalReason(reason))
                for hub_id in hub_ids:
                    yield [hub_id, told.title, told.text]

        return await exported(visit, "refused", ["Hub", "Reason", "What to do"], rows)

    async def export_exclusions(self, visit: Visit) -> Response:
        """The hubs that the Supplier keeps out, as a sheet."""
        viewer, answers, now = viewer_of(visit), self.supplier.answers, visit.now

        def rows(connection: Connection) -> Iterable[Sequence[Cell]]:
            after = ""
            while found := answers.exclusions(connection, viewer, now, after=after, limit=_AT_ONCE):
                yield from map(excluded_row, found)
                after = found[-1].exclusion.hub_id

        return await exported(visit, "exclusions", ["Hub", "Since", "Until", "Yours"], rows, moments=("Since",))

    async def export_schedules(self, visit: Visit) -> Response:
        """The schedules that the Supplier has set, as a sheet."""
        viewer, answers = viewer_of(visit), self.supplier.answers

        def rows(connection: Connection) -> Iterable[Sequence[Cell]]:
            before: tuple[datetime, int] | None = None
            while found := answers.schedules(connection, viewer, before=before, limit=_AT_ONCE):
                for one in found:
                    window = (one.window.start, one.window.end)
                    yield [str(one.schedule_id), named(one.firmware), *window, one.phase.value, one.created_at]
                before = (found[-1].created_at, found[-1].schedule_id)

        titles = ["Schedule", "Firmware", "Window from", "Window to", "Phase", "Set"]
        return await exported(visit, "schedules", titles, rows, moments=("Window from", "Window to", "Set"))

    async def export_schedule(self, visit: Visit) -> Response:
        """The hubs of a schedule as a sheet."""
        viewer, answers, now = viewer_of(visit), self.supplier.answers, visit.now
        try:
            schedule_id = number_of(visit.request.path_params["schedule_id"])
            await visit.read(lambda connection: answers.schedule(connection, viewer, schedule_id))
        except (UnknownSchedule, ValueError):
            raise HTTPException(404) from None

        def rows(connection: Connection) -> Iterable[Sequence[Cell]]:
            after: str | None = None
            while found := answers.hubs_of_schedule(connection, viewer, schedule_id, now, after=after, limit=_AT_ONCE):
                yield from map(scheduled_row, found)
                after = found[-1].device_id

        return await exported(visit, f"schedule-{schedule_id}", [one.title for one in SCHEDULED_COLUMNS], rows)

    async def export_calendar(self, visit: Visit) -> Response:
        """The open nights of a region as a sheet."""
        region, share, now = region_of(visit), share_of(visit, region_of(visit)), visit.now
        scheduled, listed = await visit.read(lambda connection: planned_of(connection, visit))
        table = calendar_table(region, scheduled, listed, share=share, now=now)
        titles = [column.title for column in table.columns]
        return await exported(visit, "calendar", titles, lambda _connection: table.rows)

    async def export_proposals(self, visit: Visit) -> Response:
        """What was wanted, newest first, as a sheet."""

        def rows(connection: Connection) -> Iterable[Sequence[Cell]]:
            before: tuple[datetime, str] | None = None
            while found := proposals.listed(connection, visit.organisation, before=before, limit=_AT_ONCE):
                for one in found:
                    yield proposal_row(one, visit)
                before = (found[-1].made_at, found[-1].proposal_id)

        return await exported(visit, "actions", [one.title for one in PROPOSAL_COLUMNS], rows, moments=("Begun",))

    async def export_alerts(self, visit: Visit) -> Response:
        """All messages as a sheet, newest first."""
        event = visit.query("about") or None

        def rows(connection: Connection) -> Iterable[Sequence[Cell]]:
            before, destinations = None, destinations_of(visit)
            while found := mailbox.newest(connection, destinations, before=before, event=event, limit=_AT_ONCE):
                for one in found:
                    about = words(one.event or one.kind)
                    yield [one.created_at, about, one.hub_id, state_badge(one.state), one.message_id]
                before = found[-1].message_id

        return await exported(visit, "alerts", ["Sent", "About", "Hub", "State", "Message"], rows, moments=("Sent",))


async def exported(
    visit: Visit,
    name: str,
    titles: Sequence[str],
    rows: Callable[[Connection], Iterable[Sequence[Cell]]],
    *,
    moments: Sequence[str] = (),
) -> Response:
    """A list as a workbook, or as CSV if the address says so; `rows` are read through a connection."""
    spreadsheets = visit.desk.configuration.spreadsheets
    columns = [ExportColumn(title, Kind.MOMENT if title in moments else Kind.TEXT) for title in titles]
    as_csv = visit.query("kind") == "csv"

    kind = "csv" if as_csv else "xlsx"

    def make(connection: Connection) -> BinaryIO:
        cells = ([text_of(cell) for cell in row] for row in rows(connection))
        return written(kind, name, columns, cells, spreadsheets)

    return file_response(await visit.read(make), CSV if as_csv else XLSX, f"{name}.{kind}")


def _file(data: bytes, media_type: str, name: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, headers=headers, media_type=media_type)
