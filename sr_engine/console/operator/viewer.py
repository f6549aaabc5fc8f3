"""Messages as they are kept: shown as text, had byte for byte, and verified once more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.responses import Response

from sr_engine.configuration.console import ConsoleRole
from sr_engine.console.operator.messages import CSP, STATE_TONES, Messages, code_badge
from sr_engine.console.operator.office import Office, not_found
from sr_engine.console.pages import Page, Section, Visit, url
from sr_engine.console.tables import Badge, Link
from sr_engine.messages.shown import Shown, shown
from sr_engine.operations.message_view import Side, Standing, Verdict
from sr_engine.pipeline.acting import INTERFACES
from sr_engine.store import message_search, summaries
from sr_engine.store.message_search import ExchangeLine, SentLine
from sr_engine.store.reading import Connection

_PATH = "/operator/messages"
_STANDING = {
    Standing.GOOD: ("ok", "The signature is good"),
    Standing.UNSIGNED: ("info", "Not signed"),
    Standing.REFUSED: ("bad", "The signature is refused"),
    Standing.GONE: ("info", "Not kept any more"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One of the messages of an exchange, as it is shown."""

    title: str
    shown: Shown
    verdict: Verdict
    tone: str
    heading: str
    size: int
    href: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """The pages that show a message."""

    office: Office
    messages: Messages

    def section(self) -> Section:
        """Their addresses."""
        operator = ConsoleRole.OPERATOR
        return Section(
            pages=(
                Page(f"{_PATH}/sent/{{message_id}}", self.sent, operator),
                Page(f"{_PATH}/sent/{{message_id}}/whole", self.sent_whole, operator),
                Page(f"{_PATH}/{{exchange_id:int}}", self.show, operator),
                Page(f"{_PATH}/{{exchange_id:int}}/{{part}}", self.whole, operator),
            ),
        )

    async def show(self, visit: Visit) -> Response:
        """A message that was taken, its answer, and what verification says of both."""
        exchange_id = visit.request.path_params["exchange_id"]
        found = await visit.read(lambda one: message_search.whole(one, exchange_id))
        if found is None:
            raise not_found()
        line, final, most = found.line, found.final, self.office.rules.messages.shown_characters
        place = f"{_PATH}/{exchange_id}"
        is_of_csp = line.interface == CSP
        verdict = self._of_sender(line, found.received)
        parts = [_part("Message" if is_of_csp else "Request", found.received, verdict, most, url(f"{place}/received"))]
        judged = self.office.messages.verdict
        if not is_of_csp:
            answered = judged(found.answer, Side.PROCESSOR, line.received_at)
            parts.append(_part("Answer", found.answer, answered, most // 2, url(f"{place}/answer")))
        if final is not None and final.response:
            later = judged(final.response, Side.PROCESSOR, final.ended_at or line.received_at)
            title = "Response, after it was held"
            parts.append(_part(title, final.response, later, most // 2, url(f"{place}/final")))
        return await visit.show(
            "operator/message.html",
            line=line,
            sender=self.messages.sender(line),
            code=code_badge(line.code),
            final=final,
            parts=parts,
            audit=url("/operator/audit", message=line.message_key),
            quarantine=url(f"/operator/quarantine/{final.event_ref}") if final and final.event_ref else None,
        )

    def _of_sender(self, line: ExchangeLine, data: bytes) -> Verdict:
        """What is said of a message that came in; what was asked for by another face needs no signature."""
        side = Side.CSP if line.interface == CSP else Side.USER
        originator = line.message_key.partition(":")[0]
        found = self.office.messages.verdict(data, side, line.received_at, originator=originator)
        if line.interface in INTERFACES and found.standing is Standing.UNSIGNED:
            said = f"it was asked for by {line.interface}: whoever is signed in there needs no signature"
            return replace(found, said=said)
        return found

    async def whole(self, visit: Visit) -> Response:
        """A message byte for byte, to be kept in a file."""
        exchange_id, part = visit.request.path_params["exchange_id"], visit.request.path_params["part"]
        found = await visit.read(lambda one: message_search.whole(one, exchange_id))
        if found is None:
            raise not_found()
        data = {"received": found.received, "answer": found.answer}.get(part)
        if part == "final" and found.final is not None:
            data = found.final.response
        if not data:
            raise not_found()
        return _file(data, f"{found.line.message_key.replace(':', '_')}-{part}.xml")

    async def sent(self, visit: Visit) -> Response:
        """A message that was sent or is to be."""
        message_id = visit.request.path_params["message_id"]

        def look(connection: Connection) -> tuple[SentLine, bytes, str] | None:
            line = message_search.sent(connection, message_id)
            details = summaries.message_details(connection, message_id)
            if line is None or details is None:
                return None
            return line, summaries.message_body(connection, message_id) or b"", details.sha256

        found = await visit.read(look)
        if found is None:
            raise not_found()
        line, body, sha256 = found
        verdict = self.office.messages.verdict(body, Side.PROCESSOR, line.created_at)
        href = url(f"{_PATH}/sent/{message_id}/whole")
        part = _part("Message", body, verdict, self.office.rules.messages.shown_characters, href)
        return await visit.show(
            "operator/sent.html",
            line=line,
            to=self.office.party(line.destination),
            state=Badge(line.state, STATE_TONES[line.state]),
            parts=[part],
            sha256=sha256,
            done=visit.query("done"),
            hub=None if line.hub_id is None else Link(line.hub_id, url(_PATH, q=line.hub_id), mono=True),
            audit=url("/operator/audit", message=message_id),
        )

    async def sent_whole(self, visit: Visit) -> Response:
        """The same byte for byte, to be kept in a file."""
        message_id = visit.request.path_params["message_id"]
        body = await visit.read(lambda one: summaries.message_body(one, message_id))
        if not body:
            raise not_found()
        return _file(body, f"{message_id}.xml")


def _part(title: str, data: bytes, verdict: Verdict, most: int, href: str) -> Part:
    tone, heading = _STANDING[verdict.standing]
    return Part(title, shown(data, most) if data else Shown("", cut=False), verdict, tone, heading, len(data), href)


def _file(data: bytes, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(data, headers=headers, media_type="application/xml")
