"""Requests in quarantine, and the operator's word on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.operator.office import Office, how, not_found
from sr_engine.console.operator.sheets import Sheet, sheet_response
from sr_engine.console.pages import Entry, Page, Section, Visit, url
from sr_engine.console.tables import Badge, Column, Link, Table
from sr_engine.messages.shown import shown
from sr_engine.operations import quarantine as operations
from sr_engine.operations.quarantine import NotQuarantined
from sr_engine.store import message_search, quarantined
from sr_engine.store.paging import Page as PageOf
from sr_engine.store.quarantined import QuarantineLine
from sr_engine.store.reading import Connection

_PATH = "/operator/quarantine"
WORDS = {"release": "released", "delete": "deleted"}


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The pages about quarantine."""

    office: Office

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(_PATH, self.list, operator, stamp=self.stamp),
                Page(f"{_PATH}/sheet", self.sheet, operator),
                Page(f"{_PATH}/{{event_ref}}", self.show, operator),
                Page(f"{_PATH}/{{event_ref}}/{{word}}", self.ask, operator),
                Page(f"{_PATH}/{{event_ref}}/{{word}}", self.decide, operator, changes=True),
            ),
            navigation=(Entry("Quarantine", _PATH, operator, "Upgrades"),),
        )

    def _look(self, visit: Visit, connection: Connection) -> PageOf[QuarantineLine]:
        rows = visit.desk.rules.pages.rows
        return quarantined.lines(connection, after=visit.query("after") or None, limit=rows)

    def stamp(self, visit: Visit, connection: Connection) -> str:
        """Changes when the page would show anything else."""
        try:
            return sha256(repr(self._look(visit, connection)).encode()).hexdigest()
        except ValueError:
            return ""

    async def list(self, visit: Visit) -> Response:
        """What is in quarantine, with the least time left first."""
        try:
            found = await visit.read(lambda one: self._look(visit, one))
        except ValueError:
            raise not_found() from None
        columns = ("Until", "QuarantineEventRef", "From", "Service Request", "Threshold of", "Held", "Decided")
        rows = [
            (
                line.ready_at if line.decided is None else None,
                Link(line.event_ref, url(f"{_PATH}/{line.event_ref}"), mono=True),
                self.office.party(f"user:{line.sender_eui}"),
                line.service_reference_variant,
                line.breach,
                line.held_at,
                None if line.decided is None else Badge(line.decided, "busy"),
            )
            for line in found.rows
        ]
        table = Table(
            "Requests in quarantine",
            [Column(title) for title in columns],
            rows,
            empty="Nothing is in quarantine. Requests that cross an anomaly threshold wait here for a decision.",
            next_href=url(_PATH, after=found.after) if found.after else None,
            first_href=url(_PATH) if visit.query("after") else None,
            export_href=url(f"{_PATH}/sheet"),
            caption_hidden=True,
        )
        done, event_ref = visit.query("done"), visit.query("ref")
        stamp = sha256(repr(found).encode()).hexdigest()
        return await visit.show(
            "operator/quarantine.html",
            table=table,
            done=done if done in {*WORDS.values(), "decided-before"} else "",
            event_ref=event_ref,
            live=url(f"{_PATH}/live", after=visit.query("after"), stamp=stamp),
        )

    async def sheet(self, visit: Visit) -> Response:
        """The same as a sheet."""

        def rows(connection: Connection, most: int) -> Iterator[tuple[object, ...]]:
            for line in quarantined.lines(connection, limit=most).rows:
                yield (
                    *(line.ready_at, line.event_ref, line.request_id, self.office.party(f"user:{line.sender_eui}")),
                    *(line.service_reference_variant, line.breach, line.held_at, line.decided),
                )

        columns = (
            "Until",
            "QuarantineEventRef",
            "RequestID",
            "From",
            "Service Request",
            "Threshold of",
            "Held",
            "Decided",
        )
        return await sheet_response(visit, self.office, Sheet("quarantine", columns, rows))

    async def _line(self, visit: Visit) -> QuarantineLine:
        event_ref = visit.request.path_params["event_ref"]
        line = await visit.read(lambda one: quarantined.find(one, event_ref))
        if line is None:
            raise not_found()
        return line

    async def show(self, visit: Visit) -> Response:
        """One request: what it asks for, and why it waits."""
        line = await self._line(visit)
        whole = await visit.read(lambda one: message_search.whole(one, line.exchange_id))
        return await visit.show(
            "operator/quarantined.html",
            line=line,
            sender=self.office.party(f"user:{line.sender_eui}"),
            text=None if whole is None else shown(whole.received, self.office.rules.messages.shown_characters),
            message=url(f"/operator/messages/{line.exchange_id}"),
            base=f"{_PATH}/{line.event_ref}",
        )

    async def ask(self, visit: Visit) -> Response:
        """What would happen, and the button that does it."""
        if visit.request.path_params["word"] not in WORDS:
            raise not_found()
        line = await self._line(visit)
        return await visit.show(
            "operator/quarantine_action.html",
            line=line,
            sender=self.office.party(f"user:{line.sender_eui}"),
            word=visit.request.path_params["word"],
            base=f"{_PATH}/{line.event_ref}",
        )

    async def decide(self, visit: Visit) -> Response:
        """Release or delete a request, once; the first word counts."""
        event_ref, word, by = visit.request.path_params["event_ref"], visit.request.path_params["word"], how(visit)
        if word not in WORDS:
            raise not_found()
        done = WORDS[word]
        try:
            await visit.write(lambda uow: operations.decide(uow, event_ref, release=word == "release", how=by))
        except NotQuarantined:
            done = "decided-before"
        self.office.after_decision()
        return visit.go(_PATH, done=done, ref=event_ref)
