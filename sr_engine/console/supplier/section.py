"""What the pages of a Supplier are, and who may use them."""

from __future__ import annotations

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.pages import Entry, Page, Section
from sr_engine.console.supplier.acting_pages import ActingPages
from sr_engine.console.supplier.desk import SupplierDesk
from sr_engine.console.supplier.hubs import HubPages
from sr_engine.console.supplier.inbox import InboxPages
from sr_engine.console.supplier.releases import ReleasePages
from sr_engine.console.supplier.sheets import SheetPages
from sr_engine.console.supplier.windows import WindowPages
from sr_engine.console.supplier.working_out import Proposing


def section(supplier: SupplierDesk, proposing: Proposing, *, upload_bytes: int) -> Section:
    """The pages of a Supplier."""
    view, act = ConsoleRole.VIEW, ConsoleRole.ACT
    releases, hubs = ReleasePages(supplier), HubPages(supplier)
    windows, inbox = WindowPages(supplier), InboxPages()
    acting, sheets = ActingPages(supplier, proposing), SheetPages(supplier, proposing, hubs)
    return Section(
        pages=(
            Page("/releases", releases.listed, view, stamp=releases.stamp),
            Page("/releases/{release_id}", releases.one, view, stamp=releases.stamp),
            Page("/hubs", hubs.listed, view),
            Page("/hubs/{hub_id}", hubs.one, view),
            Page("/act", acting.compose, act),
            Page("/act", acting.take, act, changes=True),
            Page("/proposals", acting.listed, view),
            Page("/proposals/{proposal_id}", acting.one, view, stamp=acting.stamp),
            Page("/proposals/{proposal_id}/confirm", acting.confirm, view, changes=True),
            Page("/proposals/{proposal_id}/turn-down", acting.turn_down, view, changes=True),
            Page("/proposals/{proposal_id}/again", acting.again, act, changes=True),
            Page("/sheets", sheets.ask, view),
            Page("/sheets", sheets.take, act, changes=True, max_bytes=upload_bytes),
            Page("/sheets/template", sheets.template, view),
            Page("/sheets/report/{proposal_id}", sheets.report, view),
            Page("/schedules", windows.schedules, view),
            Page("/schedules/{schedule_id}", windows.schedule, view),
            Page("/exclusions", windows.exclusions, view),
            Page("/export/exclusions", sheets.export_exclusions, view),
            Page("/export/schedules", sheets.export_schedules, view),
            Page("/export/schedules/{schedule_id}", sheets.export_schedule, view),
            Page("/export/calendar", sheets.export_calendar, view),
            Page("/export/proposals", sheets.export_proposals, view),
            Page("/calendar", windows.calendar, view),
            Page("/alerts", inbox.listed, view, stamp=inbox.stamp),
            Page("/alerts/{message_id}", inbox.one, view),
            Page("/alerts/{message_id}/xml", inbox.as_sent, view),
            Page("/export/hubs", sheets.export_hubs, view),
            Page("/export/alerts", sheets.export_alerts, view),
            Page("/export/refused/{proposal_id}", sheets.export_refused, view),
        ),
        navigation=(
            Entry("Releases", "/releases", view, "Upgrades"),
            Entry("Hubs", "/hubs", view, "Upgrades"),
            Entry("Sheets", "/sheets", view, "Upgrades"),
            Entry("Actions", "/proposals", view, "Upgrades"),
            Entry("Schedules", "/schedules", view, "Plan"),
            Entry("Exclusions", "/exclusions", view, "Plan"),
            Entry("Calendar", "/calendar", view, "Plan"),
            Entry("Alerts", "/alerts", view, "Plan"),
        ),
    )
