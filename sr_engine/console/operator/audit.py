"""The audit trail: searched from the newest record back, and whether it is still what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.operator import looks
from sr_engine.console.operator.long_looks import Looked
from sr_engine.console.operator.messages import end_of
from sr_engine.console.operator.office import Office, Span, not_found, span_of
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.tables import Cell, Column, Link, Mono, Table
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.operations.audit_verification import Verification
from sr_engine.store import audit_search, inventory, releases
from sr_engine.store.audit_search import Head, Record, Sought
from sr_engine.store.looking_back import Found
from sr_engine.store.reading import Connection

_PATH = "/operator/audit"
_CHAIN = "audit trail"
_MOST_HUBS = 1_000
"""Of one record, shown on its page; its sheet has all."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What records are sought by, as it was typed."""

    hub: str
    message: str
    supplier: str
    who: str
    action: str
    release: str
    span: Span

    @property
    def query(self) -> dict[str, str]:
        """The same for an address."""
        return {
            **{name: getattr(self, name) for name in ("hub", "message", "supplier", "who", "action", "release")},
            "since": self.span.since_text,
            "until": self.span.until_text,
        }


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows."""

    found: Found[Record]
    head: Head | None
    actions: Sequence[str]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Audit:
    """The pages about the audit trail."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.search, operator),
                Page(f"{_PATH}/sheet", self.sheet, operator),
                Page(f"{_PATH}/chain", self.chain, operator, stamp=self.chain_stamp),
                Page(f"{_PATH}/chain", self.verify, operator, changes=True),
                Page(f"{_PATH}/{{audit_id:int}}", self.show, operator),
                Page(f"{_PATH}/{{audit_id:int}}/sheet", self.hubs_sheet, operator),
            ),
            navigation=(Entry("Audit trail", _PATH, operator, "Look up"),),
        )

    # --- searching ---

    async def search(self, visit: Visit) -> Response:
        """Records, newest first."""
        chosen, before = _filter_of(visit), visit.query("before")
        if before and not before.isdecimal():
            raise not_found()
        rows, budget = visit.desk.rules.pages.rows, self.office.budget

        def look(connection: Connection) -> Shown | str:
            sought = self._sought(connection, chosen)
            if isinstance(sought, str):
                return sought
            return Shown(
                audit_search.search(
                    connection, sought, before=int(before) if before else None, limit=rows, budget=budget
                ),
                audit_search.head(connection),
                audit_search.actions(connection),
                _versions(connection),
            )

        shown: Shown | str = chosen.span.problem
        if not shown:
            shown = await visit.read(look)
        known: Looked[Verification] = self.office.looks.known(_CHAIN)
        context: dict[str, Any] = {
            "chosen": chosen,
            "suppliers": [("", "Any"), *((one.id, one.id) for one in self.office.users.organisations())],
            "chain": known,
            "chain_words": _words(known),
        }
        if isinstance(shown, str):
            nothing: dict[str, Any] = dict.fromkeys(("head", "found", "table", "more"))
            choices: dict[str, Any] = {"releases": [("", "Any")], "actions": []}
            return await visit.show("operator/audit.html", status=422, problem=shown, **context, **nothing, **choices)
        found = shown.found
        return await visit.show(
            "operator/audit.html",
            **context,
            problem="",
            releases=[("", "Any"), *shown.versions.items()],
            actions=shown.actions,
            head=shown.head,
            found=found,
            table=self._table(visit, chosen, shown),
            more=None if found.before is None else url(_PATH, **chosen.query, before=found.before),
        )

    def _sought(self, connection: Connection, chosen: Filter) -> Sought | str:
        """What is sought, or why that cannot be."""
        hub_id, actors = None, None
        if chosen.hub:
            try:
                device_id = canonical_eui(chosen.hub)
            except ValueError:
                return f"“{chosen.hub}” is not an EUI-64, such as 00-DB-12-34-56-78-90-A2."
            hub_id = inventory.hub_ids_of(connection, [device_id]).get(device_id, device_id)
        if chosen.supplier:
            actors = [f"user:{user.eui}" for user in self.office.users.users_of(chosen.supplier)]
            if not actors:
                return f"There is no Supplier {chosen.supplier}."
        elif chosen.who:
            actors = [chosen.who]
        message = chosen.message
        # A RequestID is kept in upper case, the id of a message of ours as it was drawn.
        message_key = (message.upper() if ":" in message else message.lower()) or None
        span = chosen.span
        return Sought(
            hub_id, message_key, actors, chosen.action or None, chosen.release or None, span.since, span.until
        )

    def _table(self, visit: Visit, chosen: Filter, shown: Shown) -> Table:
        found = shown.found
        columns = ("Time", "Who", "What", "Firmware", "State", "Hubs", "Message", "Detail")
        rows: list[tuple[Cell, ...]] = [
            (
                one.at,
                self.office.party(one.actor),
                Link(one.action, url(f"{_PATH}/{one.audit_id}")),
                shown.versions.get(one.release_id or "", "").rpartition(" ")[2],
                _states(one),
                one.hub_count or None,
                None
                if one.message_key is None
                else Link(end_of(one.message_key), url("/operator/messages", q=one.message_key), mono=True),
                one.detail if len(one.detail) <= 200 else f"{one.detail[:200]}…",
            )
            for one in found.rows
        ]
        following = url(_PATH, **chosen.query, before=found.before) if found.full and found.before else None
        return Table(
            "Records, newest first",
            [Column(title, numeric=title == "Hubs") for title in columns],
            rows,
            empty="No record was found.",
            next_href=following,
            first_href=url(_PATH, **chosen.query) if visit.query("before") else None,
            export_href=url(f"{_PATH}/sheet", **chosen.query),
            caption_hidden=True,
        )

    async def sheet(self, visit: Visit) -> Response:
        """The same as a sheet; no more than may be looked through for one."""
        chosen = _filter_of(visit)
        if chosen.span.problem:
            raise not_found()

        def rows(connection: Connection, most: int) -> list[tuple[object, ...]]:
            sought = self._sought(connection, chosen)
            if isinstance(sought, str):
                raise not_found()
            versions = _versions(connection)
            found = audit_search.search(connection, sought, limit=most, budget=self.office.sheet_budget)
            return [
                (
                    *(one.audit_id, one.at, one.actor, one.action, versions.get(one.release_id or "")),
                    *(one.from_state, one.to_state, one.attempt_number, one.hub_count, one.message_key, one.detail),
                )
                for one in found.rows
            ]

        columns = ("Record", "Time", "Who", "What", "Release", "From", "To", "Attempt", "Hubs", "Message", "Detail")
        return await sheet_response(visit, self.office, Sheet("audit", columns, rows))

    # --- one record ---

    async def show(self, visit: Visit) -> Response:
        """One record, with the hubs it names."""
        audit_id = visit.request.path_params["audit_id"]
        found = await visit.read(lambda one: (audit_search.record(one, audit_id), _versions(one)))
        if found[0] is None:
            raise not_found()
        (record, hubs), versions = found[0], found[1]
        cells = [[Link(hub_id, url("/operator/messages", q=hub_id), mono=True)] for hub_id in hubs[:_MOST_HUBS]]
        table = Table("Hubs", [Column("Hub")], cells, export_href=url(f"{_PATH}/{audit_id}/sheet"), caption_hidden=True)
        return await visit.show(
            "operator/record.html",
            record=record,
            who=self.office.party(record.actor),
            release=versions.get(record.release_id or ""),
            message=None
            if record.message_key is None
            else Link(record.message_key, url("/operator/messages", q=record.message_key), mono=True),
            hubs=table,
            left_out=max(0, len(hubs) - _MOST_HUBS),
            actor=Mono(record.actor),
        )

    async def hubs_sheet(self, visit: Visit) -> Response:
        """The hubs of a record as a sheet."""
        audit_id = visit.request.path_params["audit_id"]

        def rows(connection: Connection, most: int) -> list[tuple[object, ...]]:
            found = audit_search.record(connection, audit_id)
            if found is None:
                raise not_found()
            return [(hub_id,) for hub_id in found[1][:most]]

        return await sheet_response(visit, self.office, Sheet(f"record-{audit_id}", ("Hub",), rows))

    # --- the chain ---

    async def chain(self, visit: Visit) -> Response:
        """Whether the trail is what was written, as it was found out last."""
        looked: Looked[Verification] = self.office.looks.known(_CHAIN)
        head = await visit.read(audit_search.head)
        return await visit.show(
            "operator/chain.html",
            looked=looked,
            words=_words(looked),
            problems=_problems(looked),
            chains=[] if looked.result is None else looked.result.chains,
            head=head,
            live=url(f"{_PATH}/chain/live", stamp=looked.stamp),
        )

    def chain_stamp(self, _visit: Visit, _connection: Connection) -> str:
        """Changes as verification goes on."""
        return self.office.looks.known(_CHAIN).stamp

    async def verify(self, visit: Visit) -> Response:
        """Begin to verify all of the trail, unless that is being done."""
        self.office.looks.look(_CHAIN, lambda _now: partial(looks.trail, place=self.office.place), anew=True)
        return visit.go(f"{_PATH}/chain")


