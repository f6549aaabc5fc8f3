"""A Supplier's hubs as tables: all of them, those with an answer, those with a schedule; and as rows of a template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.configuration import SheetColumn
from sr_engine.domain.eligibility import Applicant
from sr_engine.messages.model import Approval, CommsHubUpgrade, Firmware, Period
from sr_engine.operations.supplier_hubs import SupplierHub, SupplierHubs
from sr_engine.spreadsheets.tables import Cell, ExportColumn, Kind
from sr_engine.spreadsheets.template import TemplateRow
from sr_engine.store.supplier_hubs import Sought

_PAGE = 2_000
_ALL = Sought()
_WAITING = Sought(waiting=True)

_Shown = Callable[[SupplierHub, CommsHubUpgrade | None], Cell]


@dataclass(frozen=True, slots=True)
class Table:
    """Which hubs, and what of them."""

    fields: tuple[tuple[ExportColumn, _Shown], ...]
    wanted: Callable[[CommsHubUpgrade | None], bool]

    @property
    def columns(self) -> tuple[ExportColumn, ...]:
        """The columns of its rows."""
        return tuple(column for column, _ in self.fields)


def rows_of(
    table: Table,
    hubs: SupplierHubs,
    connection: Connection,
    viewer: Applicant,
    now: datetime,
    *,
    release_id: str | None = None,
    sought: Sought = _ALL,
) -> Iterator[tuple[Cell, ...]]:
    """The rows of a table, read page by page as they are asked for; raises UnknownRelease with the first."""
    for hub in _each(hubs, connection, viewer, now, release_id=release_id, sought=sought):
        if table.wanted(hub.upgrade):
            yield tuple(shown(hub, hub.upgrade) for _, shown in table.fields)


def waiting_rows(
    hubs: SupplierHubs, connection: Connection, viewer: Applicant, now: datetime, release_id: str
) -> Iterator[TemplateRow]:
    """Rows for a template: the hubs for which a Supplier has still to answer to a release; raises UnknownRelease."""
    release = named(hubs.release(connection, viewer, release_id, now).firmware)
    for hub in _each(hubs, connection, viewer, now, release_id=release_id, sought=_WAITING):
        yield {SheetColumn.HUB_ID: hub.hub_id, SheetColumn.REGION: hub.region, SheetColumn.FIRMWARE: release}


def named(firmware: Firmware) -> str:
    """A release as a cell names it."""
    return f"{firmware.manufacturer} {firmware.model} {firmware.version}"


def _each(
    hubs: SupplierHubs,
    connection: Connection,
    viewer: Applicant,
    now: datetime,
    *,
    release_id: str | None,
    sought: Sought,
) -> Iterator[SupplierHub]:
    after: str | None = ""
    while after is not None:
        page = hubs.page(connection, viewer, now, release_id=release_id, sought=sought, after=after, limit=_PAGE)
        yield from page.hubs
        after = page.after


def _of_upgrade(show: Callable[[CommsHubUpgrade], Cell]) -> _Shown:
    return lambda _hub, upgrade: None if upgrade is None else show(upgrade)


def _start(period: Period | None) -> datetime | None:
    return None if period is None else period.start


def _end(period: Period | None) -> datetime | None:
    return None if period is None else period.end


_HUB_ID = (ExportColumn("Hub ID", width=26), lambda hub, _: hub.hub_id)
_REGION = (ExportColumn("Region"), lambda hub, _: hub.region)
_FIRMWARE = (ExportColumn("Firmware", width=28), _of_upgrade(lambda upgrade: named(upgrade.firmware)))
_STATUS = (ExportColumn("Status", width=18), _of_upgrade(lambda upgrade: upgrade.status.value))
_OWN = (ExportColumn("Own approval"), _of_upgrade(lambda upgrade: upgrade.own_approval.value))
_OTHER = (ExportColumn("Other approval"), _of_upgrade(lambda upgrade: upgrade.other_approval.value))
_UNTIL = (ExportColumn("Deferred to", Kind.MOMENT, 20), _of_upgrade(lambda upgrade: upgrade.defer_until))
_SCHEDULE = (ExportColumn("Schedule", Kind.NUMBER, 22), _of_upgrade(lambda upgrade: upgrade.schedule_id))
_WINDOW = (
    (ExportColumn("Window start", Kind.MOMENT, 22), _of_upgrade(lambda upgrade: _start(upgrade.window))),
    (ExportColumn("Window end", Kind.MOMENT, 22), _of_upgrade(lambda upgrade: _end(upgrade.window))),
)
_PERIOD = (
    (ExportColumn("Night from", Kind.MOMENT, 22), _of_upgrade(lambda upgrade: _start(upgrade.period))),
    (ExportColumn("Night to", Kind.MOMENT, 22), _of_upgrade(lambda upgrade: _end(upgrade.period))),
)
_SINCE = (
    (ExportColumn("Status since", Kind.MOMENT, 22), _of_upgrade(lambda upgrade: upgrade.status_at)),
    (ExportColumn("Status reason", width=40), _of_upgrade(lambda upgrade: upgrade.status_reason)),
)

TABLES = {
    "hubs": Table(
        (
            _HUB_ID,
            (ExportColumn("GPF of the hub", width=26), lambda hub, _: hub.gpf_id),
            _REGION,
            (ExportColumn("Device status", width=16), lambda hub, _: hub.device_status),
            (ExportColumn("Manufacturer"), lambda hub, _: hub.manufacturer),
            (ExportColumn("Model"), lambda hub, _: hub.model),
            (ExportColumn("Runs"), lambda hub, _: hub.version),
            (ExportColumn("Roles"), lambda hub, _: " ".join(hub.roles)),
            *(_FIRMWARE, _STATUS, _OWN, _OTHER, _SCHEDULE, *_WINDOW, *_PERIOD, *_SINCE),
        ),
        lambda _: True,
    ),
    "approvals": Table(
        (_HUB_ID, _REGION, _FIRMWARE, _OWN, _OTHER, _UNTIL, _STATUS, *_SINCE),
        lambda upgrade: upgrade is not None and upgrade.own_approval not in {Approval.NONE, Approval.PENDING},
    ),
    "schedules": Table(
        (_HUB_ID, _REGION, _FIRMWARE, _SCHEDULE, *_WINDOW, *_PERIOD, _STATUS, *_SINCE),
        lambda upgrade: upgrade is not None and upgrade.schedule_id is not None,
    ),
}
"""By what they are called on the command line."""
