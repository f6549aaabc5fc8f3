"""What needs attention now, and what the processor is at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.operator.office import Office
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.rendering import shown_span
from sr_engine.console.tables import Badge, Cell, Column, Link, Table
from sr_engine.domain.sla import Month
from sr_engine.operations.attention import Attention, attention
from sr_engine.operations.certificates import Validity
from sr_engine.store.paging import UpTo
from sr_engine.store.reading import Connection

_PATH = "/operator/overview"
VALIDITY_TONES = {
    Validity.EXPIRED: "bad",
    Validity.EXPIRING: "warn",
    Validity.NOT_YET: "warn",
    Validity.VALID: "ok",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One kind of thing that may need attention: how much of it, and where it is dealt with."""

    name: str
    value: str
    href: str
    tone: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page of an operator."""

    office: Office

    def section(self) -> Section:
        """Its address."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page("/operator", self.begin, operator),
                Page(_PATH, self.show, operator, stamp=self.stamp),
            ),
            navigation=(Entry("Overview", _PATH, operator, "Now"),),
        )

    async def begin(self, visit: Visit) -> Response:
        """Lead to it."""
        return visit.go(_PATH)

    def look(self, visit: Visit, connection: Connection) -> Attention:
        """Everything, now."""
        office = self.office
        return attention(connection, visit.now, office.regions, office.certificates, office.rules.attention)

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes when the page would show anything else."""
        return _stamp(self.look(visit, connection))

    async def show(self, visit: Visit) -> Response:
        """Show it."""
        found = await visit.read(lambda one: self.look(visit, one))
        stamp = _stamp(found)
        return await visit.show(
            "operator/overview.html",
            found=found,
            stamp=stamp,
            tiles=_tiles(found),
            stuck=_stuck(found),
            halted=_halted(found),
            overdue=_overdue(found),
            failing=self._failing(found),
            certificates=_certificates(found),
            breaches=_breaches(found),
            span=shown_span,
            live=url(f"{_PATH}/live", stamp=stamp),
        )

    def _failing(self, found: Attention) -> Table:
        rows = [
            (
                Link(self.office.party(one.destination), url("/operator/deliveries", to=one.destination)),
                one.opened_at,
                one.retry_at,
                one.probes,
                one.last_error,
            )
            for one in found.circuits
        ]
        columns = [Column(title) for title in ("Receiver", "Failing since", "Tried again")]
        return Table("Receivers that fail", (*columns, Column("Tries", numeric=True), Column("Last error")), rows)


def _stamp(found: Attention) -> str:
    """Changes when anything but the minute does."""
    hour = found.at.replace(minute=0, second=0, microsecond=0)
    return sha256(repr(replace(found, at=hour)).encode()).hexdigest()


def _tiles(found: Attention) -> list[Tile]:
    lists = _sum([one.lists for one in found.overdue])
    reports = _sum([one.reports for one in found.overdue])
    stuck = str(found.unfinished.portions) if found.unfinished and found.is_stuck else "0"
    breaches = sum(one.number for one in found.breaches)
    expired = any(one.validity is Validity.EXPIRED for one in found.certificates)
    csp, month = url("/operator/csp"), str(Month.of(found.at))
    return [
        _tile("Regions halted", str(len(found.halted)), url("/operator/releases"), "bad"),
        _tile("Lists overdue", lists, f"{csp}?state=open", "bad"),
        _tile("Hubs without a report", reports, csp, "warn"),
        _tile("Messages parked", str(found.parked), url("/operator/deliveries", state="Parked"), "bad"),
        _tile("Long lists stuck", stuck, url("/operator/messages"), "bad"),
        _tile("Receivers failing", str(len(found.circuits)), url("/operator/deliveries"), "warn"),
        _tile("In quarantine", str(found.quarantined), url("/operator/quarantine"), "warn"),
        _tile(
            "Certificates to renew",
            str(len(found.certificates)),
            url("/operator/certificates"),
            "bad" if expired else "warn",
        ),
        _tile("Service level breaches", f"{breaches:,}", url("/operator/levels", month=month), "warn"),
    ]


def _tile(name: str, value: str, href: str, tone: str) -> Tile:
    return Tile(name, value, href, "ok" if value == "0" else tone)


def _sum(counts: list[UpTo]) -> str:
    return str(UpTo(sum(one.number for one in counts), any(one.more for one in counts)))


def _stuck(found: Attention) -> Table:
    left = found.unfinished
    if left is None or not found.is_stuck:
        return Table("", (), [])
    oldest: tuple[Cell, ...] = ("cannot be read", None)
    if left.oldest is not None:
        key = left.oldest.message_key
        oldest = (Link(key, url("/operator/messages", q=key), mono=True), left.oldest.at)
    columns = [Column(title) for title in ("Oldest request", "Answered")]
    return Table(
        "Long lists that are not carried out",
        (*columns, Column("Portions left", numeric=True)),
        [(*oldest, left.portions)],
    )


def _halted(found: Attention) -> Table:
    rows = [
        (
            Link(
                f"{one.manufacturer} {one.model} {one.version}", url(f"/operator/releases/{one.release_id}"), mono=True
            ),
            one.region,
            one.halted_at,
            one.reason,
        )
        for one in found.halted
    ]
    return Table("Halted", [Column(title) for title in ("Release", "Region", "Since", "Why")], rows)


def _overdue(found: Attention) -> Table:
    rows = [
        (
            Link(one.region, url("/operator/csp", region=one.region, state="open")),
            str(one.lists),
            str(one.reports),
        )
        for one in found.overdue
    ]
    columns = (
        Column("Region"),
        Column("Lists not acknowledged", numeric=True),
        Column("Hubs not reported", numeric=True),
    )
    return Table("Overdue at the CSPs", columns, rows)


def _certificates(found: Attention) -> Table:
    rows = [
        (
            one.whose,
            one.eui,
            Badge(one.validity.value, VALIDITY_TONES[one.validity]),
            one.not_after,
            one.days_left(found.at),
        )
        for one in found.certificates[:10]
    ]
    columns = [Column(title) for title in ("Whose", "EUI", "Standing", "Ends")]
    return Table("Certificates to renew", (*columns, Column("Days left", numeric=True)), rows)


def _breaches(found: Attention) -> Table:
    month = str(Month.of(found.at))
    rows = [
        (Link(one.region, url("/operator/levels", month=month)), one.measure.value, one.number, one.last_found_at)
        for one in found.breaches
    ]
    columns = (Column("Region"), Column("Measure"), Column("Number", numeric=True), Column("Last found"))
    return Table(f"Service level breaches found in {month}", columns, rows)