def _filter_of(visit: Visit) -> Filter:
    return Filter(
        hub=visit.query("hub"),
        message=visit.query("message"),
        supplier=visit.query("supplier"),
        who=visit.query("who"),
        action=visit.query("action"),
        release=visit.query("release"),
        span=span_of(visit),
    )


def _versions(connection: Connection) -> dict[str, str]:
    return {
        one.release_id: f"{one.firmware.manufacturer} {one.firmware.model} {one.firmware.version}"
        for one in releases.all_releases(connection)
    }


def _states(one: Record) -> str | None:
    """From which state to which."""
    if one.from_state is None:
        return one.to_state
    return one.from_state if one.to_state is None else f"{one.from_state} → {one.to_state}"


def _words(looked: Looked[Verification]) -> tuple[str, str]:
    """Tone and words for how the chain stands."""
    if looked.result is None:
        return "info", "It has not been verified since this process was started"
    return (
        ("ok", "Every record is what was written")
        if looked.result.intact
        else ("bad", "The trail is not what was written")
    )


def _problems(looked: Looked[Verification]) -> list[str]:
    if looked.result is None:
        return []
    broken = [f"chain {one.chain_id}: {one.broken}" for one in looked.result.chains if one.broken is not None]
    return broken + [str(one) for one in looked.result.strays]
